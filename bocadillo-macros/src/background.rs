//! `#[background]`: parse, validate, expand.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::{
    Expr, ReturnType, Token,
    parse::{Parse, ParseStream, Parser as _},
    spanned::Spanned as _,
};

use crate::{args::CratePath, errors::Errors, item_fn::ItemFn};

/// What an option may be called; for the message about one that is none.
const OPTIONS: [&str; 1] = ["crate"];

/// Options of the original's or of later versions, which deserve a sentence of their own.
const PLANNED: [&str; 8] = [
    "name", "timeout", "when", "add", "blocking", "clone", "args", "durable",
];

#[derive(Default)]
pub(crate) struct Args {
    target: Option<Expr>,
    pub(crate) crate_path: CratePath,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Self::default();
        let mut is_first = true;
        while !input.is_empty() {
            if input.peek(Token![crate]) && input.peek2(Token![=]) {
                args.crate_path = input.parse()?;
            } else {
                args.parse_one(input, is_first)?;
            }
            is_first = false;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(args)
    }
}

impl Args {
    fn parse_one(&mut self, input: ParseStream<'_>, is_first: bool) -> syn::Result<()> {
        let is_option = input.peek(syn::Ident) && input.peek2(Token![=]);
        let is_planned = input
            .fork()
            .parse()
            .is_ok_and(|word: Ident| is_planned(&word));
        if is_option || is_planned || !is_first {
            return Err(unknown_option(input));
        }
        let target: Expr = input.parse()?;
        if !is_place(&target) {
            let message =
                "the response is named by a place: `#[background(res)]`, `#[background(self.res)]`";
            return Err(syn::Error::new_spanned(target, message));
        }
        self.target = Some(target);
        Ok(())
    }
}

fn unknown_option(input: ParseStream<'_>) -> syn::Error {
    let Ok(word) = input.call(<Ident as syn::ext::IdentExt>::parse_any) else {
        return input.error("expected an option of `#[background]`");
    };
    // Not to be parsed as something else.
    let _ = input.parse::<TokenStream>();
    let message = if is_planned(&word) {
        planned(&word)
    } else {
        let options = OPTIONS.join("`, `");
        format!("`{word}` is no option of `#[background]`; it has: the response first, `{options}`")
    };
    syn::Error::new_spanned(word, message)
}

fn planned(word: &Ident) -> String {
    format!("the option `{word}` of `#[background]` is not there yet; use `res.background(task)`")
}

fn is_planned(word: &Ident) -> bool {
    PLANNED.iter().any(|planned| word == planned)
}

/// A variable, or a field of one.
fn is_place(expr: &Expr) -> bool {
    match expr {
        Expr::Path(path) => path.path.get_ident().is_some(),
        Expr::Field(field) => is_place(&field.base),
        _ => false,
    }
}

/// The attribute where it stands alone.
pub(crate) fn expand(args: TokenStream, item: &TokenStream) -> TokenStream {
    let target = Ident::new("res", Span::call_site());
    expand_for(args, item, &target, None)
}

/// The attribute in a function whose response is known; `outer` is that function's crate path.
pub(crate) fn expand_for(
    args: TokenStream,
    item: &TokenStream,
    response: &Ident,
    outer: Option<&CratePath>,
) -> TokenStream {
    let Ok(function) = syn::parse2::<ItemFn>(item.clone()) else {
        return not_a_function(item);
    };
    let mut errors = Errors::default();
    let mut args = errors.take(Args::parse.parse2(args));
    validate(&function, &mut errors);
    if !errors.is_empty() {
        return unexpanded(function, errors);
    }
    let target = match args.target.take() {
        Some(target) => target.into_token_stream(),
        // The span says `res` of the caller, at the place of the task's name, where errors about
        // the borrow then point.
        None => {
            let mut response = response.clone();
            response.set_span(response.span().located_at(function.sig.ident.span()));
            response.into_token_stream()
        }
    };
    registration(&function, &target, outer.unwrap_or(&args.crate_path))
}

