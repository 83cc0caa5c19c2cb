//! Tells the attributes in another macro's input what they register on: rustc expands them, one by
//! one, where that macro puts them.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};

use crate::{
    args::CratePath,
    attribute::{self, Ours},
    options,
    task::Registers,
    tokens::{attribute, is_punct, is_word, peeled, split_at_commas, with_content},
};

/// The response that says that there is none, as the task is a follow-up.
pub(crate) const FOLLOW_UP: &str = "__bocadillo_follow_up";

pub(crate) struct Told<'a> {
    response: Ident,
    crate_path: &'a CratePath,
}

/// What was found.
#[derive(Clone, Copy, Default)]
pub(crate) struct Found {
    /// An attribute that is the word `background` alone.
    pub(crate) word: bool,
    /// One without a response of its own.
    pub(crate) response: bool,
}

impl<'a> Told<'a> {
    pub(crate) fn new(registers: Registers<'_>, crate_path: &'a CratePath) -> Self {
        let response = match registers {
            Registers::On(response) => response.clone(),
            Registers::FollowUp => Ident::new(FOLLOW_UP, Span::call_site()),
        };
        Self {
            response,
            crate_path,
        }
    }

    /// Tells the attributes in what the rules of a `macro_rules!` expand to.
    pub(crate) fn rules(&self, stream: TokenStream) -> (Option<TokenStream>, Found) {
        let trees: Vec<_> = stream.into_iter().collect();
        let is_expansion =
            |at: usize| at > 1 && is_punct(&trees[at - 1], '>') && is_punct(&trees[at - 2], '=');
        self.each(&trees, |at, group| match is_expansion(at) {
            true => self.attributes(group.stream()),
            false => (None, Found::default()),
        })
    }

    /// Tells every attribute in the stream. Returns `None` if it stays as it is.
    pub(crate) fn attributes(&self, stream: TokenStream) -> (Option<TokenStream>, Found) {
        let trees: Vec<_> = stream.into_iter().collect();
        self.each(&trees, |at, group| {
            let is_attribute = at > 0 && attribute(&trees[at - 1..]).is_some();
            match is_attribute.then(|| attribute::ours(group.stream(), self.crate_path)) {
                Some(Some(ours)) => self.attribute(group.stream(), &ours),
                Some(None) => (None, Found::default()),
                None => self.attributes(group.stream()),
            }
        })
    }

    fn each(
        &self,
        trees: &[TokenTree],
        change: impl Fn(usize, &Group) -> (Option<TokenStream>, Found),
    ) -> (Option<TokenStream>, Found) {
        let mut output = TokenStream::new();
        let (mut found, mut is_changed) = (Found::default(), false);
        for (at, tree) in trees.iter().enumerate() {
            let mut tree = tree.clone();
            if let TokenTree::Group(group) = &tree {
                let (changed, within) = change(at, group);
                found.word |= within.word;
                found.response |= within.response;
                if let Some(stream) = changed {
                    is_changed = true;
                    tree = with_content(group, stream).into();
                }
            }
            output.extend([tree]);
        }
        (is_changed.then_some(output), found)
    }

    /// Adds the response, and the crate's path, where there is none.
    fn attribute(&self, attr: TokenStream, ours: &Ours) -> (Option<TokenStream>, Found) {
        let parts = split_at_commas(ours.args.clone().into_iter().collect());
        let first = parts.first().cloned().unwrap_or_default();
        let names_response = options::is_response(first);
        let found = Found {
            word: ours.is_word,
            response: !names_response,
        };
        let has_path = parts.iter().any(is_crate_path);
        let crate_path = self.crate_path.option().filter(|_| !has_path);
        let needs_response = !names_response && self.response != "res";
        if crate_path.is_none() && !needs_response {
            return (None, found);
        }
        let response = needs_response.then(|| self.response.to_token_stream());
        let args = response.into_iter().chain(parts).chain(crate_path);
        let path = peeled(attr).into_iter().take_while(is_no_arguments);
        (Some(quote!(#(#path)* (#(#args),*))), found)
    }
}

fn is_crate_path(option: &TokenStream) -> bool {
    let first = option.clone().into_iter().next();
    first.is_some_and(|first| is_word(&first, "crate"))
}

fn is_no_arguments(tree: &TokenTree) -> bool {
    !matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
}
