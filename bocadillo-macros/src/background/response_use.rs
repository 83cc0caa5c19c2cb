//! Finds the view's response in a task's body, where it cannot be used.
//!
//! Only where it is certain. A body that may bind the name itself is rustc's to judge: one that has
//! it in a pattern, in an import, as a parameter or an item, or in the input of any macro, which
//! alone knows what a name in it is.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

use crate::tokens::{is_any_word, is_macro_input, is_punct, is_word};

/// The first use of the variable `name` in a body that never binds it.
pub(super) fn find(body: &TokenStream, name: &Ident) -> Option<Ident> {
    let mut scan = Scan {
        name: name.to_string(),
        found: None,
        is_doubtful: false,
    };
    scan.stream(body.clone(), false);
    scan.found.filter(|_| !scan.is_doubtful)
}

struct Scan {
    name: String,
    found: Option<Ident>,
    is_doubtful: bool,
}

impl Scan {
    /// `binds`: what is named here may be bound.
    fn stream(&mut self, tokens: TokenStream, binds: bool) {
        let trees: Vec<_> = tokens.into_iter().collect();
        let binding = binding(&trees);
        for (at, tree) in trees.iter().enumerate() {
            let binds = binds || binding[at];
            match tree {
                // An attribute names options, and no variables.
                TokenTree::Group(_) if at > 0 && is_punct(&trees[at - 1], '#') => {}
                TokenTree::Group(group) if is_macro_input(&trees, at) => {
                    self.stream(group.stream(), true);
                }
                TokenTree::Group(group) => self.stream(group.stream(), binds),
                TokenTree::Ident(ident) if *ident == self.name => {
                    if binds || is_colon(trees.get(at + 1)) && !is_path(&trees, at + 1) {
                        self.is_doubtful = true;
                    } else if !is_other(&trees, at) {
                        self.found.get_or_insert_with(|| ident.clone());
                    }
                }
                _ => {}
            }
        }
    }
}

/// Which trees may bind a name: from `let` to `=`, from `for` to `in`, between the bars of a closure,
/// before `=>`, and in an import; and the name of an item.
fn binding(trees: &[TokenTree]) -> Vec<bool> {
    let mut within = vec![false; trees.len()];
    let mut mark = |from: usize, to: usize| within[from..to].iter_mut().for_each(|it| *it = true);
    let mut arm = 0;
    for at in 0..trees.len() {
        if is_any_word(&trees[at], &ITEMS) {
            mark(at, (at + 3).min(trees.len()));
        } else if is_word(&trees[at], "use") {
            mark(at, until(trees, at, |_| false));
        } else if is_word(&trees[at], "let") {
            mark(at, until(trees, at, |at| is_single_equals(trees, at)));
        } else if is_word(&trees[at], "for") {
            mark(at, until(trees, at, |at| is_word(&trees[at], "in")));
        } else if is_punct(&trees[at], '|') && begins_closure(trees, at) {
            mark(at, until(trees, at + 1, |at| is_punct(&trees[at], '|')));
        } else if is_arrow(trees, at) {
            mark(arm, at);
            arm = at + 2;
        } else if is_end_of_arm(trees, at) {
            arm = at + 1;
        }
    }
    within
}

/// A `,`, or the block of an arm; the braces of a pattern come before the rest of it.
fn is_end_of_arm(trees: &[TokenTree], at: usize) -> bool {
    let goes_on = |next: &TokenTree| is_punct(next, '|') || is_word(next, "if");
    let is_pattern = is_arrow(trees, at + 1) || trees.get(at + 1).is_some_and(goes_on);
    is_punct(&trees[at], ',') || is_punct(&trees[at], ';') || is_brace(&trees[at]) && !is_pattern
}

/// The words that a name of an item comes after, or nearly.
const ITEMS: [&str; 8] = [
    "const", "enum", "extern", "fn", "mod", "static", "struct", "trait",
];

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
    let is = |at: usize, punct| trees.get(at).is_some_and(|tree| is_punct(tree, punct));
    is(at, '=') && is(at + 1, '>')
}

/// A field, a method, a part of a path, a lifetime, a label, a function or a macro of that name.
fn is_other(trees: &[TokenTree], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|at| &trees[at]);
    let is_dot = before(1).is_some_and(|tree| is_punct(tree, '.'));
    let is_range = is_dot && before(2).is_some_and(|tree| is_punct(tree, '.'));
    let is_member = is_dot && !is_range || is_colon(before(1)) && is_colon(before(2));
    let is_lifetime = before(1).is_some_and(|tree| is_punct(tree, '\''));
    let after = trees.get(at + 1);
    let is_called = matches!(after, Some(TokenTree::Group(_)));
    let is_macro = after.is_some_and(|tree| is_punct(tree, '!'))
        && !trees.get(at + 2).is_some_and(|tree| is_punct(tree, '='));
    is_member || is_lifetime || is_called || is_macro || is_path(trees, at + 1)
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
        assert!(uses(quote! { let a = 0..res; }));
        assert!(uses(quote! { let text = String::new(); res.text(text) }));
        assert!(uses(quote! { Event { sent: res } }));
        assert!(uses(quote! { println!("{x}"); res.text(x); }));
    }

    #[test]
    fn leaves_what_the_body_binds() {
        for body in [
            quote! { let res = client.post(url).await; res.text(); },
            quote! { let (mut res, _) = pair; res.push(1); },
            quote! { if let Some(res) = get() { use_it(res) } },
            quote! { match get() { Ok(res) => log(res), Err(_) => {} } },
            quote! { match get() { Ok(res) | Err(res) if res.ok() => log(res), _ => {} } },
            quote! { for res in all { log(res) } },
            quote! { all.map(|res| log(res)); },
            quote! { all.map(move |(a, res)| log(res)); },
            quote! { all.map(async move |res: u8| log(res)); },
            quote! { fn helper(res: u8) -> u8 { res } },
            quote! { let Reply { res, .. } = reply else { return }; log(res); },
            quote! { match reply { Reply { res } => log(res), _ => {} } },
            quote! { match reply { A => {} Reply { res } | Other { res } => log(res) } },
            quote! { use helpers::res; log(res); },
            quote! { use helpers::{a, res}; log(res); },
            quote! { use helpers::{b as res}; log(res); },
            quote! { static res: u8 = 3; log(res); },
            quote! { const res: u8 = 3; log(res); },
            quote! { struct res; log(res); },
        ] {
            assert!(!uses(body.clone()), "{body}");
        }
    }

    #[test]
    fn leaves_what_is_no_variable() {
        for body in [
            quote! { outer.res.text(); a::res(); res::b(); x.res(); },
            quote! { res(3); res!(4); Reply { res: 3 }; },
            quote! { 'res: loop { break 'res; } },
            quote! { #[allow(res)] let x = 3; },
        ] {
            assert!(!uses(body.clone()), "{body}");
        }
    }

    #[test]
    fn leaves_what_a_macro_may_bind() {
        for body in [
            quote! { tracing::info!(res = ?x); },
            quote! { matches!(r, Some(res) if res.ok()); },
            quote! { println!("{res}", res = 3); },
            quote! { println!("{}", res); },
            quote! { select! { res = async { 3 } => log(res), } },
            quote! { bind!(res, 3); log(res); },
            quote! { macro_rules! bind { () => { let res = 3; } } },
        ] {
            assert!(!uses(body.clone()), "{body}");
        }
    }
}
