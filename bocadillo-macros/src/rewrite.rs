//! Finds the `#[background]` functions in a view's body, and expands them there.
//!
//! By walking token trees: a body that is only half typed is no valid syntax, and an editor must
//! still see through it.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

use crate::{args::CratePath, background};

/// Expands every `#[background]` in `body` for the response of this name.
pub(crate) fn rewrite(body: &Group, response: &Ident, crate_path: &CratePath) -> Group {
    let stream = rewrite_stream(body.stream(), response, crate_path);
    with_span(body, stream)
}

fn rewrite_stream(tokens: TokenStream, response: &Ident, crate_path: &CratePath) -> TokenStream {
    let trees: Vec<_> = tokens.into_iter().collect();
    let mut output = TokenStream::new();
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        if let Some(found) = find(&trees[at..]) {
            let mut item = found.others;
            item.extend(rewrite_stream(found.function, response, crate_path));
            output.extend(background::expand_for(
                found.args,
                &item,
                response,
                Some(crate_path),
            ));
            at += found.len;
            continue;
        }
        output.extend([match tree {
            TokenTree::Group(group) => {
                let inner = rewrite_stream(group.stream(), response, crate_path);
                TokenTree::Group(with_span(group, inner))
            }
            other => other.clone(),
        }]);
        at += 1;
    }
    output
}

fn with_span(group: &Group, stream: TokenStream) -> Group {
    let mut new = Group::new(group.delimiter(), stream);
    new.set_span(group.span());
    new
}

/// A function with `#[background]` among its attributes.
struct Found {
    args: TokenStream,
    /// Its other attributes.
    others: TokenStream,
    /// From its first token to its body.
    function: TokenStream,
    /// How many trees it takes.
    len: usize,
}

fn find(trees: &[TokenTree]) -> Option<Found> {
    let mut args = None;
    let mut others = TokenStream::new();
    let mut at = 0;
    while let Some(attr) = attribute(&trees[at..]) {
        match background_args(attr) {
            Some(found) if args.is_none() => args = Some(found),
            _ => others.extend(trees[at..at + 2].iter().cloned()),
        }
        at += 2;
    }
    let args = args?;
    let len = trees[at..].iter().position(is_body)? + 1;
    let function: Vec<_> = trees[at..at + len].to_vec();
    function
        .iter()
        .any(|tree| is_word(tree, "fn"))
        .then(|| Found {
            args,
            others,
            function: function.into_iter().collect(),
            len: at + len,
        })
}

/// The content of `#[…]`, if that comes first.
fn attribute(trees: &[TokenTree]) -> Option<&Group> {
    match trees {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..]
            if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
        {
            Some(group)
        }
        _ => None,
    }
}

/// The arguments of `background`, `bocadillo::background` and the like.
fn background_args(attr: &Group) -> Option<TokenStream> {
    let trees: Vec<_> = attr.stream().into_iter().collect();
    let (args, path) = match trees.split_last()? {
        (TokenTree::Group(args), path) if args.delimiter() == Delimiter::Parenthesis => {
            (args.stream(), path)
        }
        _ => (TokenStream::new(), &*trees),
    };
    let is_path = path.iter().all(|tree| match tree {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(punct) => punct.as_char() == ':',
        TokenTree::Group(_) | TokenTree::Literal(_) => false,
    });
    (is_path && is_word(path.last()?, "background")).then_some(args)
}

fn is_body(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn is_word(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == word)
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;
    use quote::quote;

    use super::*;

    fn rewritten(body: TokenStream) -> String {
        let response = Ident::new("response", Span::call_site());
        rewrite_stream(body, &response, &CratePath::default()).to_string()
    }

    #[test]
    fn finds_tasks_at_any_depth() {
        let tokens = rewritten(quote! {
            if urgent { #[background] async fn call() {} } else { #[bocadillo::background] async fn mail() {} }
        });
        assert_eq!(
            tokens.matches("response . background").count(),
            2,
            "{tokens}"
        );
    }

    #[test]
    fn leaves_everything_else() {
        let body = quote! { let x = #[allow(unused)] 3; foo!(x); #[background_task] fn f() {} };
        assert_eq!(rewritten(body.clone()), body.to_string());
    }

    #[test]
    fn survives_a_half_typed_body() {
        let tokens = rewritten(quote! { let x = foo. ; #[background] async fn mail() { x. } res. });
        assert!(tokens.contains("response . background"), "{tokens}");
        assert_eq!(
            rewritten(quote! { #[background] async fn }),
            "# [background] async fn"
        );
    }
}
