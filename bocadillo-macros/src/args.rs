//! What attributes have in common in their arguments.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Path, Token,
    parse::{Parse, ParseStream, Parser as _},
};

/// The facade's path: `::bocadillo`, or what `crate = path` says.
#[derive(Default)]
pub(crate) struct CratePath(Option<Path>);

impl CratePath {
    pub(crate) fn root(&self) -> TokenStream {
        self.root_at(Span::call_site())
    }

    /// The path at a place of the user's: what rustc says of a call is said of its first token.
    ///
    /// The name itself has the attribute's place everywhere: where there is no such crate, rustc says
    /// the same of the same place many times, and prints it once.
    pub(crate) fn root_at(&self, place: Span) -> TokenStream {
        match &self.0 {
            Some(path) => quote!(#path),
            None => {
                let name = Ident::new("bocadillo", Span::call_site());
                quote_spanned!(place=> ::#name)
            }
        }
    }

    /// The option `crate = path`, if it was given.
    pub(crate) fn option(&self) -> Option<TokenStream> {
        self.0.as_ref().map(|path| quote!(crate = #path))
    }

    /// Whether a path that ends in this word is the facade's.
    pub(crate) fn is_named(&self, name: &Ident) -> bool {
        let last = self.0.as_ref().and_then(|path| path.segments.last());
        *name == "bocadillo" || last.is_some_and(|last| last.ident == *name)
    }
}

impl Parse for CratePath {
    /// Parses `crate = path`.
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        input.parse::<Token![crate]>()?;
        input.parse::<Token![=]>()?;
        let wrong = |_| input.error("expected the path of the crate; write `crate = path`");
        let path = input.call(Path::parse_mod_style).map_err(wrong)?;
        Ok(Self(Some(path)))
    }
}

/// Parses the arguments of an attribute that takes `crate = path` and nothing else; `message` is
/// what it says to anything else.
pub(crate) fn only_crate(args: TokenStream, message: &str) -> syn::Result<CratePath> {
    let parse = |input: ParseStream<'_>| {
        let path = if input.peek(Token![crate]) {
            input.parse()?
        } else {
            CratePath::default()
        };
        if input.is_empty() {
            Ok(path)
        } else {
            Err(input.error(message))
        }
    };
    parse.parse2(args)
}

/// A key that stands twice is a mistake on the second.
pub(crate) fn set_once<T>(slot: &mut Option<T>, key: &Ident, value: T) -> syn::Result<()> {
    if slot.replace(value).is_some() {
        return Err(syn::Error::new_spanned(
            key,
            format!("duplicate option `{key}`"),
        ));
    }
    Ok(())
}
