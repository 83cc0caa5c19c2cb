//! Warns of a task that can never run, as another one certainly takes its place.
//!
//! Certainly: both are registered on the view's response in one block, and between them stands
//! nothing that could leave the block, panic or await. So any call, operator or macro between them
//! makes it quiet, and so does a value that the second one's attribute evaluates.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{quote, quote_spanned};

use crate::{
    task::Task,
    tokens::{is_punct, is_word},
};

/// What was registered in a block up to some place.
#[derive(Default)]
pub(crate) struct Block {
    /// The last task that certainly is registered when the next one is.
    earlier: Option<Ident>,
    /// How many more trees are known to do nothing.
    quiet: usize,
}

impl Block {
    /// Registers the next task. Returns a warning if the last one can never run.
    pub(crate) fn register(&mut self, task: &Task) -> Option<TokenStream> {
        let earlier = self.earlier.take();
        let warning = match (&earlier, &task.name) {
            (Some(earlier), Some(later)) if task.replaces => Some(warning(earlier, later)),
            _ => None,
        };
        self.earlier = task.name.clone();
        warning
    }

    /// Passes the first of these trees, which is no task.
    pub(crate) fn pass(&mut self, trees: &[TokenTree]) {
        if self.quiet == 0 {
            self.quiet = quiet_statement(trees);
        }
        match self.quiet.checked_sub(1) {
            Some(left) => self.quiet = left,
            None => self.earlier = None,
        }
    }
}

/// The length of a statement that does nothing but name a value: `let x = 1;`, `let x = y;`, `;`.
fn quiet_statement(trees: &[TokenTree]) -> usize {
    if trees.first().is_some_and(|first| is_punct(first, ';')) {
        return 1;
    }
    let is_quiet = |tree: &TokenTree| match tree {
        TokenTree::Ident(_) | TokenTree::Literal(_) => true,
        TokenTree::Punct(punct) => matches!(punct.as_char(), '=' | ':'),
        TokenTree::Group(_) => false,
    };
    match trees.iter().position(|tree| !is_quiet(tree)) {
        Some(end) if is_word(&trees[0], "let") && is_punct(&trees[end], ';') => end + 1,
        _ => 0,
    }
}

/// A warning on the name of a task. There is no other way to one on stable Rust than the use of
/// something deprecated, which rustc names in it; `#[allow(deprecated)]` on the view quiets it.
fn warning(earlier: &Ident, later: &Ident) -> TokenStream {
    let note = format!(
        "this task never runs, because `{later}` takes its place; to run both, add the option `add` to `{later}`"
    );
    let used = quote_spanned!(earlier.span()=> #earlier);
    quote! {{
        #[deprecated = #note]
        fn #earlier() {}
        let _ = #used;
    }}
}
