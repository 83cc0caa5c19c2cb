//! A function whose body is left as tokens.
//!
//! A half-typed body then still completes in an editor, and rustc reports its mistakes in place.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt as _};
use syn::{
    Attribute, Signature, Visibility,
    parse::{Parse, ParseStream},
};

pub(crate) struct ItemFn {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

impl ItemFn {
    /// Parses what an attribute stands on; or returns it as it is, with the mistake.
    pub(crate) fn parse_item(item: TokenStream) -> Result<Self, TokenStream> {
        syn::parse2(item.clone()).map_err(|error| {
            let mut reported = item;
            reported.append_all(error.to_compile_error());
            reported
        })
    }
}

impl Parse for ItemFn {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        let body = match input.parse::<TokenTree>()? {
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => body,
            other => {
                return Err(syn::Error::new_spanned(
                    other,
                    "expected the function's body",
                ));
            }
        };
        Ok(Self {
            attrs,
            vis,
            sig,
            body,
        })
    }
}

impl ToTokens for ItemFn {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attrs);
        self.vis.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}
