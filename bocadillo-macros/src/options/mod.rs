//! What stands in the parentheses of `#[background(…)]`: parsed one by one, so that every mistake is
//! reported.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::{
    Expr, Lit, LitStr, Token,
    ext::IdentExt as _,
    parse::{Parse, ParseStream, Parser as _},
    punctuated::Punctuated,
};

use super::duration;
use crate::{args::CratePath, errors::Errors};

const WORDS: [&str; 8] = [
    "name", "timeout", "when", "add", "blocking", "clone", "args", "crate",
];

#[derive(Default)]
pub(crate) struct Options {
    pub(super) target: Option<Expr>,
    pub(super) name: Option<Expr>,
    /// A `Duration`.
    pub(super) timeout: Option<TokenStream>,
    pub(super) when: Option<When>,
    pub(super) add: Option<Ident>,
    pub(super) blocking: Option<Ident>,
    pub(super) clones: Vec<Ident>,
    /// Whether there is `args(…)`, though it may be empty.
    pub(super) args_word: Option<Ident>,
    pub(super) args: Vec<Arg>,
    pub(super) crate_path: CratePath,
}

/// One of `args(…)`.
pub(super) struct Arg {
    pub(super) name: Ident,
    /// Without one, a clone of the variable of that name.
    pub(super) value: Option<Expr>,
}

pub(super) struct When {
    pub(super) word: Ident,
    pub(super) value: WhenValue,
}

pub(super) enum WhenValue {
    /// A variant of the runtime's `When`.
    Named(&'static str, Span),
    Path(Box<Expr>),
}

impl Options {
    /// Parses all; what is wrong is reported and left out.
    pub(crate) fn parse(args: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        for (at, one) in split(args).into_iter().enumerate() {
            let parse = |input: ParseStream<'_>| options.parse_one(input, at == 0, &mut seen);
            if let Err(error) = parse.parse2(one) {
                errors.push(error);
            }
        }
        options
    }

    fn parse_one(
        &mut self,
        input: ParseStream<'_>,
        is_first: bool,
        seen: &mut Vec<Ident>,
    ) -> syn::Result<()> {
        if input.peek(Token![crate]) && input.peek2(Token![=]) {
            let word = input.fork().call(Ident::parse_any)?;
            once(seen, &word)?;
            self.crate_path = input.parse()?;
            return Ok(());
        }
        match option_word(input) {
            Some(word) => {
                input.call(Ident::parse_any)?;
                once(seen, &word)?;
                self.parse_option(word, input)
            }
            None if is_first => self.parse_target(input),
            None => Err(not_an_option(input)),
        }
    }

    fn parse_option(&mut self, word: Ident, input: ParseStream<'_>) -> syn::Result<()> {
        match &*word.to_string() {
            "name" => self.name = Some(value(&word, input, "name = \"…\"")?),
            "timeout" => {
                let value = value(&word, input, "timeout = \"30s\"")?;
                self.timeout = Some(timeout(value)?);
            }
            "when" => {
                let value = when(value(&word, input, "when = \"success\"")?)?;
                self.when = Some(When { word, value });
            }
            "add" => self.add = Some(alone(word, input)?),
            "blocking" => self.blocking = Some(alone(word, input)?),
            "clone" => self.clones = clones(&word, input)?,
            "args" => {
                self.args = args(&word, input)?;
                self.args_word = Some(word);
            }
            _ => return Err(unknown(&word)),
        }
        Ok(())
    }

    fn parse_target(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let rest: TokenStream = input.fork().parse()?;
        let target: Expr = match input.parse() {
            Ok(target) if input.is_empty() => target,
            _ => {
                let _ = input.parse::<TokenStream>();
                return Err(syn::Error::new_spanned(rest, NO_PLACE));
            }
        };
        if !is_place(&target) {
            return Err(syn::Error::new_spanned(target, NO_PLACE));
        }
        self.target = Some(target);
        Ok(())
    }
}

const NO_PLACE: &str =
    "the response is named by a place: `#[background(res)]`, `#[background(self.res)]`";

/// A variable, or a field of one.
fn is_place(expr: &Expr) -> bool {
    match expr {
        Expr::Path(path) => path.path.get_ident().is_some(),
        Expr::Field(field) => is_place(&field.base),
        // An `expr` that a macro of the user's was given.
        Expr::Group(group) => is_place(&group.expr),
        _ => false,
    }
}

/// At its commas: a mistake in one option is none in the next.
fn split(args: TokenStream) -> Vec<TokenStream> {
    let mut all = vec![TokenStream::new()];
    for tree in args {
        let is_comma = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == ',');
        match all.last_mut() {
            Some(last) if !is_comma => last.extend([tree]),
            _ => all.push(TokenStream::new()),
        }
    }
    all.retain(|one| !one.is_empty());
    all
}

/// The word at which something is an option: one that is known, or one with a value, or one that
/// is misspelled.
fn option_word(input: ParseStream<'_>) -> Option<Ident> {
    let fork = input.fork();
    let word = fork.call(Ident::parse_any).ok()?;
    let is_path = fork.peek(Token![.]) || fork.peek(Token![::]);
    let has_value = fork.peek(Token![=]) || fork.peek(syn::token::Paren);
    let known = WORDS.iter().any(|known| word == known);
    (!is_path && (known || has_value || (fork.is_empty() && nearest(&word).is_some())))
        .then_some(word)
}

