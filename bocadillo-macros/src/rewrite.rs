//! Finds the `#[background]` functions in a view's body, and expands them there.
//!
//! By walking token trees: a body that is only half typed is no valid syntax, and an editor must
//! still see through it.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::{format_ident, quote, quote_spanned};

use crate::{
    args::CratePath,
    background::{self, Registers},
};

/// A body in which every task is registered.
pub(crate) struct Rewritten {
    pub(crate) body: Group,
    /// The word `background` as one attribute has it, where that is imported.
    pub(crate) import: Option<Ident>,
}

/// What a function with `#[background]` has become.
pub(crate) struct Task {
    pub(crate) tokens: TokenStream,
    /// Whether those before it in the same block can never run.
    pub(crate) replaces: bool,
    /// Its name, if it is always registered.
    pub(crate) name: Option<Ident>,
}

impl Task {
    /// Something with a mistake.
    pub(crate) fn unclear(tokens: TokenStream) -> Self {
        Self {
            tokens,
            replaces: false,
            name: None,
        }
    }
}

/// Expands every `#[background]` in `body`.
pub(crate) fn rewrite(body: &Group, registers: Registers<'_>, crate_path: &CratePath) -> Rewritten {
    let mut rewriter = Rewriter {
        registers,
        crate_path,
        import: None,
    };
    let stream = rewriter.stream(body.stream(), true);
    Rewritten {
        body: with_span(body, stream),
        import: rewriter.import,
    }
}

/// Removes every `#[background]`: for a body that is only there for what else is wrong in it.
pub(crate) fn without(body: &Group) -> Group {
    let trees: Vec<_> = body.stream().into_iter().collect();
    let mut output = TokenStream::new();
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        let is_ours = attribute(&trees[at..]).is_some_and(|attr| background_args(attr).is_some());
        if is_ours {
            at += 2;
            continue;
        }
        output.extend([match tree {
            TokenTree::Group(group) => TokenTree::Group(without(group)),
            other => other.clone(),
        }]);
        at += 1;
    }
    with_span(body, output)
}

struct Rewriter<'a> {
    registers: Registers<'a>,
    crate_path: &'a CratePath,
    import: Option<Ident>,
}

impl Rewriter<'_> {
    /// `is_block`: statements stand here, one after the other.
    fn stream(&mut self, tokens: TokenStream, is_block: bool) -> TokenStream {
        let trees: Vec<_> = tokens.into_iter().collect();
        let mut output = TokenStream::new();
        // The last task of this block that certainly is registered when the next one is.
        let mut earlier: Option<Ident> = None;
        let mut at = 0;
        while let Some(tree) = trees.get(at) {
            if let Some(found) = find(&trees[at..]) {
                self.import = self.import.take().or(found.import);
                let mut item = found.others;
                item.extend(found.function);
                let crate_path = Some(self.crate_path);
                let task = background::expand_for(found.args, &item, self.registers, crate_path);
                let is_on_response = matches!(self.registers, Registers::On(_));
                if let (Some(earlier), Some(later)) = (&earlier, &task.name) {
                    if task.replaces && is_block && is_on_response {
                        output.extend(never_runs(earlier, later));
                    }
                }
                output.extend(task.tokens);
                earlier = task.name.or(earlier).filter(|_| is_block);
                at += found.len;
                continue;
            }
            if may_leave(&trees, at) {
                earlier = None;
            }
            output.extend([match tree {
                TokenTree::Group(group) => {
                    let is_macro = at > 0 && is_punct(&trees[at - 1], '!');
                    let is_block = !is_macro && group.delimiter() == Delimiter::Brace;
                    let inner = self.stream(group.stream(), is_block);
                    TokenTree::Group(with_span(group, inner))
                }
                other => other.clone(),
            }]);
            at += 1;
        }
        output
    }
}

/// Whether what stands here, or within it, may end the block before its next statement.
fn may_leave(trees: &[TokenTree], at: usize) -> bool {
    match &trees[at] {
        TokenTree::Punct(punct) => match punct.as_char() {
            '?' => true,
            // A macro's call: its arguments may hold anything.
            '!' => matches!(trees.get(at + 1), Some(TokenTree::Group(_))),
            _ => false,
        },
        TokenTree::Ident(ident) => ["return", "break", "continue"]
            .iter()
            .any(|word| ident == word),
        TokenTree::Group(group) => {
            let inner: Vec<_> = group.stream().into_iter().collect();
            (0..inner.len()).any(|at| may_leave(&inner, at))
        }
        TokenTree::Literal(_) => false,
    }
}

