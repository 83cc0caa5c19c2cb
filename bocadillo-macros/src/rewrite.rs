//! Walks over a view's body, and puts in place of every task what `expand` makes of it.
//!
//! By token trees: a body that is only half typed is no valid syntax, and an editor must still see
//! through it. What holds no task is handed on untouched; a group is made anew only on the way to a
//! task, with its delimiter and its place, and with [its invisible groups](crate::invisible).
//!
//! A body within the body has its own response: that of the inner function. The input of another
//! macro, and the rules of one, are tokens of which only that macro knows the meaning: there the
//! attribute stays, and is told what it registers on.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::quote;

use crate::{
    args::CratePath,
    attribute::{self, Found},
    invisible,
    never_runs::Block,
    task::{Registers, Task},
    tokens::{braced, is_macro_input, is_punct, is_word, split_at_commas, with_content},
    told,
};

/// Makes a task of a function.
pub(crate) type Expand = fn(&Found, Registers<'_>, &CratePath) -> Task;

/// A body in which every task is registered.
pub(crate) struct Rewritten {
    pub(crate) body: Group,
    pub(crate) seen: Seen,
}

/// What the tasks of a body need.
#[derive(Default)]
pub(crate) struct Seen {
    /// An attribute was the word `background` alone, which somebody may have imported for it.
    pub(crate) word: bool,
    /// Such a word is left for rustc to expand.
    pub(crate) word_is_left: bool,
    /// A task is registered on the response's name.
    pub(crate) response: bool,
}

/// Expands every task in `body`.
pub(crate) fn rewrite(
    body: &Group,
    registers: Registers<'_>,
    crate_path: &CratePath,
    expand: Expand,
) -> Rewritten {
    let mut seen = Seen::default();
    let mut rewriter = Rewriter {
        registers,
        crate_path,
        expand,
        seen: &mut seen,
    };
    let stream = rewriter.stream(body.stream(), true);
    let body = stream.map_or_else(|| body.clone(), |stream| with_content(body, stream));
    Rewritten { body, seen }
}

struct Rewriter<'a> {
    registers: Registers<'a>,
    crate_path: &'a CratePath,
    expand: Expand,
    seen: &'a mut Seen,
}

impl Rewriter<'_> {
    /// Returns the stream with its tasks expanded; `None` if it has none. `is_block`: statements
    /// stand here, one after the other.
    fn stream(&mut self, stream: TokenStream, is_block: bool) -> Option<TokenStream> {
        let trees = invisible::trees(stream);
        let mut output = TokenStream::new();
        let mut block = Block::default();
        let mut has_task = false;
        let mut at = 0;
        while let Some(tree) = trees.get(at) {
            if let Some(found) = attribute::find(&trees[at..], self.crate_path) {
                let task = self.task(&found);
                let is_on_response = is_block && matches!(self.registers, Registers::On(_));
                output.extend(is_on_response.then(|| block.register(&task)).flatten());
                output.extend(task.tokens);
                has_task = true;
                at += found.len;
                continue;
            }
            block.pass(&trees[at..]);
            let changed = match tree {
                TokenTree::Group(group) => self.group(group, &trees, at),
                _ => None,
            };
            has_task |= changed.is_some();
            output.extend([changed.unwrap_or_else(|| tree.clone())]);
            at += 1;
        }
        has_task.then_some(output)
    }

    fn task(&mut self, found: &Found) -> Task {
        let task = (self.expand)(found, self.registers, self.crate_path);
        self.seen.word |= found.is_word;
        self.seen.response |= task.needs_response;
        task
    }

    fn group(&mut self, group: &Group, trees: &[TokenTree], at: usize) -> Option<TokenTree> {
        if is_macro_input(trees, at) {
            return self.macro_input(group, is_rules(trees, at));
        }
        let is_block = group.delimiter() == Delimiter::Brace;
        let stream = match parameters(&trees[..at]).filter(|_| is_block) {
            Some(parameters) => self.inner_function(group, &parameters),
            None => self.stream(group.stream(), is_block),
        };
        Some(with_content(group, stream?).into())
    }

    fn inner_function(&mut self, body: &Group, parameters: &Group) -> Option<TokenStream> {
        let response = response(parameters);
        let mut seen = Seen::default();
        let mut inner = Rewriter {
            registers: Registers::On(&response),
            crate_path: self.crate_path,
            expand: self.expand,
            seen: &mut seen,
        };
        let stream = inner.stream(body.stream(), true);
        self.seen.word |= seen.word;
        self.seen.word_is_left |= seen.word_is_left;
        stream
    }

    fn macro_input(&mut self, group: &Group, is_rules: bool) -> Option<TokenTree> {
        let told = told::Told::new(self.registers, self.crate_path);
        let (stream, found) = match is_rules {
            true => told.rules(group.stream()),
            false => told.attributes(group.stream()),
        };
        self.seen.word |= found.word;
        self.seen.word_is_left |= found.word;
        self.seen.response |= found.response;
        Some(with_content(group, stream?).into())
    }
}

/// `macro_rules! name { … }`.
fn is_rules(trees: &[TokenTree], at: usize) -> bool {
    at >= 3 && is_word(&trees[at - 3], "macro_rules")
}

/// The parameters of the function whose body comes next.
fn parameters(before: &[TokenTree]) -> Option<Group> {
    let is_end = |tree: &TokenTree| is_punct(tree, ';') || braced(tree).is_some();
    let begin = before.iter().rposition(is_end).map_or(0, |at| at + 1);
    let statement = &before[begin..];
    let fn_at = statement.iter().position(|tree| is_word(tree, "fn"))?;
    if !matches!(statement.get(fn_at + 1), Some(TokenTree::Ident(_))) {
        return None;
    }
    statement[fn_at..].iter().find_map(|tree| match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
            Some(group.clone())
        }
        _ => None,
    })
}

/// The name of the response among a function's parameters: that of the type `Response` or `Background`,
/// or else the second.
fn response(parameters: &Group) -> Ident {
    let all = split_at_commas(parameters.stream().into_iter().collect());
    let all: Vec<Vec<_>> = all
        .into_iter()
        .map(|one| one.into_iter().collect())
        .collect();
    let name = |parameter: &Vec<TokenTree>| {
        let colon = parameter.iter().position(|tree| is_punct(tree, ':'))?;
        match &parameter[..colon] {
            [.., TokenTree::Ident(name)] => Some(name.clone()),
            _ => None,
        }
    };
    let is_response = |parameter: &&Vec<TokenTree>| {
        parameter
            .last()
            .is_some_and(|last| is_word(last, "Response") || is_word(last, "Background"))
    };
    let is_res = |parameter: &&Vec<TokenTree>| name(parameter).is_some_and(|name| name == "res");
    let found = all.iter().find(is_response);
    let found = found.or_else(|| all.iter().find(is_res)).or(all.get(1));
    found
        .and_then(name)
        .unwrap_or_else(|| Ident::new("res", Span::call_site()))
}

/// Removes every task's attribute: for a body that is only there for what else is wrong in it.
pub(crate) fn without(body: &Group, crate_path: &CratePath) -> Group {
    let leave: Expand = |found, _, _| {
        let (others, function) = (&found.others, &found.function);
        Task::unclear(quote!(#others #function))
    };
    let res = Ident::new("res", Span::call_site());
    rewrite(body, Registers::On(&res), crate_path, leave).body
}
