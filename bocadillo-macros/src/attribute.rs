//! Finds the functions that are tasks by their attributes.
//!
//! An attribute is ours if it is the word `background` alone, or a path that ends in
//! `bocadillo::background` or, with `crate = path`, in the last word of that path and `background`.
//! Any other `jobs::background` is another crate's.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

use crate::{
    args::CratePath,
    tokens::{attribute, braced, is_punct, is_word, peeled, split_at_commas},
};

/// A function with `#[background]` among its attributes.
pub(crate) struct Found {
    /// What stands in the attribute's parentheses.
    pub(crate) args: TokenStream,
    /// The attribute's place.
    pub(crate) place: Span,
    /// Whether the attribute is the word alone, which must have been imported.
    pub(crate) is_word: bool,
    /// Its other attributes.
    pub(crate) others: TokenStream,
    /// From the function's first token to its body.
    pub(crate) function: TokenStream,
    /// The predicate of a `#[cfg_attr(predicate, background)]`.
    pub(crate) predicate: Option<TokenStream>,
    /// How many trees it takes.
    pub(crate) len: usize,
}

/// An attribute that makes a task.
pub(crate) struct Ours {
    pub(crate) args: TokenStream,
    /// Whether it is the word alone.
    pub(crate) is_word: bool,
}

/// What one attribute says.
enum Says {
    Task(Ours),
    /// `#[cfg_attr(predicate, background, others…)]`.
    TaskIf {
        ours: Ours,
        predicate: TokenStream,
        others: Vec<TokenStream>,
    },
    Other,
}

/// Returns the task whose first attribute is the first of these trees.
pub(crate) fn find(trees: &[TokenTree], crate_path: &CratePath) -> Option<Found> {
    let (mut ours, mut predicate) = (None, None);
    let mut others = TokenStream::new();
    let mut at = 0;
    while let Some(attr) = attribute(&trees[at..]) {
        match says(attr.stream(), crate_path) {
            Says::Task(found) if ours.is_none() => ours = Some((found, attr.span())),
            Says::TaskIf {
                ours: found,
                predicate: condition,
                others: rest,
            } if ours.is_none() => {
                for other in rest {
                    others.extend(quote::quote!(#[cfg_attr(#condition, #other)]));
                }
                ours = Some((found, attr.span()));
                predicate = Some(condition);
            }
            _ => others.extend(trees[at..at + 2].iter().cloned()),
        }
        at += 2;
    }
    let (ours, place) = ours?;
    let function = function(&trees[at..])?;
    Some(Found {
        args: ours.args,
        place,
        is_word: ours.is_word,
        others,
        len: at + function.len(),
        function: function.iter().cloned().collect(),
        predicate,
    })
}

/// The trees of the function that comes first; or that a macro's `$function:item` is.
fn function(trees: &[TokenTree]) -> Option<&[TokenTree]> {
    if let Some(TokenTree::Group(group)) = trees.first() {
        let is_item = group.delimiter() == Delimiter::None && braced(&trees[0]).is_none();
        let inner = peeled(group.stream());
        return (is_item && function(&inner).is_some()).then_some(&trees[..1]);
    }
    let is_end = |tree: &TokenTree| is_punct(tree, ';') || braced(tree).is_some();
    let len = trees.iter().position(is_end)? + 1;
    let trees = &trees[..len];
    let is_function = trees.iter().any(|tree| is_word(tree, "fn"));
    (is_function && braced(&trees[len - 1]).is_some()).then_some(trees)
}

/// Reads an attribute that may be ours.
pub(crate) fn ours(attr: TokenStream, crate_path: &CratePath) -> Option<Ours> {
    match says(attr, crate_path) {
        Says::Task(ours) => Some(ours),
        Says::TaskIf { .. } | Says::Other => None,
    }
}

fn says(attr: TokenStream, crate_path: &CratePath) -> Says {
    let trees = peeled(attr);
    let (path, args) = match &*trees {
        [path @ .., TokenTree::Group(args)] if args.delimiter() == Delimiter::Parenthesis => {
            (path, args.stream())
        }
        path => (path, TokenStream::new()),
    };
    match path {
        [word] if is_word(word, "cfg_attr") => says_if(args, crate_path),
        path if is_ours(path, crate_path) => Says::Task(Ours {
            args,
            is_word: path.len() == 1,
        }),
        _ => Says::Other,
    }
}

fn says_if(args: TokenStream, crate_path: &CratePath) -> Says {
    let mut parts = split_at_commas(args.into_iter().collect()).into_iter();
    let Some(predicate) = parts.next() else {
        return Says::Other;
    };
    let (mut found, mut others) = (None, Vec::new());
    for part in parts {
        match says(part.clone(), crate_path) {
            Says::Task(ours) if found.is_none() => found = Some(ours),
            _ => others.push(part),
        }
    }
    match found {
        Some(ours) => Says::TaskIf {
            ours,
            predicate,
            others,
        },
        None => Says::Other,
    }
}

fn is_ours(path: &[TokenTree], crate_path: &CratePath) -> bool {
    match path {
        [word] => is_word(word, "background"),
        [.., TokenTree::Ident(name), first, second, word] => {
            let is_separator = is_punct(first, ':') && is_punct(second, ':');
            is_separator && crate_path.is_named(name) && is_word(word, "background")
        }
        _ => false,
    }
}
