//! What stands in the parentheses of `#[route(…)]`.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::{
    LitStr, Token, bracketed,
    ext::IdentExt as _,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

use crate::{
    args::{CratePath, set_once},
    errors::Errors,
};

const NO_PATH: &str = "missing path; write `#[route(\"/orders\")]`";
const NO_NAME: &str = "missing name of the option; write `methods = [\"get\"]`";
const LIST: &str = "expected a list of methods; write `methods = [\"get\"]`";

#[derive(Default)]
pub(super) struct Args {
    pub(super) path: Option<LitStr>,
    methods: Option<(Ident, Vec<LitStr>)>,
    pub(super) crate_path: CratePath,
}

impl Args {
    /// Parses all; after a mistake, what comes before it is there.
    pub(super) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self::default();
        let parse = |input: ParseStream<'_>| {
            let result = args.parse_all(input);
            input.parse::<TokenStream>()?;
            result
        };
        errors.take(syn::parse::Parser::parse2(parse, tokens));
        args
    }

    fn parse_all(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if input.is_empty() {
            return Err(syn::Error::new(Span::call_site(), NO_PATH));
        }
        if !input.peek(LitStr) {
            return Err(input.error(NO_PATH));
        }
        self.path = Some(input.parse()?);
        while !input.is_empty() {
            if input.parse::<Token![,]>().is_err() {
                return Err(input.error("expected `,`"));
            }
            if !input.is_empty() {
                self.parse_option(input)?;
            }
        }
        Ok(())
    }

    fn parse_option(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if input.peek(Token![crate]) {
            self.crate_path = input.parse()?;
            return Ok(());
        }
        if input.peek(syn::token::Bracket) || input.peek(LitStr) {
            let value: TokenTree = input.parse()?;
            return Err(syn::Error::new_spanned(value, NO_NAME));
        }
        let key = input.call(Ident::parse_any)?;
        if key != "methods" {
            let remedy = match &*key.to_string() {
                "method" | "metods" | "methds" | "Methods" => "did you mean `methods`?",
                _ => "expected one of `methods`, `crate`",
            };
            let message = format!("unknown option `{key}`; {remedy}");
            return Err(syn::Error::new_spanned(key, message));
        }
        if input.parse::<Token![=]>().is_err() {
            return Err(syn::Error::new_spanned(key, LIST));
        }
        let methods = list(input)?;
        set_once(&mut self.methods, &key, (key.clone(), methods))
    }

    /// The methods, in capitals.
    pub(super) fn methods(&self, errors: &mut Errors) -> Vec<String> {
        let Some((key, literals)) = &self.methods else {
            return vec!["GET".to_owned()];
        };
        if literals.is_empty() {
            errors.at(key, "empty list of methods; add one, such as \"get\"");
        }
        let mut methods = Vec::new();
        for literal in literals {
            let method = literal.value().to_uppercase();
            if !is_method(&method) {
                errors.at(
                    literal,
                    "invalid HTTP method; expected a name such as \"post\"",
                );
            } else if methods.contains(&method) {
                errors.at(literal, format!("duplicate method `{method}`"));
            } else {
                methods.push(method);
            }
        }
        methods
    }
}

fn list(input: ParseStream<'_>) -> syn::Result<Vec<LitStr>> {
    if !input.peek(syn::token::Bracket) {
        return Err(input.error(LIST));
    }
    let list;
    bracketed!(list in input);
    let methods = Punctuated::<Method, Token![,]>::parse_terminated(&list)?;
    Ok(methods.into_iter().map(|method| method.0).collect())
}

struct Method(LitStr);

impl Parse for Method {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let literal = input.parse();
        literal
            .map(Self)
            .map_err(|_| input.error("expected a method in quotes, such as \"get\""))
    }
}

fn is_method(method: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !method.is_empty() && method.bytes().all(is_token)
}
