//! Keeps what a macro's `$e:expr` means where the tokens around it are taken apart.
//!
//! A `macro_rules!` puts a fragment into an invisible group, so that `-$e` negates the whole of
//! `1 + 2`. rustc honours that group only in a token stream that no procedural macro has taken apart:
//! of one that it gets back as a single tree, it skips the delimiters, and `-$e` is `-1 + 2`. So a
//! stream that needs no change is handed on as it is; and where a stream must be taken apart, a
//! fragment whose neighbours would bind to a part of it gets parentheses in place of its invisible
//! delimiters.

use proc_macro2::{Delimiter, Group, Punct, Spacing, Span, TokenStream, TokenTree};
use syn::{Expr, Type};

use crate::tokens::{is_any_word, is_punct, with_content};

/// Returns the trees of a stream, each of which means alone what it meant in the stream.
pub(crate) fn trees(stream: TokenStream) -> Vec<TokenTree> {
    let trees: Vec<_> = stream.into_iter().collect();
    let visible = |at: usize| match &trees[at] {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            visible(group, &trees[..at], &trees[at + 1..])
        }
        other => other.clone(),
    };
    (0..trees.len()).map(visible).collect()
}

/// Does the same for what an attribute stands on: in the signature, and not in the body.
pub(crate) fn in_signature(item: TokenStream) -> TokenStream {
    let in_parentheses = |tree| match tree {
        TokenTree::Group(group)
            if group.delimiter() == Delimiter::Parenthesis && has_invisible(&group) =>
        {
            let inner = trees(group.stream()).into_iter().collect();
            TokenTree::Group(with_content(&group, inner))
        }
        other => other,
    };
    trees(item).into_iter().map(in_parentheses).collect()
}

fn has_invisible(group: &Group) -> bool {
    let is_invisible = |tree: &TokenTree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::None,
        _ => false,
    };
    group.stream().into_iter().any(|tree| is_invisible(&tree))
}

fn visible(group: &Group, before: &[TokenTree], after: &[TokenTree]) -> TokenTree {
    let content = group.stream();
    if is_let(&content) {
        return TokenTree::Group(with_content(group, ended(content, after)));
    }
    let needs = match kind(&content) {
        Kind::Whole => false,
        Kind::Type => before.last().is_some_and(is_type_prefix),
        Kind::Operation => {
            !(ends_before(before) || is_range_end(before))
                || !(begins_after(after) || is_range_begin(after))
        }
        Kind::Loose => !ends_before(before) || !begins_after(after),
    };
    if needs {
        return TokenTree::Group(parenthesized(group, content));
    }
    TokenTree::Group(group.clone())
}

fn is_let(content: &TokenStream) -> bool {
    let first = content.clone().into_iter().next();
    first.is_some_and(|first| is_any_word(&first, &["let"]))
}

/// A `$statement:stmt` needs no semicolon after it, which `let` does.
fn ended(mut content: TokenStream, after: &[TokenTree]) -> TokenStream {
    if !after.first().is_some_and(|next| is_punct(next, ';')) {
        content.extend([TokenTree::from(Punct::new(';', Spacing::Alone))]);
    }
    content
}

/// Not the user's own parentheses, so no lint calls them unnecessary.
fn parenthesized(group: &Group, content: TokenStream) -> Group {
    let mut new = Group::new(Delimiter::Parenthesis, content);
    new.set_span(Span::call_site().located_at(group.span()));
    new
}

/// What its neighbours may do to a fragment without its delimiters.
enum Kind {
    /// Nothing.
    Whole,
    /// `dyn A + B`: a `&` before it would take the first bound alone.
    Type,
    /// An operator beside it would take a part of it; a `..` would not.
    Operation,
    /// Even a `..` would.
    Loose,
}

fn kind(content: &TokenStream) -> Kind {
    let Ok(expr) = syn::parse2::<Expr>(content.clone()) else {
        return match syn::parse2::<Type>(content.clone()) {
            Ok(ty) if has_several_bounds(&ty) => Kind::Type,
            _ => Kind::Whole,
        };
    };
    match expr {
        Expr::Binary(_)
        | Expr::Cast(_)
        | Expr::RawAddr(_)
        | Expr::Reference(_)
        | Expr::Struct(_)
        | Expr::Unary(_) => Kind::Operation,
        Expr::Range(_)
        | Expr::Assign(_)
        | Expr::Closure(_)
        | Expr::Return(_)
        | Expr::Break(_)
        | Expr::Yield(_) => Kind::Loose,
        _ => Kind::Whole,
    }
}

fn has_several_bounds(ty: &Type) -> bool {
    match ty {
        Type::TraitObject(ty) => ty.bounds.len() > 1,
        Type::ImplTrait(ty) => ty.bounds.len() > 1,
        _ => false,
    }
}

/// Whether an expression or a pattern may begin here without anything that binds to it.
fn ends_before(before: &[TokenTree]) -> bool {
    match before {
        [] => true,
        [.., TokenTree::Punct(punct)] => match punct.as_char() {
            ';' | ',' => true,
            ':' => !is_joint(before.len().checked_sub(2).map(|at| &before[at])),
            '=' => !is_joint_operator(before),
            // `=>` and `->`.
            '>' => is_joint_arrow(before),
            _ => false,
        },
        [.., TokenTree::Group(group)] => group.delimiter() == Delimiter::Brace,
        [.., word] => is_any_word(word, &["let", "return", "break"]),
    }
}

