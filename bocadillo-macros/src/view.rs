//! `#[view]`, and what `#[route]` shares with it.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::{FnArg, Pat};

use crate::{
    args::{CratePath, only_crate},
    background::Registers,
    errors::Errors,
    item_fn::ItemFn,
    rewrite::{Rewritten, rewrite},
};

const OPTIONS: &str = "`#[view]` has no options but `crate = path`; for a path, use `#[route]`";

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match ItemFn::parse_item(item) {
        Ok(function) => function,
        Err(reported) => return reported,
    };
    let mut errors = Errors::default();
    let crate_path = errors.take(only_crate(args, OPTIONS));
    validate(&function, "view", &mut errors);
    let import = register(&mut function, &crate_path);
    let errors = errors.into_compile_errors();
    quote!(#errors #import #function)
}

/// Registers the tasks in a view's body; returns what stands before the view then.
///
/// An import of `background` that only those used would be unused now. The body uses it in their
/// place. Where there is none (the attribute needs no import within a view) it finds ours, which
/// any import of the user's goes before: it comes by a glob.
pub(crate) fn register(function: &mut ItemFn, crate_path: &CratePath) -> TokenStream {
    let response = response(function);
    let Rewritten { mut body, import } =
        rewrite(&function.body, Registers::On(&response), crate_path);
    let mut before = TokenStream::new();
    if let Some(import) = import {
        let root = crate_path.root();
        before = quote! {
            #[allow(unused_imports, unreachable_pub, clippy::wildcard_imports)]
            use #root::__private::names::*;
        };
        let span = body.span();
        let stream = body.stream();
        let inner = quote! {
            #[allow(unused_imports, clippy::useless_attribute)]
            use #import as _;
            #stream
        };
        body = Group::new(Delimiter::Brace, inner);
        body.set_span(span);
    }
    function.body = body;
    before
}

/// What a view's signature must be, as far as it can be seen.
pub(crate) fn validate(function: &ItemFn, attribute: &str, errors: &mut Errors) {
    let sig = &function.sig;
    if sig.asyncness.is_none() {
        errors.at(
            sig.fn_token,
            format!("`#[{attribute}]` needs an `async fn`; add `async` before `fn`"),
        );
    }
    if let Some(FnArg::Receiver(receiver)) = sig.inputs.first() {
        let message =
            "a view is a function, not a method; share values by `App::state` and `req.state()`";
        errors.at(receiver, message);
    } else if sig.inputs.len() < 2 {
        let message =
            "a view takes the request and the response: `(req: &mut Request, res: &mut Response)`";
        let ident = &sig.ident;
        if sig.inputs.is_empty() {
            errors.at(ident, message);
        } else {
            errors.at(&sig.inputs, message);
        }
    }
}

/// The name of the view's response: its second parameter.
pub(crate) fn response(function: &ItemFn) -> Ident {
    let name = match function.sig.inputs.iter().nth(1) {
        Some(FnArg::Typed(typed)) => name_of(&typed.pat),
        Some(FnArg::Receiver(_)) | None => None,
    };
    name.unwrap_or_else(|| Ident::new("res", Span::call_site()))
}

pub(crate) fn name_of(pat: &Pat) -> Option<Ident> {
    match pat {
        Pat::Ident(pat) => Some(pat.ident.clone()),
        other => syn::parse2(other.to_token_stream()).ok(),
    }
}
