//! The two ways to forget how a task ends, of which rustc speaks at another place.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::quote;
use syn::{ReturnType, Type};

use crate::{
    args::CratePath,
    errors::Errors,
    item_fn::ItemFn,
    tokens::{is_punct, is_word, with_content},
};

/// Reports them, and mends the function, so that nothing else is said of the same.
pub(super) fn check(function: &mut ItemFn, crate_path: &CratePath, errors: &mut Errors) {
    let trees: Vec<_> = function.body.stream().into_iter().collect();
    match &function.sig.output {
        ReturnType::Default => {
            if let Some(tail) = result_tail(&trees) {
                let message =
                    "the task has no return type, but ends in a `Result`; add `-> Result<(), E>`";
                errors.at(tail, message);
                let root = crate_path.root();
                function.sig.output = syn::parse_quote! {
                    -> ::core::result::Result<(), #root::__private::BoxError>
                };
            }
        }
        ReturnType::Type(_, ty) => {
            if let Some(end) = end_without_value(&trees).filter(|_| is_result(ty)) {
                errors.at(
                    end,
                    "the task must return a `Result`; add `Ok(())` after this",
                );
                let stream = function.body.stream();
                let mended = quote!(#stream ::core::result::Result::Ok(()));
                function.body = with_content(&function.body, mended);
            }
        }
    }
}

/// The `Ok(…)` or `Err(…)` at the end.
fn result_tail(trees: &[TokenTree]) -> Option<TokenStream> {
    let (word, value, before) = match trees {
        [before @ .., word, TokenTree::Group(value)] => (word, value, before.last()),
        _ => return None,
    };
    let is_statement = before.is_none_or(|tree| match tree {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    });
    let is_tail = is_statement
        && value.delimiter() == Delimiter::Parenthesis
        && (is_word(word, "Ok") || is_word(word, "Err"));
    is_tail.then(|| quote!(#word #value))
}

/// The `?;` at the end: the block is certainly a `()`.
fn end_without_value(trees: &[TokenTree]) -> Option<TokenStream> {
    match trees {
        [.., question, end] if is_punct(question, '?') && is_punct(end, ';') => {
            Some(quote!(#question #end))
        }
        _ => None,
    }
}

fn is_result(ty: &Type) -> bool {
    match ty {
        Type::Group(group) => is_result(&group.elem),
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "Result"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(function: TokenStream) -> usize {
        let mut function: ItemFn = syn::parse2(function).expect("a function");
        let mut errors = Errors::default();
        check(&mut function, &CratePath::default(), &mut errors);
        let errors = errors.into_compile_errors().to_string();
        errors.matches("compile_error").count()
    }

    #[test]
    fn reports_what_is_certain() {
        assert_eq!(
            mistakes(quote!(
                async fn f() {
                    g()?;
                    Ok(())
                }
            )),
            1
        );
        assert_eq!(
            mistakes(quote!(
                async fn f() {
                    Ok(())
                }
            )),
            1
        );
        assert_eq!(
            mistakes(quote!(
                async fn f() {
                    if x {
                        y()
                    }
                    Err(e)
                }
            )),
            1
        );
        assert_eq!(
            mistakes(quote!(
                async fn f() -> io::Result<()> {
                    g()?;
                }
            )),
            1
        );
    }

    #[test]
    fn leaves_the_rest_to_rustc() {
        for function in [
            quote!(
                async fn f() {
                    g();
                }
            ),
            quote!(
                async fn f() {
                    let _ = Ok(());
                }
            ),
            quote!(
                async fn f() {
                    x.Ok(())
                }
            ),
            quote!(
                async fn f() {
                    Reply::Ok(())
                }
            ),
            quote!(
                async fn f() -> Result<(), E> {
                    loop {
                        g()?;
                    }
                }
            ),
            quote!(
                async fn f() -> Result<(), E> {
                    for_ever().await;
                }
            ),
            quote!(
                async fn f() -> Result<(), E> {
                    return Ok(());
                }
            ),
            quote!(
                async fn f() -> Option<()> {
                    g()?;
                }
            ),
        ] {
            assert_eq!(mistakes(function.clone()), 0, "{function}");
        }
    }
}
