//! What stands in the parentheses of `#[task(…)]`.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens as _, quote};
use syn::{
    Expr, Lit, LitInt, LitStr, Token,
    ext::IdentExt as _,
    parse::{ParseStream, Parser as _},
};

use crate::{
    args::{CratePath, set_once},
    errors::Errors,
    options::duration,
    tokens::{peeled, split_at_commas},
};

/// How a durable task is kept and tried again.
#[derive(Default)]
pub(crate) struct Options {
    name: Option<LitStr>,
    aliases: Option<Vec<LitStr>>,
    retries: Option<LitInt>,
    /// Two `Duration`s.
    backoff: Option<[TokenStream; 2]>,
    /// A `Duration`.
    timeout: Option<TokenStream>,
    pub(super) crate_path: CratePath,
}

const WORDS: &str = "`name`, `aliases`, `retries`, `backoff`, `timeout`, `crate`";

impl Options {
    /// Parses all; what is wrong is reported and left out.
    pub(super) fn parse(args: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        for one in split_at_commas(peeled(args)) {
            let parse = |input: ParseStream<'_>| options.parse_one(input);
            if let Err(error) = parse.parse2(one) {
                errors.push(error);
            }
        }
        options
    }

    fn parse_one(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if input.peek(Token![crate]) {
            self.crate_path = input.parse()?;
            return Ok(());
        }
        let word = input.call(Ident::parse_any)?;
        if !self.parse_option(&word, input)? {
            let _ = input.parse::<TokenStream>();
            let message = format!("unknown option `{word}`; expected one of {WORDS}");
            return Err(syn::Error::new_spanned(word, message));
        }
        Ok(())
    }

    /// Parses the value of an option; returns whether there is such an option.
    pub(crate) fn parse_option(
        &mut self,
        word: &Ident,
        input: ParseStream<'_>,
    ) -> syn::Result<bool> {
        match &*word.to_string() {
            "name" => {
                let name = string(word, input, "name = \"mail.confirm\"")?;
                set_once(&mut self.name, word, name)?;
            }
            "aliases" => set_once(&mut self.aliases, word, aliases(word, input)?)?,
            "retries" => {
                let example = "retries = 10";
                let retries = value(word, input, example)?;
                set_once(&mut self.retries, word, number(retries, example)?)?;
            }
            "backoff" => {
                let text = string(word, input, "backoff = \"1s..1h\"")?;
                set_once(&mut self.backoff, word, backoff(&text)?)?;
            }
            "timeout" => {
                let text = string(word, input, "timeout = \"30s\"")?;
                set_once(&mut self.timeout, word, duration(&text, &text.value())?)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The name by which it is kept.
    pub(super) fn name(&self, function: &Ident) -> TokenStream {
        match &self.name {
            Some(name) => name.to_token_stream(),
            None => {
                let name = function.unraw().to_string();
                quote!(::core::concat!(::core::module_path!(), "::", #name))
            }
        }
    }

    /// What is called on the definition.
    pub(super) fn calls(&self) -> TokenStream {
        let mut calls = TokenStream::new();
        if let Some(aliases) = &self.aliases {
            calls.extend(quote!(.aliases(&[#(#aliases),*])));
        }
        if let Some(retries) = &self.retries {
            calls.extend(quote!(.retries(#retries)));
        }
        if let Some([first, longest]) = &self.backoff {
            calls.extend(quote!(.backoff(#first, #longest)));
        }
        if let Some(timeout) = &self.timeout {
            calls.extend(quote!(.timeout(#timeout)));
        }
        calls
    }
}

fn value(word: &Ident, input: ParseStream<'_>, example: &str) -> syn::Result<Expr> {
    let parsed = input
        .parse::<Token![=]>()
        .and_then(|_| input.parse::<Expr>());
    parsed.map_err(|_| {
        let _ = input.parse::<TokenStream>();
        let message = format!("missing value for the option `{word}`; write `{example}`");
        syn::Error::new_spanned(word, message)
    })
}

fn string(word: &Ident, input: ParseStream<'_>, example: &str) -> syn::Result<LitStr> {
    let value = value(word, input, example)?;
    literal(value, example)
}

/// The name is looked for in every process, so it is written where it stands.
fn literal(value: Expr, example: &str) -> syn::Result<LitStr> {
    match value {
        Expr::Lit(lit) => match lit.lit {
            Lit::Str(text) => Ok(text),
            other => Err(wrong(other, "a string", example)),
        },
        Expr::Group(group) => literal(*group.expr, example),
        other => Err(wrong(other, "a string", example)),
    }
}

fn number(value: Expr, example: &str) -> syn::Result<LitInt> {
    match value {
        Expr::Lit(lit) => match lit.lit {
            Lit::Int(number) if number.base10_parse::<u32>().is_ok() => Ok(number),
            other => Err(wrong(other, "a whole number", example)),
        },
        Expr::Group(group) => number(*group.expr, example),
        other => Err(wrong(other, "a whole number", example)),
    }
}

fn wrong(tokens: impl quote::ToTokens, what: &str, example: &str) -> syn::Error {
    syn::Error::new_spanned(tokens, format!("expected {what}; write `{example}`"))
}

fn aliases(word: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<LitStr>> {
    let example = "aliases = [\"old.name\"]";
    match value(word, input, example)? {
        Expr::Array(array) => {
            let aliases = array.elems.into_iter();
            aliases.map(|alias| literal(alias, example)).collect()
        }
        other => Err(wrong(other, "a list of strings", example)),
    }
}

/// `"1s..1h"`, or one duration.
fn backoff(text: &LitStr) -> syn::Result<[TokenStream; 2]> {
    let value = text.value();
    let (first, longest) = value.split_once("..").unwrap_or((&value, &value));
    let [first_millis, longest_millis] = [millis(text, first)?, millis(text, longest)?];
    if first_millis > longest_millis {
        let message = "invalid backoff; the longest delay is shorter than the first one";
        return Err(syn::Error::new_spanned(text, message));
    }
    Ok([from_millis(first_millis), from_millis(longest_millis)])
}

fn duration(place: &LitStr, text: &str) -> syn::Result<TokenStream> {
    millis(place, text).map(from_millis)
}

fn millis(place: &LitStr, text: &str) -> syn::Result<u64> {
    duration::parse(text).map_err(|message| syn::Error::new_spanned(place, message))
}

fn from_millis(millis: u64) -> TokenStream {
    quote!(::core::time::Duration::from_millis(#millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: TokenStream) -> (String, usize) {
        let mut errors = Errors::default();
        let options = Options::parse(args, &mut errors);
        let errors = errors.into_compile_errors().to_string();
        (
            options.calls().to_string(),
            errors.matches("compile_error").count(),
        )
    }

    #[test]
    fn every_option_is_called_on_the_definition() {
        let (calls, errors) = parsed(quote!(
            name = "mail",
            aliases = ["old"],
            retries = 3,
            backoff = "1s..1h",
            timeout = "5m"
        ));
        assert_eq!(errors, 0);
        for call in ["aliases", "retries", "backoff", "timeout"] {
            assert!(calls.contains(call), "{calls}");
        }
        assert!(calls.contains("3600000"), "{calls}");
    }

    #[test]
    fn every_mistake_is_reported() {
        let (_, errors) = parsed(quote!(
            name = MAIL,
            aliases = "old",
            retries = "3",
            backoff = "1h..1s",
            timeout = "5",
            unknown,
            retries
        ));
        assert_eq!(errors, 7);
    }
}