fn not_a_function(item: &TokenStream) -> TokenStream {
    let first = item
        .clone()
        .into_iter()
        .find(|tree| !matches!(tree, TokenTree::Punct(_)));
    let message =
        "`#[background]` makes a task of an inner `async fn`; write `async fn name() { … }`";
    let error = syn::Error::new(
        first.map_or_else(Span::call_site, |tree| tree.span()),
        message,
    );
    let error = error.to_compile_error();
    quote!(#item #error)
}

fn validate(function: &ItemFn, errors: &mut Errors) {
    let sig = &function.sig;
    if sig.asyncness.is_none() {
        let message = "a background task needs an `async fn`; add `async` before `fn`";
        errors.at(sig.fn_token, message);
    }
    if !sig.inputs.is_empty() {
        let message = "a background task has no parameters: it captures what it names from the view; \
                       for a reusable task, call `res.background(task(argument))`";
        errors.at(&sig.inputs, message);
    }
    if !sig.generics.params.is_empty() {
        errors.at(
            &sig.generics,
            "a background task has no generics of its own; it may use the view's",
        );
    }
    if let syn::Safety::Unsafe(unsafety) = &sig.safety {
        errors.at(
            unsafety,
            "a background task cannot be `unsafe`; use an `unsafe` block within it",
        );
    }
    if let Some(abi) = &sig.abi {
        errors.at(abi, "a background task cannot be `extern`; leave it out");
    }
    for attr in &function.attrs {
        let is_known = ["doc", "cfg", "allow", "expect", "warn", "deny", "forbid"]
            .iter()
            .any(|known| attr.path().is_ident(known));
        if !is_known {
            let message = "this attribute does nothing on a background task, whose function is gone; \
                           put it on a function that the task calls";
            errors.at(attr, message);
        }
    }
}

/// The function as it is, so that one mistake makes one error.
fn unexpanded(mut function: ItemFn, errors: Errors) -> TokenStream {
    let is_sync = function.sig.asyncness.is_none();
    // Its `await`s, and what it captures, would be further errors.
    if is_sync || !function.sig.inputs.is_empty() {
        function.sig.asyncness.get_or_insert_with(Default::default);
    }
    let errors = errors.into_compile_errors();
    if !function.sig.generics.params.is_empty() {
        // Its types mean nothing elsewhere.
        return errors;
    }
    let span = function.sig.ident.span();
    let body = &function.body;
    let inputs = function.sig.inputs.iter().filter_map(|input| match input {
        syn::FnArg::Typed(typed) => Some(typed),
        syn::FnArg::Receiver(_) => None,
    });
    let patterns = inputs.clone().map(|typed| &typed.pat);
    let types = inputs.map(|typed| &typed.ty);
    // As a closure that nobody calls it may still name what it would have captured.
    quote_spanned! {span=>
        #errors
        #[allow(unused, clippy::all)]
        {
            let _ = async |#(#patterns: #types),*| #body;
        }
    }
}

/// `res.background(task("name", async move { … }));`
fn registration(function: &ItemFn, target: &TokenStream, crate_path: &CratePath) -> TokenStream {
    let ident = &function.sig.ident;
    let root = crate_path.root_at(ident.span());
    let name = ident.to_string();
    let name = name.strip_prefix("r#").unwrap_or(&name);
    let body = &function.body;
    let attrs = function
        .attrs
        .iter()
        .filter(|attr| !attr.path().is_ident("doc"));
    let output = match &function.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote_spanned!(ty.span()=> #ty),
    };
    // The task's place is that of its name. A call has the place of its first token, so all of
    // this one's are the name's; a path that begins with tokens of ours has the outer attribute's.
    let place = quote_spanned!(ident.span()=> ::core::panic::Location::caller());
    let task = quote_spanned! {ident.span()=>
        #root::__private::task::<#output, _>(#name, #place, async move #body)
    };
    quote_spanned! {ident.span()=>
        #(#attrs)*
        #target.background(#task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(args: TokenStream, item: &TokenStream) -> String {
        expand(args, item).to_string()
    }

    #[test]
    fn registers_on_res() {
        let tokens = expanded(
            quote!(),
            &quote!(
                async fn send() {
                    mail().await;
                }
            ),
        );
        assert!(tokens.starts_with("res . background"), "{tokens}");
    }

    #[test]
    fn registers_on_what_is_named() {
        let tokens = expanded(
            quote!(self.res),
            &quote!(
                async fn send() {}
            ),
        );
        assert!(tokens.starts_with("self . res . background"), "{tokens}");
    }

    #[test]
    fn reports_all_mistakes_at_once() {
        let tokens = expanded(
            quote!(nmae = "x"),
            &quote!(
                fn send<T>(who: T) {}
            ),
        );
        assert_eq!(tokens.matches("compile_error").count(), 4, "{tokens}");
    }
}