/// Whether what stands here does not bind to what comes before it.
fn begins_after(after: &[TokenTree]) -> bool {
    match after {
        [] => true,
        [TokenTree::Punct(first), rest @ ..] => match first.as_char() {
            ';' | ',' => true,
            ':' => first.spacing() == Spacing::Alone,
            '=' => {
                first.spacing() == Spacing::Alone
                    || rest.first().is_some_and(|it| is_punct(it, '>'))
            }
            _ => false,
        },
        [TokenTree::Group(group), ..] => group.delimiter() == Delimiter::Brace,
        [word, ..] => !is_any_word(word, &["as", "else"]),
    }
}

fn is_range_end(before: &[TokenTree]) -> bool {
    let before = match before {
        [before @ .., last] if is_punct(last, '=') => before,
        other => other,
    };
    matches!(before, [.., first, second] if is_punct(first, '.') && is_punct(second, '.'))
}

fn is_range_begin(after: &[TokenTree]) -> bool {
    matches!(after, [first, second, ..] if is_punct(first, '.') && is_punct(second, '.'))
}

fn is_type_prefix(tree: &TokenTree) -> bool {
    is_punct(tree, '&') || matches!(tree, TokenTree::Ident(_))
}

fn is_joint(tree: Option<&TokenTree>) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.spacing() == Spacing::Joint)
}

/// `==`, `!=`, `<=`, `>=`; and `..=`.
fn is_joint_operator(before: &[TokenTree]) -> bool {
    let earlier = before.len().checked_sub(2).map(|at| &before[at]);
    let is_comparison = |punct: &Punct| "=!<>.".contains(punct.as_char());
    is_joint(earlier) && matches!(earlier, Some(TokenTree::Punct(punct)) if is_comparison(punct))
}

fn is_joint_arrow(before: &[TokenTree]) -> bool {
    let earlier = before.len().checked_sub(2).map(|at| &before[at]);
    is_joint(earlier) && earlier.is_some_and(|it| is_punct(it, '=') || is_punct(it, '-'))
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    /// The stream with each `fragment!(…)` as a group of a macro's, taken apart.
    fn taken_apart(stream: TokenStream) -> String {
        trees(fragments(stream))
            .into_iter()
            .collect::<TokenStream>()
            .to_string()
    }

    fn fragments(stream: TokenStream) -> TokenStream {
        let trees: Vec<_> = stream.into_iter().collect();
        let mut output = TokenStream::new();
        let mut at = 0;
        while let Some(tree) = trees.get(at) {
            if let ([_, _, TokenTree::Group(content), ..], true) =
                (&trees[at..], is_any_word(tree, &["fragment"]))
            {
                output.extend([TokenTree::from(Group::new(
                    Delimiter::None,
                    content.stream(),
                ))]);
                at += 3;
            } else {
                output.extend([tree.clone()]);
                at += 1;
            }
        }
        output
    }

    #[test]
    fn a_fragment_beside_an_operator_gets_parentheses() {
        for (stream, expected) in [
            (quote!(-fragment!(1 + 2)), quote!(-(1 + 2))),
            (quote!(2 * fragment!(1 + 2)), quote!(2 * (1 + 2))),
            (quote!(fragment!(1 + 2) * 2), quote!((1 + 2) * 2)),
            (quote!(fragment!(1 + 2).pow(2)), quote!((1 + 2).pow(2))),
            (quote!(fragment!(1 + 2) as u8), quote!((1 + 2) as u8)),
            (quote!(a == fragment!(b && c)), quote!(a == (b && c))),
            (quote!(a <= fragment!(b && c)), quote!(a <= (b && c))),
            (quote!(a && fragment!(b || c)), quote!(a && (b || c))),
            (quote!(fragment!(-1).abs()), quote!((-1).abs())),
            (quote!(fragment!(|x| x)(3)), quote!((|x| x)(3))),
            (quote!(fragment!(0..3).len()), quote!((0..3).len())),
            (quote!(1..fragment!(a = b)), quote!(1..(a = b))),
            (quote!(fragment!(a + b)?), quote!((a + b)?)),
            (quote!(fragment!(a + b)[0]), quote!((a + b)[0])),
            (
                quote!(match fragment!(S { a: 1 }) {}),
                quote!(match (S { a: 1 }) {}),
            ),
            (
                quote!(if fragment!(a == S {}) {}),
                quote!(if (a == S {}) {}),
            ),
            (quote!(&fragment!(1 | 2) => {}), quote!(&(1 | 2) => {})),
            (quote!(&fragment!(dyn A + B)), quote!(&(dyn A + B))),
        ] {
            assert_eq!(taken_apart(stream), expected.to_string());
        }
    }

    #[test]
    fn any_other_fragment_stays_as_it_is() {
        for stream in [
            quote!(let x = fragment!(1 + 2);),
            quote!(call(fragment!(1 + 2), fragment!(3 * 4))),
            quote!(-fragment!(a.b(c))),
            quote!(-fragment!({ 1 })),
            quote!(fragment!(path::to)(3)),
            quote!(fragment!(path::to) { a: 1 }),
            quote!(let x: fragment!(dyn A + B) = y;),
            quote!(
                fn f() -> fragment!(u8) {}
            ),
            quote!(fragment!(A | B) => {}),
            quote!(fragment!(A | B) if c => {}),
            quote!(let fragment!(A | B) = c;),
            quote!(fragment!(-5)..=fragment!(-1) => {}),
            quote!(0..fragment!(a + b)),
            quote!(return fragment!(1 + 2);),
            quote!(async fn f() fragment!({ 1 })),
            quote!(fragment!(pub(crate)) fn f() {}),
            quote!(fragment!(let x = 1);),
        ] {
            let expected = fragments(stream.clone()).to_string();
            assert_eq!(taken_apart(stream), expected);
        }
    }

    #[test]
    fn a_let_gets_its_semicolon() {
        let tokens = taken_apart(quote!(fragment!(let x = 1) call()));
        assert_eq!(tokens, quote!(let x = 1; call()).to_string());
    }
}
