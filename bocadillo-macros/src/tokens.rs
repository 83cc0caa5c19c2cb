//! Questions about token trees.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

pub(crate) fn is_punct(tree: &TokenTree, punct: char) -> bool {
    matches!(tree, TokenTree::Punct(other) if other.as_char() == punct)
}

pub(crate) fn is_word(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == word)
}

pub(crate) fn is_any_word(tree: &TokenTree, words: &[&str]) -> bool {
    words.iter().any(|word| is_word(tree, word))
}

/// Returns the group in braces that this tree is, also where a macro's `$body:block` is one.
pub(crate) fn braced(tree: &TokenTree) -> Option<Group> {
    match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.clone()),
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            let mut trees = group.stream().into_iter();
            let only = trees.next().filter(|_| trees.next().is_none())?;
            braced(&only)
        }
        _ => None,
    }
}

/// Returns the content of the `#[…]` that comes first.
pub(crate) fn attribute(trees: &[TokenTree]) -> Option<&Group> {
    match trees {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..]
            if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
        {
            Some(group)
        }
        _ => None,
    }
}

/// Whether the macro's name and its `!` come before the tree at `at`, which is its arguments.
pub(crate) fn is_macro_input(trees: &[TokenTree], at: usize) -> bool {
    let is_bang = |back: usize| at >= back && is_punct(&trees[at - back], '!');
    let is_name = |back: usize| at >= back && matches!(trees[at - back], TokenTree::Ident(_));
    matches!(trees[at], TokenTree::Group(_))
        && (is_bang(1) && is_name(2) || is_bang(2) && is_name(1) && is_name(3))
}

/// Splits at the commas.
pub(crate) fn split_at_commas(trees: Vec<TokenTree>) -> Vec<TokenStream> {
    let mut parts = vec![TokenStream::new()];
    for tree in trees {
        match parts.last_mut() {
            Some(last) if !is_punct(&tree, ',') => last.extend([tree]),
            _ => parts.push(TokenStream::new()),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Returns the trees without the invisible groups around the whole of them.
pub(crate) fn peeled(stream: TokenStream) -> Vec<TokenTree> {
    let trees: Vec<_> = stream.into_iter().collect();
    match &*trees {
        [TokenTree::Group(group)] if group.delimiter() == Delimiter::None => peeled(group.stream()),
        _ => trees,
    }
}

/// Returns a group with other content.
///
/// `proc_macro` gives a new group one span for both of its delimiters: that of the whole group,
/// whose ends are the two.
pub(crate) fn with_content(group: &Group, stream: TokenStream) -> Group {
    let mut new = Group::new(group.delimiter(), stream);
    new.set_span(group.span());
    new
}

/// Whether the word stands anywhere in the stream.
pub(crate) fn has_word(stream: TokenStream, word: &str) -> bool {
    stream.into_iter().any(|tree| match &tree {
        TokenTree::Group(group) => has_word(group.stream(), word),
        other => is_word(other, word),
    })
}
