//! A function whose body is left as tokens.
//!
//! A half-typed body then still completes in an editor, and rustc reports its mistakes in place.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt as _};
use syn::{
    Attribute, Meta, Signature, Token, Visibility,
    parse::{Parse, ParseStream, Parser as _},
    punctuated::Punctuated,
};

use crate::{
    invisible,
    tokens::{self, is_punct, with_content},
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
        let visible = invisible::in_signature(item.clone());
        syn::parse2(visible).map_err(|error| {
            let mut reported = item;
            reported.append_all(error.to_compile_error());
            reported
        })
    }

    /// Makes the `#![…]` in the body attributes of the function.
    pub(crate) fn take_inner_attributes(&mut self) {
        let taken = take_inner_attributes(&mut self.body);
        self.attrs
            .extend(Attribute::parse_outer.parse2(taken).unwrap_or_default());
    }
}

impl Parse for ItemFn {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        let body = input.parse::<TokenTree>()?;
        let body = tokens::braced(&body)
            .ok_or_else(|| syn::Error::new_spanned(body, "expected the body of the function"))?;
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

/// Takes the `#![…]` at the beginning out of a body, as `#[…]`.
fn take_inner_attributes(body: &mut Group) -> TokenStream {
    let trees: Vec<_> = body.stream().into_iter().collect();
    let mut attributes = TokenStream::new();
    let mut at = 0;
    while let [hash, bang, TokenTree::Group(content), ..] = &trees[at..] {
        let is_attribute = content.delimiter() == Delimiter::Bracket;
        if !is_punct(hash, '#') || !is_punct(bang, '!') || !is_attribute {
            break;
        }
        hash.to_tokens(&mut attributes);
        content.to_tokens(&mut attributes);
        at += 3;
    }
    if at > 0 {
        let rest = invisible::trees(body.stream()).split_off(at);
        *body = with_content(body, rest.into_iter().collect());
    }
    attributes
}

/// The attributes in a `#[cfg_attr(predicate, …)]`.
pub(crate) fn conditional(attr: &Attribute) -> Vec<Attribute> {
    if !attr.path().is_ident("cfg_attr") {
        return Vec::new();
    }
    let metas = attr.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    let metas = metas.into_iter().flatten().skip(1);
    metas.map(|meta| syn::parse_quote!(#[#meta])).collect()
}
