//! Finds the view's response in a task's body, where it cannot be used.
//!
//! Only where it is certain: a body that binds the name itself anywhere (`let res = client.post(…)`)
//! is rustc's to judge.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// The first use of the variable `name` in a body that never binds it.
pub(super) fn find(body: &TokenStream, name: &Ident) -> Option<Ident> {
    let mut scan = Scan {
        name: name.to_string(),
        found: None,
        is_bound: false,
    };
    scan.stream(body.clone(), false);
    scan.found.filter(|_| !scan.is_bound)
}

struct Scan {
    name: String,
    found: Option<Ident>,
    is_bound: bool,
}

impl Scan {
    /// `is_pattern`: what is named here is bound.
    fn stream(&mut self, tokens: TokenStream, is_pattern: bool) {
        let trees: Vec<_> = tokens.into_iter().collect();
        let patterns = patterns(&trees);
        for (at, tree) in trees.iter().enumerate() {
            let is_pattern = is_pattern || patterns[at];
            match tree {
                // An attribute names options, and no variables.
                TokenTree::Group(_) if at > 0 && is_punct(&trees[at - 1], '#') => {}
                TokenTree::Group(group) => {
                    // A block within a pattern's range is none: `if let Some(x) = f() { … }`.
                    let is_block = group.delimiter() == Delimiter::Brace;
                    self.stream(group.stream(), is_pattern && !is_block);
                }
                TokenTree::Ident(ident) if *ident == self.name => {
                    if is_pattern || is_colon(trees.get(at + 1)) && !is_path(&trees, at + 1) {
                        self.is_bound = true;
                    } else if !is_member(&trees, at) && !is_path(&trees, at + 1) {
                        self.found.get_or_insert_with(|| ident.clone());
                    }
                }
                _ => {}
            }
        }
    }
}

/// Which trees are within a pattern: from `let` to `=`, from `for` to `in`, between the bars of a
/// closure, and before `=>`.
fn patterns(trees: &[TokenTree]) -> Vec<bool> {
    let mut within = vec![false; trees.len()];
    let mut mark = |from: usize, to: usize| within[from..to].iter_mut().for_each(|it| *it = true);
    let mut arm = 0;
    for at in 0..trees.len() {
        if is_word(&trees[at], "let") {
            mark(at, until(trees, at, |at| is_single_equals(trees, at)));
        } else if is_word(&trees[at], "for") {
            mark(at, until(trees, at, |at| is_word(&trees[at], "in")));
        } else if is_punct(&trees[at], '|') && begins_closure(trees, at) {
            mark(at, until(trees, at + 1, |at| is_punct(&trees[at], '|')));
        } else if is_arrow(trees, at) {
            mark(arm, at);
            arm = at + 2;
        } else if is_punct(&trees[at], ',') || is_punct(&trees[at], ';') || is_brace(&trees[at]) {
            arm = at + 1;
        }
    }
    within
}

/// The first place from `at` on where `ends` holds, or the statement's end.
fn until(trees: &[TokenTree], at: usize, ends: impl Fn(usize) -> bool) -> usize {
    (at..trees.len())
        .find(|&at| ends(at) || is_punct(&trees[at], ';'))
        .unwrap_or(trees.len())
}

/// A bar that comes after an operand is an operator.
fn begins_closure(trees: &[TokenTree], at: usize) -> bool {
    match at.checked_sub(1).map(|before| &trees[before]) {
        None => true,
        Some(TokenTree::Punct(punct)) => punct.as_char() != '|' && punct.as_char() != '?',
        Some(TokenTree::Ident(ident)) => ["move", "async", "return", "in", "else"]
            .iter()
            .any(|word| ident == word),
        Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Brace,
        Some(TokenTree::Literal(_)) => false,
    }
}

fn is_single_equals(trees: &[TokenTree], at: usize) -> bool {
    is_punct(&trees[at], '=')
        && !trees.get(at + 1).is_some_and(|next| is_punct(next, '='))
        && !(at > 0
            && matches!(&trees[at - 1], TokenTree::Punct(punct)
            if punct.spacing() == proc_macro2::Spacing::Joint))
}

fn is_arrow(trees: &[TokenTree], at: usize) -> bool {
    is_punct(&trees[at], '=') && trees.get(at + 1).is_some_and(|next| is_punct(next, '>'))
}

/// A field or a method, or the end of a path.
fn is_member(trees: &[TokenTree], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|at| &trees[at]);
    let is_dot = before(1).is_some_and(|tree| is_punct(tree, '.'));
    let is_range = is_dot && before(2).is_some_and(|tree| is_punct(tree, '.'));
    is_dot && !is_range || is_colon(before(1))
}

fn is_path(trees: &[TokenTree], at: usize) -> bool {
    is_colon(trees.get(at)) && is_colon(trees.get(at + 1))
}

fn is_colon(tree: Option<&TokenTree>) -> bool {
    tree.is_some_and(|tree| is_punct(tree, ':'))
}

fn is_brace(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn is_punct(tree: &TokenTree, punct: char) -> bool {
    matches!(tree, TokenTree::Punct(other) if other.as_char() == punct)
}

fn is_word(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == word)
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;
    use quote::quote;

    use super::*;

    #[allow(
        clippy::needless_pass_by_value,
        reason = "so that `quote!` stands alone"
    )]
    fn uses(body: TokenStream) -> bool {
        find(&body, &Ident::new("res", Span::call_site())).is_some()
    }

    #[test]
    fn finds_uses() {
        assert!(uses(quote! { res.status(200); }));
        assert!(uses(quote! { if urgent { log(&res).await } }));
        assert!(uses(quote! { println!("{}", res); }));
        assert!(uses(quote! { let a = 0..res; }));
    }

    #[test]
    fn leaves_other_things_of_that_name() {
        assert!(!uses(
            quote! { let res = client.post(url).await; res.text(); }
        ));
        assert!(!uses(quote! { let (mut res, _) = pair; res.push(1); }));
        assert!(!uses(quote! { if let Some(res) = get() { use_it(res) } }));
        assert!(!uses(
            quote! { match get() { Ok(res) => log(res), Err(_) => {} } }
        ));
        assert!(!uses(quote! { for res in all { log(res) } }));
        assert!(!uses(quote! { all.map(|res| log(res)); }));
        assert!(!uses(quote! { all.map(move |(a, res)| log(res)); }));
        assert!(!uses(
            quote! { outer.res.text(); a::res(); res::b(); x.res(); }
        ));
        assert!(!uses(quote! { fn helper(res: u8) -> u8 { res } }));
    }
}
