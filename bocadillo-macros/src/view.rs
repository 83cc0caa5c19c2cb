//! `#[view]`, and what `#[route]` shares with it.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::{FnArg, Pat, Signature, Token, Type, punctuated::Punctuated};

use crate::{
    args::{CratePath, only_crate},
    background::expand_within,
    errors::Errors,
    item_fn::ItemFn,
    rewrite::Seen,
    task::Registers,
};

const OPTIONS: &str =
    "unexpected option; `#[view]` takes only `crate = path`, and `#[route]` a path";

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match ItemFn::parse_item(item) {
        Ok(function) => function,
        Err(reported) => return reported,
    };
    let mut errors = Errors::default();
    let crate_path = errors.take(only_crate(args, OPTIONS));
    match handle_at(&function.sig.inputs) {
        // What else a handler of another framework takes is that one's affair.
        Some(_) => expect_async(&function.sig, &mut errors),
        None => validate(&mut function, &mut errors),
    }
    register(&mut function, &crate_path, &mut errors);
    let errors = errors.into_compile_errors();
    quote!(#errors #function)
}

/// Registers the tasks in a view's body.
pub(crate) fn register(function: &mut ItemFn, crate_path: &CratePath, errors: &mut Errors) {
    let response = response(function);
    let name = response.as_ref().and_then(|pat| name_of(pat));
    let found = name.unwrap_or_else(|| Ident::new("res", Span::call_site()));
    let rewritten = expand_within(&function.body, Registers::On(&found), crate_path);
    if rewritten.seen.response {
        name_response(function, errors);
    }
    function.body = rewritten.body;
    use_import(function, &rewritten.seen, crate_path);
}

/// Gives the response a name, if its pattern has none.
fn name_response(function: &mut ItemFn, errors: &mut Errors) {
    let at = response_at(&function.sig.inputs);
    let mut typed = function.sig.inputs.iter_mut().filter(is_typed);
    let Some(FnArg::Typed(typed)) = typed.nth(at) else {
        return;
    };
    if name_of(&typed.pat).is_none() {
        let message = "unnamed response in a view with a background task; name it `res`";
        errors.at(&typed.pat, message);
        *typed.pat = syn::parse_quote!(res);
    }
}

/// Makes use of the user's import of `background`, which may be there for the tasks alone: they
/// no longer use it.
///
/// In the module there may be none, as the attribute needs no import within a view: then it is ours
/// that is found. Both come by a glob, of which the first that has the name goes before.
fn use_import(function: &mut ItemFn, seen: &Seen, crate_path: &CratePath) {
    if !seen.word {
        return;
    }
    function.take_inner_attributes();
    let root = crate_path.root();
    let left = seen
        .word_is_left
        .then(|| quote!(use #root::__private::names::*;));
    let stream = function.body.stream();
    let mut body = Group::new(
        Delimiter::Brace,
        quote! {
            { use self::*; use #root::__private::names::*; use background as _; }
            #left
            #stream
        },
    );
    body.set_span(function.body.span());
    function.body = body;
}

/// What a view's signature must be, as far as it can be seen.
pub(crate) fn validate(function: &mut ItemFn, errors: &mut Errors) {
    let sig = &mut function.sig;
    expect_async(sig, errors);
    let types: Vec<_> = sig.inputs.iter().filter_map(type_of).collect();
    match &*types {
        [first, second, ..] if refers(first, "Response") && refers(second, "Request") => {
            errors.at(first, SWAPPED);
            swap(&mut sig.inputs);
        }
        [_, _, ..] => {}
        [] if sig.inputs.is_empty() => errors.at(&sig.ident, MISSING),
        _ => errors.at(&sig.inputs, MISSING),
    }
}

fn expect_async(sig: &Signature, errors: &mut Errors) {
    if sig.asyncness.is_none() {
        errors.at(sig.fn_token, "view is not `async`; add `async` before `fn`");
    }
}

/// Puts the request first, so that nothing else is said of the same mistake.
fn swap(inputs: &mut Punctuated<FnArg, Token![,]>) {
    let mut typed = inputs.iter_mut().filter(is_typed);
    if let (Some(first), Some(second)) = (typed.next(), typed.next()) {
        std::mem::swap(first, second);
    }
}

const SWAPPED: &str = "the response comes before the request; \
                       write `(req: &mut Request, res: &mut Response)`";
const MISSING: &str = "missing parameters; a view takes `(req: &mut Request, res: &mut Response)`";

fn is_typed(input: &&mut FnArg) -> bool {
    matches!(input, FnArg::Typed(_))
}

fn type_of(input: &FnArg) -> Option<&Type> {
    match input {
        FnArg::Typed(typed) => Some(&typed.ty),
        FnArg::Receiver(_) => None,
    }
}

/// Whether it is a reference to a type of this name.
fn refers(ty: &Type, name: &str) -> bool {
    let Type::Reference(reference) = ty else {
        return false;
    };
    is_named(&reference.elem, name)
}

fn is_named(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|it| it.ident == name),
        _ => false,
    }
}

/// The pattern of the view's response.
fn response(function: &ItemFn) -> Option<&Pat> {
    let inputs = &function.sig.inputs;
    let mut typed = inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(&*typed.pat),
        FnArg::Receiver(_) => None,
    });
    typed.nth(response_at(inputs))
}

/// Which parameter after `self` the tasks are registered on: the `Background`, wherever it is, as in a
/// handler of axum's; or else the second.
fn response_at(inputs: &Punctuated<FnArg, Token![,]>) -> usize {
    handle_at(inputs).unwrap_or(1)
}

fn handle_at(inputs: &Punctuated<FnArg, Token![,]>) -> Option<usize> {
    let mut types = inputs.iter().filter_map(type_of);
    types.position(|ty| match ty {
        Type::Reference(reference) => is_named(&reference.elem, "Background"),
        ty => is_named(ty, "Background"),
    })
}

pub(crate) fn name_of(pat: &Pat) -> Option<Ident> {
    match pat {
        Pat::Ident(pat) => Some(pat.ident.clone()),
        other => syn::parse2(other.to_token_stream()).ok(),
    }
}