/// A warning on the name of a task that can never run. There is no other way to one on stable Rust
/// than the use of something deprecated; `#[allow(deprecated)]` on the view quiets it.
fn never_runs(earlier: &Ident, later: &Ident) -> TokenStream {
    let note = format!(
        "`{earlier}` never runs: `{later}` comes after it in the same block and takes its place; \
         to keep both, give `{later}` the option `add`"
    );
    let constant = format_ident!("__BOCADILLO_NEVER_RUNS", span = earlier.span());
    let definition = quote! {
        #[deprecated(note = #note)]
        const __BOCADILLO_NEVER_RUNS: u8 = 0;
    };
    let used = quote_spanned!(earlier.span()=> #constant);
    quote! {{
        #definition
        let _ = #used;
    }}
}

fn with_span(group: &Group, stream: TokenStream) -> Group {
    let mut new = Group::new(group.delimiter(), stream);
    new.set_span(group.span());
    new
}

/// A function with `#[background]` among its attributes.
struct Found {
    args: TokenStream,
    /// The attribute's word, if that is all of its path.
    import: Option<Ident>,
    /// Its other attributes.
    others: TokenStream,
    /// From its first token to its body.
    function: TokenStream,
    /// How many trees it takes.
    len: usize,
}

fn find(trees: &[TokenTree]) -> Option<Found> {
    let mut args = None;
    let mut import = None;
    let mut others = TokenStream::new();
    let mut at = 0;
    while let Some(attr) = attribute(&trees[at..]) {
        match background_args(attr) {
            Some(found) if args.is_none() => {
                args = Some(found);
                import = only_word(attr);
            }
            _ => others.extend(trees[at..at + 2].iter().cloned()),
        }
        at += 2;
    }
    let args = args?;
    let len = trees[at..].iter().position(is_body)? + 1;
    let function: Vec<_> = trees[at..at + len].to_vec();
    function
        .iter()
        .any(|tree| is_word(tree, "fn"))
        .then(|| Found {
            args,
            import,
            others,
            function: function.into_iter().collect(),
            len: at + len,
        })
}

/// The content of `#[…]`, if that comes first.
fn attribute(trees: &[TokenTree]) -> Option<&Group> {
    match trees {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..]
            if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
        {
            Some(group)
        }
        _ => None,
    }
}

/// The arguments of a `#[background]` that comes first.
#[cfg(test)]
pub(crate) fn background_at(trees: &[TokenTree]) -> Option<TokenStream> {
    background_args(attribute(trees)?)
}

/// The arguments of `background`, `bocadillo::background` and the like.
fn background_args(attr: &Group) -> Option<TokenStream> {
    let trees: Vec<_> = attr.stream().into_iter().collect();
    let (args, path) = match trees.split_last()? {
        (TokenTree::Group(args), path) if args.delimiter() == Delimiter::Parenthesis => {
            (args.stream(), path)
        }
        _ => (TokenStream::new(), &*trees),
    };
    let is_path = path.iter().all(|tree| match tree {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(punct) => punct.as_char() == ':',
        TokenTree::Group(_) | TokenTree::Literal(_) => false,
    });
    (is_path && is_word(path.last()?, "background")).then_some(args)
}

/// The attribute's word, if its path is that alone.
fn only_word(attr: &Group) -> Option<Ident> {
    let mut trees = attr.stream().into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Ident(word)), None | Some(TokenTree::Group(_))) => Some(word),
        _ => None,
    }
}

fn is_punct(tree: &TokenTree, punct: char) -> bool {
    matches!(tree, TokenTree::Punct(other) if other.as_char() == punct)
}

fn is_body(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn is_word(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == word)
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;
    use quote::quote;

    use super::*;

    fn rewritten(body: TokenStream) -> String {
        let response = Ident::new("response", Span::call_site());
        let body = Group::new(Delimiter::None, body);
        let crate_path = CratePath::default();
        let rewritten = rewrite(&body, Registers::On(&response), &crate_path);
        rewritten.body.stream().to_string()
    }

    fn warns(body: TokenStream) -> bool {
        rewritten(body).contains("deprecated")
    }

    #[test]
    fn warns_of_what_never_runs() {
        assert!(warns(quote! {
            #[background] async fn a() {}
            let x = 1;
            #[background] async fn b() {}
        }));
    }

    #[test]
    fn is_quiet_where_it_may_run() {
        let between = [
            quote!(check()?;),
            quote!(if x {
                return;
            }),
            quote!(ensure!(x);),
            quote!(loop {
                break;
            }),
        ];
        for between in between {
            let body = quote! {
                #[background] async fn a() {}
                #between
                #[background] async fn b() {}
            };
            assert!(!warns(body), "{between}");
        }
        assert!(!warns(quote! {
            #[background] async fn a() {}
            #[background(add)] async fn b() {}
        }));
        assert!(!warns(quote! {
            #[background] async fn a() {}
            if urgent { #[background] async fn b() {} }
        }));
        assert!(!warns(quote! {
            #[background] async fn a() {}
            #[cfg(test)]
            #[background] async fn b() {}
        }));
    }

    #[test]
    fn a_task_in_a_task_is_a_follow_up() {
        let tokens = rewritten(quote! {
            #[background] async fn a() { #[background] async fn b() {} }
        });
        assert!(tokens.contains("current () . spawn"), "{tokens}");
    }

    #[test]
    fn finds_tasks_at_any_depth() {
        let tokens = rewritten(quote! {
            if urgent { #[background] async fn call() {} } else { #[bocadillo::background] async fn mail() {} }
        });
        assert_eq!(
            tokens.matches("response . background").count(),
            2,
            "{tokens}"
        );
    }

    #[test]
    fn leaves_everything_else() {
        let body = quote! { let x = #[allow(unused)] 3; foo!(x); #[background_task] fn f() {} };
        assert_eq!(rewritten(body.clone()), body.to_string());
    }

    #[test]
    fn survives_a_half_typed_body() {
        let tokens = rewritten(quote! { let x = foo. ; #[background] async fn mail() { x. } res. });
        assert!(tokens.contains("response . background"), "{tokens}");
        assert_eq!(
            rewritten(quote! { #[background] async fn }),
            "# [background] async fn"
        );
    }
}
