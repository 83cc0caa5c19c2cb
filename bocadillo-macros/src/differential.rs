//! Random bodies: an attribute hands on all that is no task, token by token, in its place.
//!
//! rustc sees a body as it is written if the tokens are the same, in the same groups, at the same
//! places. So a view's body without its tasks must be what it was, the invisible groups included. What
//! they mean to rustc where they cannot stay is tested in the facade's `tests/meaning.rs`.

use std::str::FromStr as _;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::quote;

use crate::{
    args::CratePath,
    attribute,
    fuzz::{Rng, seed},
    route,
    tokens::braced,
    view,
};

/// What a body is made of; each is whole.
const PARTS: [&str; 24] = [
    "let x = 1 + 2;",
    "x.call(y, z)?;",
    "if x > 1 { y } else { z };",
    "match x { Some(1 | 2) => {} _ => return }",
    "'outer: loop { break 'outer; }",
    "let f = |a, b: &'static str| a + b;",
    "async move { x.await };",
    "println!(\"{x} {}\", y);",
    "let Some(x) = y else { return };",
    "#[allow(unused)] let r#type = b'x';",
    "#[other::background] fn f() {}",
    "#[background_task] async fn f() {}",
    "fn g<T: Into<u8>>(t: T) -> u8 { t.into() }",
    "struct S<'a> { a: &'a [u8; 3] }",
    "for i in 0..=9 { x += i; }",
    "select! { a = b => c, else => {} }",
    "let _ = <Vec<u8>>::new()[..].iter();",
    "x?.y.0.1;",
    "unsafe { *p }",
    "let 1.. = 0x7f_u8 else { };",
    "background(x);",
    "a <<= b >> c;",
    "-1.5e3_f32",
    ". half =",
];

const TASKS: [&str; 4] = [
    "#[background] async fn task() { x.await; }",
    "#[bocadillo::background(add, name = \"n\")] async fn task() -> Result<(), E> { f()?; Ok(()) }",
    "#[allow(unused)] #[background(clone(a))] async fn task() {}",
    "#[background(blocking)] fn task() { work() }",
];

impl Rng {
    /// A text, as its tokens then have places in it.
    fn body(&mut self, depth: usize) -> String {
        let mut text = String::new();
        for _ in 0..self.below(6) {
            let part = match self.below(if depth == 0 { 8 } else { 12 }) {
                0 => TASKS[self.below(TASKS.len())].to_owned(),
                8 => format!("{{ {} }}", self.body(depth - 1)),
                9 => format!("if x {{ {} }}", self.body(depth - 1)),
                10 => format!("call(async {{ {} }});", self.body(depth - 1)),
                11 => format!("[{}]", self.body(depth - 1)),
                _ => PARTS[self.below(PARTS.len())].to_owned(),
            };
            text += &part;
            text += if self.below(3) == 0 { "\n    " } else { " " };
        }
        text
    }

    /// Puts some trees into invisible groups, where nothing binds to a part of them.
    fn fragments(&mut self, stream: TokenStream) -> TokenStream {
        let fragment = |rng: &mut Self, tree| match tree {
            TokenTree::Group(group) => {
                let mut new = Group::new(group.delimiter(), rng.fragments(group.stream()));
                new.set_span(group.span());
                TokenTree::Group(new)
            }
            TokenTree::Literal(literal) if rng.below(2) == 0 => {
                let mut new = Group::new(Delimiter::None, TokenTree::from(literal.clone()).into());
                new.set_span(literal.span());
                TokenTree::Group(new)
            }
            other => other,
        };
        stream
            .into_iter()
            .map(|tree| fragment(self, tree))
            .collect()
    }
}

/// Every token with its place; of groups, both delimiters.
fn flat(stream: TokenStream, out: &mut Vec<String>) {
    for tree in stream {
        let (begin, end) = (tree.span().start(), tree.span().end());
        let place = format!(
            "{}:{}-{}:{}",
            begin.line, begin.column, end.line, end.column
        );
        match tree {
            TokenTree::Group(group) => {
                out.push(format!("{place} open {:?}", group.delimiter()));
                flat(group.stream(), out);
                out.push(format!("{place} close"));
            }
            TokenTree::Punct(punct) => {
                out.push(format!("{place} {} {:?}", punct.as_char(), punct.spacing()));
            }
            other => out.push(format!("{place} {other}")),
        }
    }
}

/// The tokens that are in no task, and no task's trace.
fn without_tasks(stream: TokenStream) -> TokenStream {
    let trees: Vec<_> = stream.into_iter().collect();
    let mut output = TokenStream::new();
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        if let Some(found) = attribute::find(&trees[at..], &CratePath::default()) {
            at += found.len;
            continue;
        }
        output.extend([match tree {
            TokenTree::Group(group) => {
                let mut new = Group::new(group.delimiter(), without_tasks(group.stream()));
                new.set_span(group.span());
                TokenTree::Group(new)
            }
            other => other.clone(),
        }]);
        at += 1;
    }
    output
}

/// Whether `part` is `whole` with something left out.
fn is_part(part: &[String], whole: &[String]) -> Result<(), String> {
    let mut rest = whole.iter();
    match part.iter().find(|token| !rest.any(|other| other == *token)) {
        None => Ok(()),
        Some(lost) => Err(lost.clone()),
    }
}

#[test]
fn a_body_is_handed_on() {
    let mut rng = Rng::new(seed());
    for _ in 0..1_500 {
        let text = format!(
            "async fn name(_req: &mut Request, res: &mut Response) {{ {} }}",
            rng.body(3)
        );
        let item = TokenStream::from_str(&text).expect("tokens");
        let item = rng.fragments(item);
        let body = item
            .clone()
            .into_iter()
            .last()
            .and_then(|tree| braced(&tree));
        let body = body.expect("a body").stream();

        let mut expected = Vec::new();
        flat(without_tasks(body.clone()), &mut expected);
        for expanded in [
            view::expand(TokenStream::new(), item.clone()),
            route::expand(quote!("/"), item.clone()),
        ] {
            let mut found = Vec::new();
            flat(expanded, &mut found);
            assert_eq!(is_part(&expected, &found), Ok(()), "{text}");
        }
    }
}

#[test]
fn a_body_without_a_task_is_untouched() {
    let mut rng = Rng::new(seed());
    for _ in 0..1_000 {
        let text = format!(
            "async fn name(_req: &mut Request, res: &mut Response) {{ {} }}",
            rng.body(3)
        );
        let item = TokenStream::from_str(&text).expect("tokens");
        let item = rng.fragments(without_tasks(item));
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        flat(item.clone(), &mut expected);
        flat(view::expand(TokenStream::new(), item), &mut found);
        assert_eq!(found, expected, "{text}");
    }
}
