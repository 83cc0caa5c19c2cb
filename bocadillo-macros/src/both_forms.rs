//! Every mistake says the same, at the same place, whether `#[background]` is expanded by itself or
//! by the `#[view]` around it.
//!
//! The cases are those of `ui-tests/background/fail/`, each of which stands there in one form only.

use std::{fs, path::Path, str::FromStr as _};

use proc_macro2::{Group, LineColumn, TokenStream, TokenTree};

use crate::{args::CratePath, attribute::ours, background, tokens::attribute, view};

#[test]
fn both_forms_say_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui-tests/background/fail");
    let Ok(entries) = fs::read_dir(&folder) else {
        // The cases are not in the published package.
        return;
    };
    let mut seen = 0;
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            check(&path);
            seen += 1;
        }
    }
    assert!(seen >= 30, "only {seen} cases");
}

fn check(path: &Path) {
    let source = fs::read_to_string(path).expect("the case is there");
    let tokens = TokenStream::from_str(&source).expect("tokens");
    let handler = handler(tokens).unwrap_or_else(|| panic!("{}: no handler", path.display()));

    let mut alone = Vec::new();
    each_background(&handler, &mut |args, item| {
        mistakes(&background::expand_alone(args, item), &mut alone);
    });
    let mut in_view = Vec::new();
    mistakes(
        &view::expand(TokenStream::new(), handler.into_iter().collect()),
        &mut in_view,
    );
    assert!(!alone.is_empty(), "{}: no mistake", path.display());
    assert_eq!(alone, in_view, "{}", path.display());
}

/// The function `create_order`, which every case has, with two parameters as a view has them.
fn handler(tokens: TokenStream) -> Option<Vec<TokenTree>> {
    let trees: Vec<_> = tokens.into_iter().collect();
    let name = trees
        .iter()
        .position(|tree| matches!(tree, TokenTree::Ident(ident) if ident == "create_order"))?;
    let mut handler = trees.get(name - 2..name + 3)?.to_vec();
    if let TokenTree::Group(parameters) = &handler[3] {
        if parameters.stream().is_empty() {
            let two = quote::quote!(_req: &mut Request, res: &mut Response);
            handler[3] = TokenTree::Group(Group::new(parameters.delimiter(), two));
        }
    }
    Some(handler)
}

/// Calls `expand` for what rustc would expand by itself: every attribute that is not within another
/// one's function.
fn each_background(trees: &[TokenTree], expand: &mut impl FnMut(TokenStream, &TokenStream)) {
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        if let Some(args) = background_at(&trees[at..]) {
            let item = &trees[at + 2..];
            let ends = |tree: &TokenTree| match tree {
                TokenTree::Group(group) => group.delimiter() == proc_macro2::Delimiter::Brace,
                TokenTree::Punct(punct) => punct.as_char() == ';',
                _ => false,
            };
            let len = item.iter().position(ends).map_or(item.len(), |end| end + 1);
            expand(args, &item[..len].iter().cloned().collect());
            at += 2 + len;
            continue;
        }
        if let TokenTree::Group(group) = tree {
            let inner: Vec<_> = group.stream().into_iter().collect();
            each_background(&inner, expand);
        }
        at += 1;
    }
}

/// The arguments of a `#[background]` that comes first.
fn background_at(trees: &[TokenTree]) -> Option<TokenStream> {
    let attr = attribute(trees)?.stream();
    ours(attr, &CratePath::default()).map(|ours| ours.args)
}

/// Every `compile_error!` in what an attribute became, also by what rustc expands within that.
fn mistakes(expanded: &TokenStream, found: &mut Vec<(String, LineColumn)>) {
    let trees: Vec<_> = expanded.clone().into_iter().collect();
    each_background(&trees, &mut |args, item| {
        mistakes(&background::expand_alone(args, item), found);
    });
    collect(&trees, found);
}

fn collect(trees: &[TokenTree], found: &mut Vec<(String, LineColumn)>) {
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Ident(word) if word == "compile_error" => {
                found.push((trees[at + 2].to_string(), word.span().start()));
            }
            TokenTree::Group(group) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                collect(&inner, found);
            }
            _ => {}
        }
    }
}
