//! `#[route]`: parse (`args`, `path`), validate, expand.

mod args;
mod path;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::{
    Attribute, FnArg, Lifetime, LitStr, ReturnType, Type, ext::IdentExt as _, spanned::Spanned as _,
};

use self::args::Args;
use crate::{
    args::CratePath,
    errors::Errors,
    item_fn::{ItemFn, conditional},
    tokens,
    view::{name_of, register, validate},
};

/// A path parameter as an argument.
struct Param {
    cfgs: Vec<Attribute>,
    /// Without one it is a mistake, and nothing else is said of it.
    name: Option<Ident>,
    ty: Type,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match ItemFn::parse_item(item) {
        Ok(function) => function,
        Err(reported) => return reported,
    };
    let mut errors = Errors::default();
    let args = Args::parse(args, &mut errors);
    validate(&mut function, &mut errors);
    let is_function = check_receiver(&function, &mut errors);
    check_once(&mut function, &args.crate_path, &mut errors);
    let methods = args.methods(&mut errors);
    let params = params(&function, &mut errors);
    if let Some(path) = args.path.as_ref().filter(|_| is_function) {
        check_params(path, &params, &mut errors);
    }
    register(&mut function, &args.crate_path, &mut errors);
    let errors = errors.into_compile_errors();
    if !is_function || function.sig.inputs.len() < 2 {
        return quote!(#errors #function);
    }
    // Also with a mistake, so that nothing else is said where it is used.
    function.sig.asyncness.get_or_insert_with(Default::default);
    let none = LitStr::new("/", Span::call_site());
    let route = Route {
        function: &function,
        path: args.path.as_ref().unwrap_or(&none),
        methods: &methods,
        params: &params,
        crate_path: &args.crate_path,
    };
    let routed = route.left_behind();
    quote!(#errors #routed)
}

fn check_receiver(function: &ItemFn, errors: &mut Errors) -> bool {
    let Some(FnArg::Receiver(receiver)) = function.sig.inputs.first() else {
        return true;
    };
    let message = "`#[route]` on a method; remove `self`, and share values by `App::state`";
    errors.at(receiver, message);
    false
}

/// A function knows one route: what another attribute adds would be lost.
fn check_once(function: &mut ItemFn, crate_path: &CratePath, errors: &mut Errors) {
    let is_route = |attr: &Attribute| {
        let segments = &attr.path().segments;
        let is_ours = match segments.iter().rev().nth(1) {
            Some(before) => crate_path.is_named(&before.ident),
            None => true,
        };
        is_ours && segments.last().is_some_and(|last| last.ident == "route")
    };
    for attr in function.attrs.iter().filter(|attr| is_any(attr, &is_route)) {
        let message = "duplicate `#[route]`; add the other path by `App::add`";
        errors.at(attr, message);
    }
    function.attrs.retain(|attr| !is_any(attr, &is_route));
}

/// Whether it holds for an attribute, or for one in a `#[cfg_attr(…)]`.
fn is_any(attr: &Attribute, holds: &impl Fn(&Attribute) -> bool) -> bool {
    holds(attr) || conditional(attr).iter().any(|attr| is_any(attr, holds))
}

fn params(function: &ItemFn, errors: &mut Errors) -> Vec<Param> {
    let typed = function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    });
    let mut params = Vec::new();
    for typed in typed.skip(2) {
        let cfgs = typed.attrs.iter().filter(|attr| is(attr, "cfg"));
        let name = name_of(&typed.pat);
        if name.is_none() {
            let message = "expected a plain name; a path parameter is matched by name";
            errors.at(&typed.pat, message);
        }
        params.push(Param {
            cfgs: cfgs.cloned().collect(),
            name,
            ty: (*typed.ty).clone(),
        });
    }
    params
}

