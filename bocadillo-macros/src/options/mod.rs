//! What stands in the parentheses of `#[background(…)]`: parsed one by one, so that every mistake is
//! reported.

pub(crate) mod duration;
mod words;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::{
    Expr, Lit, LitStr, Token,
    ext::IdentExt as _,
    parse::{Parse, ParseStream, Parser as _},
    punctuated::Punctuated,
};

use self::words::{WORDS, nearest, unknown};
use crate::{
    args::CratePath,
    errors::Errors,
    invisible,
    tokens::{peeled, split_at_commas},
};

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) target: Option<Expr>,
    pub(crate) name: Option<Expr>,
    /// A `Duration`.
    pub(crate) timeout: Option<TokenStream>,
    pub(crate) when: Option<When>,
    pub(crate) add: Option<Ident>,
    pub(crate) blocking: Option<Ident>,
    pub(crate) clones: Vec<Ident>,
    /// Whether there is `args(…)`, though it may be empty.
    pub(crate) has_args: bool,
    /// Whether it was read.
    pub(crate) knows_args: bool,
    pub(crate) args: Vec<Arg>,
    pub(crate) crate_path: CratePath,
}

/// One of `args(…)`.
pub(crate) struct Arg {
    pub(crate) name: Ident,
    /// Without one, a clone of the variable of that name.
    pub(crate) value: Option<TokenStream>,
}

pub(crate) struct When {
    pub(crate) word: Ident,
    pub(crate) value: WhenValue,
}

pub(crate) enum WhenValue {
    /// A variant of the runtime's `When`.
    Named(&'static str, Span),
    Path(Box<Expr>),
}

/// Whether the first of the options is no option, but the response.
pub(crate) fn is_response(first: TokenStream) -> bool {
    let parse = |input: ParseStream<'_>| {
        let is_response = !input.is_empty() && option_word(input).is_none();
        input.parse::<TokenStream>()?;
        Ok(is_response)
    };
    parse.parse2(first).unwrap_or(false)
}

impl Options {
    /// Parses all; what is wrong is reported and left out.
    pub(crate) fn parse(args: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        for (at, one) in split_at_commas(peeled(args)).into_iter().enumerate() {
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
                self.has_args = true;
                self.args = args(&word, input)?;
                self.knows_args = true;
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

const NO_PLACE: &str = "expected the name of the response; write `#[background(res)]`";

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

/// The word at which something is an option: one that is known, or one with a value, or one that
/// is misspelled.
fn option_word(input: ParseStream<'_>) -> Option<Ident> {
    let fork = input.fork();
    let word = fork.call(Ident::parse_any).ok()?;
    let is_path = fork.peek(Token![.]) || fork.peek(Token![::]);
    let has_value = fork.peek(Token![=]) || fork.peek(syn::token::Paren);
    let known = WORDS.iter().any(|known| word == known) || word == "durable";
    (!is_path && (known || has_value || (fork.is_empty() && nearest(&word).is_some())))
        .then_some(word)
}

fn not_an_option(input: ParseStream<'_>) -> syn::Error {
    match input.fork().call(Ident::parse_any) {
        Ok(word) => {
            let _ = input.parse::<TokenStream>();
            let message = format!(
                "expected an option, found `{word}`; a response must come first: `#[background({word}, …)]`"
            );
            syn::Error::new_spanned(word, message)
        }
        Err(_) => {
            let rest: TokenStream = input.parse().unwrap_or_default();
            let words = WORDS.join("`, `");
            syn::Error::new_spanned(rest, format!("expected one of the options `{words}`"))
        }
    }
}

fn once(seen: &mut Vec<Ident>, word: &Ident) -> syn::Result<()> {
    if seen.iter().any(|other| other == word) {
        let message = format!("duplicate option `{word}`");
        return Err(syn::Error::new_spanned(word, message));
    }
    seen.push(word.clone());
    Ok(())
}

fn value(word: &Ident, input: ParseStream<'_>, example: &str) -> syn::Result<Expr> {
    let missing = || {
        let message = format!("missing value for the option `{word}`; write `{example}`");
        syn::Error::new_spanned(word, message)
    };
    if input.parse::<Token![=]>().is_err() {
        let _ = input.parse::<TokenStream>();
        return Err(missing());
    }
    match ungrouped(Expr::parse(input).map_err(|_| missing())?) {
        value @ Expr::Path(_) => Ok(value),
        Expr::Lit(lit) if matches!(lit.lit, Lit::Str(_)) => Ok(Expr::Lit(lit)),
        other => {
            let message = format!("expected a string or a path; write `{example}`");
            Err(syn::Error::new_spanned(other, message))
        }
    }
}

/// The expression that a macro's `$value:expr` is.
fn ungrouped(expr: Expr) -> Expr {
    match expr {
        Expr::Group(group) => ungrouped(*group.expr),
        other => other,
    }
}

fn alone(word: Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    if input.is_empty() {
        return Ok(word);
    }
    let rest: TokenStream = input.parse()?;
    let message = format!("the option `{word}` takes no value; remove this");
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
            let message = "unknown condition; expected \"always\", \"success\" or \"delivered\"";
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
            let message = format!("missing list for the option `{word}`; write `{example}`");
            return Err(syn::Error::new_spanned(word, message));
        }
    };
    Ok(group.stream())
}

fn clones(word: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    let example = "clone(db, email)";
    let list = list(word, input, example)?;
    let mut names: Vec<Ident> = Vec::new();
    for one in split_at_commas(peeled(list)) {
        let name: Ident = syn::parse2(one.clone()).map_err(|_| {
            let message = format!("expected the name of a variable; write `{example}`");
            syn::Error::new_spanned(one, message)
        })?;
        once(&mut names, &name)?;
    }
    if names.is_empty() {
        return Err(syn::Error::new_spanned(
            word,
            format!("empty list for the option `clone`; write `{example}`"),
        ));
    }
    Ok(names)
}

fn args(word: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Arg>> {
    let list: TokenStream = invisible::trees(list(word, input, ARGS)?)
        .into_iter()
        .collect();
    let parse = Punctuated::<Arg, Token![,]>::parse_terminated;
    let args: Vec<Arg> = parse.parse2(list)?.into_iter().collect();
    let mut names = Vec::new();
    for arg in &args {
        once(&mut names, &arg.name)?;
    }
    Ok(args)
}

const ARGS: &str = "args(who = expression, number)";

impl Parse for Arg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let wrong = |_| {
            input.error(format!(
                "expected a parameter and its value; write `{ARGS}`"
            ))
        };
        let name: Ident = input.parse().map_err(wrong)?;
        let has_value = input.parse::<Option<Token![=]>>()?.is_some();
        if has_value && (input.is_empty() || input.peek(Token![,])) {
            let message = format!("missing value for the parameter `{name}`; write `{ARGS}`");
            return Err(syn::Error::new_spanned(name, message));
        }
        let value = has_value.then(|| expression(input)).transpose()?;
        Ok(Self { name, value })
    }
}

/// The tokens of an expression, as they are written.
fn expression(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let mut cursor = input.cursor();
    input.parse::<Expr>()?;
    let mut tokens = TokenStream::new();
    while cursor != input.cursor() {
        let Some((tree, next)) = cursor.token_tree() else {
            break;
        };
        tokens.extend([tree]);
        cursor = next;
    }
    Ok(tokens)
}
