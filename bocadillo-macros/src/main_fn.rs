//! `#[bocadillo::main]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    ReturnType, Token,
    parse::{Parse, ParseStream, Parser as _},
    spanned::Spanned as _,
};

use crate::{args::CratePath, errors::Errors, item_fn::ItemFn};

#[derive(Default)]
struct Args {
    crate_path: CratePath,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Self::default();
        if input.peek(Token![crate]) {
            args.crate_path = input.parse()?;
        }
        if input.is_empty() {
            return Ok(args);
        }
        Err(input.error("`#[bocadillo::main]` has no options but `crate = path`"))
    }
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match ItemFn::parse_item(item) {
        Ok(function) => function,
        Err(reported) => return reported,
    };
    let mut errors = Errors::default();
    let args = errors.take(Args::parse.parse2(args));
    validate(&function, &mut errors);
    let root = args.crate_path.root();
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
            "`#[bocadillo::main]` needs an `async fn`; add `async` before `fn`",
        );
    }
    if !sig.inputs.is_empty() {
        errors.at(
            &sig.inputs,
            "`main` has no parameters; read `std::env::args()`",
        );
    }
    if sig.ident != "main" {
        errors.at(
            &sig.ident,
            "`#[bocadillo::main]` is for the function `main`",
        );
    }
}
