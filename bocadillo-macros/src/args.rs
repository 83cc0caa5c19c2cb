//! What attributes have in common in their arguments.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{
    Path, Token,
    parse::{Parse, ParseStream},
};

/// The facade's path: `::bocadillo`, or what `crate = path` says.
pub(crate) struct CratePath(TokenStream);

impl Default for CratePath {
    fn default() -> Self {
        Self(quote!(::bocadillo))
    }
}

impl CratePath {
    pub(crate) fn private(&self) -> TokenStream {
        let path = &self.0;
        quote!(#path::__private)
    }

    pub(crate) fn root(&self) -> &TokenStream {
        &self.0
    }
}

impl Parse for CratePath {
    /// Parses `crate = path`.
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        input.parse::<Token![crate]>()?;
        input.parse::<Token![=]>()?;
        let path = input.call(Path::parse_mod_style)?;
        Ok(Self(quote!(#path)))
    }
}

/// A key that stands twice is a mistake on the second.
pub(crate) fn set_once<T>(slot: &mut Option<T>, key: &Ident, value: T) -> syn::Result<()> {
    if slot.replace(value).is_some() {
        return Err(syn::Error::new_spanned(
            key,
            format!("`{key}` stands here twice"),
        ));
    }
    Ok(())
}
