//! `#[task]`: a function that can be kept and called later, perhaps by another process.

mod options;

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, FnArg, Pat, ReturnType, Type, ext::IdentExt as _, spanned::Spanned as _};

pub(crate) use self::options::Options;
use crate::{errors::Errors, item_fn::ItemFn};

/// Attributes of the function that is left behind. Others are for the one that is run.
const OUTER: [&str; 10] = [
    "doc",
    "cfg",
    "cfg_attr",
    "allow",
    "expect",
    "warn",
    "deny",
    "forbid",
    "deprecated",
    "must_use",
];

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = Options::parse(args, &mut errors);
    let function = match ItemFn::parse_item(item) {
        Ok(function) => function,
        Err(reported) => return reported,
    };
    let parameters = check(&function, &mut errors);
    if !errors.is_empty() {
        let errors = errors.into_compile_errors();
        return quote!(#errors #function);
    }
    define(&function, &parameters, &options)
}

/// A parameter: a plain name, and its type.
struct Parameter<'a> {
    name: &'a Ident,
    ty: &'a Type,
}

fn check<'a>(function: &'a ItemFn, errors: &mut Errors) -> Vec<Parameter<'a>> {
    let sig = &function.sig;
    if sig.asyncness.is_none() {
        let message = "durable task is not `async`; add `async` before `fn`";
        errors.at(sig.fn_token, message);
    }
    if !sig.generics.params.is_empty() {
        let message = "durable task has generic parameters; it is called by its name alone";
        errors.at(&sig.generics, message);
    }
    if let syn::Safety::Unsafe(unsafety) = &sig.safety {
        let message = "durable task is `unsafe`; use an `unsafe` block in its body";
        errors.at(unsafety, message);
    }
    if let Some(abi) = &sig.abi {
        errors.at(abi, "durable task is `extern`; remove this");
    }
    if let Some(constness) = &sig.constness {
        errors.at(constness, "durable task is `const`; remove this");
    }
    let parameters = sig.inputs.iter();
    parameters
        .filter_map(|input| parameter(input, errors))
        .collect()
}

fn parameter<'a>(input: &'a FnArg, errors: &mut Errors) -> Option<Parameter<'a>> {
    let FnArg::Typed(typed) = input else {
        let message = "durable task has a `self` parameter; \
                       share values by `App::state`, and take them by `background::current().state()`";
        errors.at(input, message);
        return None;
    };
    match &*typed.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Some(Parameter {
            name: &pat.ident,
            ty: &typed.ty,
        }),
        other => {
            let message =
                "expected a plain name as the parameter of a durable task, which is kept by it";
            errors.at(other, message);
            None
        }
    }
}

/// The function that makes a call, with the definition in it.
fn define(function: &ItemFn, parameters: &[Parameter<'_>], options: &Options) -> TokenStream {
    let ItemFn {
        attrs,
        vis,
        sig,
        body,
    } = function;
    let ident = &sig.ident;
    let span = ident.span();
    let root = options.crate_path.root_at(span);
    let private = quote_spanned!(span=> #root::__private);
    let is_outer = |attr: &&Attribute| OUTER.iter().any(|outer| attr.path().is_ident(outer));
    let (outer, inner): (Vec<_>, Vec<_>) = attrs.iter().partition(is_outer);
    let (inputs, output) = (&sig.inputs, &sig.output);
    let names: Vec<_> = parameters.iter().map(|it| it.name).collect();
    let types: Vec<_> = parameters.iter().map(|it| it.ty).collect();
    let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    let takes = names
        .iter()
        .zip(&types)
        .zip(&keys)
        .map(|((name, ty), key)| {
            // At the type: that is what cannot be kept.
            quote_spanned!(ty.span()=> let #name = __bocadillo_args.take::<#ty>(#key)?;)
        });
    let puts = names.iter().zip(&types).zip(&keys).map(|((name, ty), key)| {
        quote_spanned!(ty.span()=> __bocadillo_values.put::<#ty>(#key, &#name);)
    });
    let returned = match output {
        ReturnType::Default => span,
        ReturnType::Type(_, ty) => ty.span(),
    };
    let work = {
        let root = options.crate_path.root_at(returned);
        quote_spanned!(returned=> #root::__private::work)
    };
    let mutable = (!names.is_empty()).then(|| quote!(mut));
    let (name, calls) = (options.name(ident), options.calls());
    quote_spanned! {span=>
        #(#outer)*
        #[track_caller]
        // What is kept is owned, whether the function needs that or not.
        #[allow(clippy::needless_pass_by_value)]
        #vis fn #ident(#(#names: #types),*) -> #private::Call {
            #(#inner)*
            async fn __bocadillo_task(#inputs) #output #body

            fn __bocadillo_begin(
                #mutable __bocadillo_args: #private::Args,
            ) -> ::core::result::Result<#private::Work, #private::StoreError> {
                #(#takes)*
                ::core::result::Result::Ok(#work(__bocadillo_task(#(#names),*)))
            }

            static __BOCADILLO_TASK: #private::Definition =
                #private::Definition::new(#name, __bocadillo_begin) #calls;

            #private::inventory::submit! { #private::Registered(&__BOCADILLO_TASK) }

            #[allow(unused_mut)]
            let mut __bocadillo_values = #private::Values::new();
            #(#puts)*
            #private::call(&__BOCADILLO_TASK, __bocadillo_values)
        }
    }
}

fn key(name: &Ident) -> String {
    name.unraw().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_a_function_that_makes_a_call() {
        let tokens = expand(
            quote!(name = "mail"),
            quote!(
                pub async fn send(who: String, mut order: u64) -> Result<(), Error> {}
            ),
        );
        let text = tokens.to_string();
        assert!(
            text.contains("pub fn send (who : String , order : u64)"),
            "{text}"
        );
        assert!(text.contains("\"mail\""), "{text}");
        syn::parse2::<syn::File>(tokens).expect("it is an item");
    }

    #[test]
    fn reports_all_mistakes_and_leaves_the_function() {
        let tokens = expand(
            quote!(nmae = "x"),
            quote!(
                fn send<T>(&self, (a, b): (T, T)) {}
            ),
        );
        let text = tokens.to_string();
        assert_eq!(text.matches("compile_error").count(), 5, "{text}");
        assert!(text.contains("fn send < T >"), "{text}");
    }
}
