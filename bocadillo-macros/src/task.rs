//! What a function with `#[background]` becomes.

use proc_macro2::{Ident, TokenStream};

/// Where a task is registered.
#[derive(Clone, Copy)]
pub(crate) enum Registers<'a> {
    /// In a view: on its response.
    On(&'a Ident),
    /// In a task: with the runner.
    FollowUp,
}

/// What a function with `#[background]` has become.
pub(crate) struct Task {
    pub(crate) tokens: TokenStream,
    /// Whether it is registered on the view's response, by its name.
    pub(crate) needs_response: bool,
    /// Its name, if it is certain that it is registered on the view's response.
    pub(crate) name: Option<Ident>,
    /// Whether what was registered before never runs, if this is registered next.
    pub(crate) replaces: bool,
}

impl Task {
    /// A task of which only the tokens are known.
    pub(crate) fn unclear(tokens: TokenStream) -> Self {
        Self {
            tokens,
            needs_response: false,
            name: None,
            replaces: false,
        }
    }
}
