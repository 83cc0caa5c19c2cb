//! `#[bocadillo::main]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{ReturnType, spanned::Spanned as _};

use crate::{args::only_crate, errors::Errors, item_fn::ItemFn};

const OPTIONS: &str = "unexpected option; `#[bocadillo::main]` takes only `crate = path`";

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match ItemFn::parse_item(item) {
        Ok(function) => function,
        Err(reported) => return reported,
    };
    let mut errors = Errors::default();
    let crate_path = errors.take(only_crate(args, OPTIONS));
    validate(&function, &mut errors);
    let root = crate_path.root();
    let private = quote!(#root::__private);
    let output = match &function.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote_spanned!(ty.span()=> #ty),
    };
    let ItemFn {
        attrs,
        vis,
        sig,
        body,
    } = &mut function;
    // On a mistake too, so that there is a `main`.
    sig.asyncness = None;
    sig.inputs.clear();
    let errors = errors.into_compile_errors();
    quote! {
        #errors
        #(#attrs)*
        #vis #sig {
            async fn main() -> #output #body
            #private::want_log();
            #private::block_on(main()).expect("the system has threads for a runtime")
        }
    }
}

fn validate(function: &ItemFn, errors: &mut Errors) {
    let sig = &function.sig;
    if sig.asyncness.is_none() {
        errors.at(
            sig.fn_token,
            "`main` is not `async`; add `async` before `fn`",
        );
    }
    if !sig.inputs.is_empty() {
        errors.at(
            &sig.inputs,
            "`main` takes no parameters; use `std::env::args()`",
        );
    }
    if sig.ident != "main" {
        errors.at(&sig.ident, "expected the function `main`");
    }
}