fn check_params(path: &LitStr, params: &[Param], errors: &mut Errors) {
    let names = match path::parameters(&path.value()) {
        Ok(names) => names,
        Err(message) => return errors.at(path, message),
    };
    let known: Vec<_> = params
        .iter()
        .filter_map(|param| param.name.as_ref())
        .collect();
    for param in &known {
        let name = param.unraw().to_string();
        if !names.contains(&name) {
            let message = format!("unknown path parameter `{name}`; add `{{{name}}}` to the path");
            errors.at(param, message);
        }
    }
    if known.len() < params.len() {
        return;
    }
    for name in names {
        if !known.iter().any(|param| param.unraw() == name) {
            let is_keyword = syn::parse_str::<Ident>(&name).is_err();
            let raw = if is_keyword { "r#" } else { "" };
            let message = format!(
                "unused path parameter `{{{name}}}`; add `{raw}{name}: String` to the function"
            );
            errors.at(path, message);
        }
    }
}

struct Route<'a> {
    function: &'a ItemFn,
    path: &'a LitStr,
    methods: &'a [String],
    params: &'a [Param],
    crate_path: &'a CratePath,
}

impl Route<'_> {
    /// The function that `App::route` takes, with the user's own within, and what its type knows.
    ///
    /// All of it is one item, so that it can stand in an `impl` too.
    fn left_behind(&self) -> TokenStream {
        let ItemFn {
            attrs, vis, sig, ..
        } = self.function;
        let ident = &sig.ident;
        let (outer_attrs, inner_attrs): (Vec<_>, Vec<_>) = attrs.iter().partition(is_outer);
        let names = self.names();
        let root = self.crate_path.root();
        let params = self.params.iter().zip(&names).filter_map(|(param, name)| {
            let Param { cfgs, ty, .. } = param;
            name.as_ref().map(|name| quote!(#(#cfgs)* #name: #ty))
        });
        let args = self.params.iter().zip(&names).map(|(param, name)| {
            let cfgs = &param.cfgs;
            let value = name
                .as_ref()
                .map_or_else(|| quote!(#root::__private::returns()), |name| quote!(#name));
            quote!(#(#cfgs)* #value)
        });
        let generics = &sig.generics.params;
        let where_clause = &sig.generics.where_clause;
        let turbofish = turbofish(self.function);
        let life = Lifetime::new("'__bocadillo_view", ident.span());
        // At their types, which are the user's and may be others.
        let req = self.located("__bocadillo_req", 0);
        let res = self.located("__bocadillo_res", 1);
        let (described, checks, inner) =
            (self.described(), self.checks(), self.inner(&inner_attrs));
        let running = self.running(&life);
        // At the view's name, so that one that is not `Send` is an error on that.
        let private = self.private_at(ident.span());
        quote! {
            #(#outer_attrs)*
            #vis fn #ident<#life, #generics>(
                #req: &#life mut #root::Request,
                #res: &#life mut #root::Response,
                #(#params),*
            ) -> #running #where_clause {
                #described
                #checks
                #inner
                #private::Routed::<__BocadilloRoute, _>::new(
                    #ident #turbofish(#req, #res #(, #args)*)
                )
            }
        }
    }

    /// The arguments. The function within hides one of its own name.
    fn names(&self) -> Vec<Option<Ident>> {
        let ident = &self.function.sig.ident;
        let name = |name: &Ident| match name == ident {
            true => format_ident!("__bocadillo_{}", name.unraw()),
            false => name.clone(),
        };
        let names = self
            .params
            .iter()
            .map(|param| param.name.as_ref().map(name));
        names.collect()
    }

    /// A name of ours, at the place of a parameter's type.
    fn located(&self, name: &str, at: usize) -> Ident {
        let span = match self.function.sig.inputs.get(at) {
            Some(FnArg::Typed(typed)) => Span::call_site().located_at(typed.ty.span()),
            _ => Span::call_site(),
        };
        Ident::new(name, span)
    }

    fn private_at(&self, place: Span) -> TokenStream {
        let root = self.crate_path.root_at(place);
        quote_spanned!(place=> #root::__private)
    }

    fn running(&self, life: &Lifetime) -> TokenStream {
        let span = self.function.sig.ident.span();
        let private = self.private_at(span);
        let output = output(&self.function.sig.output);
        quote_spanned! {span=>
            #private::Routed<
                impl #private::RouteMeta,
                impl ::core::future::Future<Output = #output> + ::core::marker::Send + #life,
            >
        }
    }

    /// The user's function. Its signature is not for the user to choose, so no lint is to speak of
    /// the `async` and the `&mut` in it: it is ours, at the user's place.
    fn inner(&self, attrs: &[&Attribute]) -> TokenStream {
        let ItemFn { sig, body, .. } = self.function;
        let mut sig = sig.clone();
        let ours = |span: Span| Span::call_site().located_at(span);
        if let Some(asyncness) = &mut sig.asyncness {
            asyncness.span = ours(asyncness.span);
        }
        sig.fn_token.span = ours(sig.fn_token.span);
        quote!(#(#attrs)* #sig #body)
    }

    /// The type that knows the route.
    fn described(&self) -> TokenStream {
        let private = self.private_at(Span::call_site());
        let ident = &self.function.sig.ident;
        let name = ident.unraw().to_string();
        let (path, methods) = (self.path, self.methods);
        let params = self.params.iter().filter_map(|param| {
            let (cfgs, name) = (&param.cfgs, param.name.as_ref()?.unraw().to_string());
            Some(quote!(#(#cfgs)* #name))
        });
        let location = quote_spanned!(ident.span()=> ::core::panic::Location::caller());
        quote! {
            struct __BocadilloRoute;
            impl #private::RouteMeta for __BocadilloRoute {
                const PATH: &'static str = #path;
                const METHODS: &'static [&'static str] = &[#(#methods),*];
                const PARAMS: &'static [&'static str] = &[#(#params),*];
                const NAME: &'static str = #name;

                fn location() -> &'static ::core::panic::Location<'static> {
                    #location
                }
            }
        }
    }

    /// What makes a type that cannot be a path parameter, or a result, an error on that type.
    fn checks(&self) -> TokenStream {
        let private = self.private_at(Span::call_site());
        let mut checks = TokenStream::new();
        for Param { cfgs, name, ty } in self.params {
            if name.is_some() && !is_opaque(ty) {
                checks.extend(quote_spanned! {ty.span()=>
                    #(#cfgs)* #private::is_path_parameter::<#ty>();
                });
            }
        }
        match &self.function.sig.output {
            ReturnType::Type(_, ty) if !is_opaque(ty) => {
                checks.extend(quote_spanned!(ty.span()=> #private::is_view_outcome::<#ty>();));
            }
            _ => {}
        }
        checks
    }
}

/// Whether an attribute belongs to what is left behind, and not to the user's function within: what
/// documents it, and the lints, which hold within too.
fn is_outer(attr: &&Attribute) -> bool {
    const OUTER: [&str; 9] = [
        "allow",
        "cfg",
        "deny",
        "deprecated",
        "doc",
        "expect",
        "forbid",
        "must_use",
        "warn",
    ];
    let conditional = conditional(attr);
    OUTER.iter().any(|name| is(attr, name))
        || !conditional.is_empty() && conditional.iter().all(|attr| is_outer(&attr))
}

fn is(attr: &Attribute, name: &str) -> bool {
    attr.path().is_ident(name)
}

fn is_opaque(ty: &Type) -> bool {
    tokens::has_word(ty.to_token_stream(), "impl")
}

fn output(output: &ReturnType) -> TokenStream {
    match output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    }
}

/// `::<T, N>` of the function's own generics.
fn turbofish(function: &ItemFn) -> TokenStream {
    let names: Vec<_> = function
        .sig
        .generics
        .params
        .iter()
        .filter_map(|param| match param {
            syn::GenericParam::Type(param) => Some(param.ident.clone()),
            syn::GenericParam::Const(param) => Some(param.ident.clone()),
            syn::GenericParam::Lifetime(_) => None,
        })
        .collect();
    if names.is_empty() {
        TokenStream::new()
    } else {
        quote!(::<#(#names),*>)
    }
}