fn not_an_option(input: ParseStream<'_>) -> syn::Error {
    match input.fork().call(Ident::parse_any) {
        Ok(word) => {
            let _ = input.parse::<TokenStream>();
            unknown(&word)
        }
        Err(_) => {
            let rest: TokenStream = input.parse().unwrap_or_default();
            syn::Error::new_spanned(rest, "expected an option of `#[background]`")
        }
    }
}

fn unknown(word: &Ident) -> syn::Error {
    let message = if word == "durable" {
        "durable tasks are not there yet".to_owned()
    } else if let Some(nearest) = nearest(word) {
        format!("`{word}` is no option of `#[background]`; did you mean `{nearest}`?")
    } else {
        let words = WORDS.join("`, `");
        format!("`{word}` is no option of `#[background]`; it has: the response first, `{words}`")
    };
    syn::Error::new_spanned(word, message)
}

/// The option that it is a misspelling of.
fn nearest(word: &Ident) -> Option<&'static str> {
    let word = word.to_string();
    let allowed = |known: &str| if known.len() > 4 { 2 } else { 1 };
    WORDS
        .into_iter()
        .map(|known| (distance(&word, known), known))
        .filter(|(distance, known)| (1..=allowed(known)).contains(distance))
        .min()
        .map(|(_, known)| known)
}

/// How many letters are to be added, left out, or exchanged, also with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            if i == 0 || j == 0 {
                rows[i][j] = i + j;
                continue;
            }
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1)
                .min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

fn once(seen: &mut Vec<Ident>, word: &Ident) -> syn::Result<()> {
    if seen.iter().any(|other| other == word) {
        let message = format!("`{word}` stands here twice; leave one out");
        return Err(syn::Error::new_spanned(word, message));
    }
    seen.push(word.clone());
    Ok(())
}

fn value(word: &Ident, input: ParseStream<'_>, example: &str) -> syn::Result<Expr> {
    if !input.peek(Token![=]) {
        let _ = input.parse::<TokenStream>();
        let message = format!("`{word}` needs a value: `{example}`");
        return Err(syn::Error::new_spanned(word, message));
    }
    input.parse::<Token![=]>()?;
    let value = Expr::parse(input).map_err(|_| {
        syn::Error::new_spanned(word, format!("`{word}` needs a value: `{example}`"))
    })?;
    match &value {
        Expr::Path(_) => Ok(value),
        Expr::Lit(lit) if matches!(lit.lit, Lit::Str(_)) => Ok(value),
        other => {
            let message = format!("`{word}` takes a string or a path: `{example}`");
            Err(syn::Error::new_spanned(other, message))
        }
    }
}

fn alone(word: Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    if input.is_empty() {
        return Ok(word);
    }
    let rest: TokenStream = input.parse()?;
    let message = format!("`{word}` stands alone; leave this out");
    Err(syn::Error::new_spanned(rest, message))
}

fn literal(expr: &Expr) -> Option<&LitStr> {
    match expr {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Str(literal) => Some(literal),
            _ => None,
        },
        _ => None,
    }
}

fn timeout(value: Expr) -> syn::Result<TokenStream> {
    let Some(literal) = literal(&value) else {
        return Ok(value.into_token_stream());
    };
    match duration::parse(&literal.value()) {
        Ok(millis) => Ok(quote!(::core::time::Duration::from_millis(#millis))),
        Err(message) => Err(syn::Error::new_spanned(literal, message)),
    }
}

fn when(value: Expr) -> syn::Result<WhenValue> {
    let Some(literal) = literal(&value) else {
        return Ok(WhenValue::Path(Box::new(value)));
    };
    let variant = match &*literal.value() {
        "always" => "Always",
        "success" => "Success",
        "delivered" => "Delivered",
        _ => {
            let message = "`when` is \"always\", \"success\" or \"delivered\"";
            return Err(syn::Error::new_spanned(literal, message));
        }
    };
    Ok(WhenValue::Named(variant, literal.span()))
}

fn list(word: &Ident, input: ParseStream<'_>, example: &str) -> syn::Result<TokenStream> {
    let group = match input.parse::<TokenTree>() {
        Ok(TokenTree::Group(group)) if input.is_empty() => group,
        _ => {
            let _ = input.parse::<TokenStream>();
            let message = format!("`{word}` needs a list: `{example}`");
            return Err(syn::Error::new_spanned(word, message));
        }
    };
    Ok(group.stream())
}

fn clones(word: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    let example = "clone(db, email)";
    let list = list(word, input, example)?;
    let mut names: Vec<Ident> = Vec::new();
    for one in split(list) {
        let name: Ident = syn::parse2(one.clone()).map_err(|_| {
            let message = format!("`clone` takes the names of variables: `{example}`");
            syn::Error::new_spanned(one, message)
        })?;
        once(&mut names, &name)?;
    }
    if names.is_empty() {
        return Err(syn::Error::new_spanned(
            word,
            format!("`clone` needs a list: `{example}`"),
        ));
    }
    Ok(names)
}

fn args(word: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Arg>> {
    let list = list(word, input, "args(who = expression, number)")?;
    let parse = Punctuated::<Arg, Token![,]>::parse_terminated;
    let args: Vec<Arg> = parse.parse2(list)?.into_iter().collect();
    let mut names = Vec::new();
    for arg in &args {
        once(&mut names, &arg.name)?;
    }
    Ok(args)
}

impl Parse for Arg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.parse()?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        Ok(Self { name, value })
    }
}
