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
    name: Ident,
    ty: Type,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match ItemFn::parse_item(item) {
        Ok(function) => function,
        Err(reported) => return reported,
    };
    let mut errors = Errors::default();
    let args = Args::parse(args, &mut errors);
    validate(&function, &mut errors);
    let is_view = check_receiver(&function, &mut errors) && function.sig.inputs.len() >= 2;
    check_once(&mut function, &args.crate_path, &mut errors);
    let methods = args.methods(&mut errors);
    let params = params(&function, &mut errors);
    if let Some(path) = &args.path {
        check_params(path, &params, &mut errors);
    }
    register(&mut function, &args.crate_path, &mut errors);
    let errors = errors.into_compile_errors();
    if !is_view {
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
    let mut params = Vec::new();
    for input in function.sig.inputs.iter().skip(2) {
        let FnArg::Typed(typed) = input else { continue };
        let cfgs = typed.attrs.iter().filter(|attr| is(attr, "cfg"));
        match name_of(&typed.pat) {
            Some(name) => params.push(Param {
                cfgs: cfgs.cloned().collect(),
                name,
                ty: (*typed.ty).clone(),
            }),
            None => errors.at(
                &typed.pat,
                "expected a plain name, by which the path parameter is found",
            ),
        }
    }
    params
}

fn check_params(path: &LitStr, params: &[Param], errors: &mut Errors) {
    let names = match path::parameters(&path.value()) {
        Ok(names) => names,
        Err(message) => return errors.at(path, message),
    };
    for param in params {
        let name = param.name.unraw().to_string();
        if !names.contains(&name) {
            let message = format!("unknown path parameter `{name}`; add `{{{name}}}` to the path");
            errors.at(&param.name, message);
        }
    }
    for name in names {
        if !params.iter().any(|param| param.name.unraw() == name) {
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
        let params = self.params.iter().zip(&names).map(|(param, name)| {
            let Param { cfgs, ty, .. } = param;
            quote!(#(#cfgs)* #name: #ty)
        });
        let args = self.params.iter().zip(&names).map(|(param, name)| {
            let cfgs = &param.cfgs;
            quote!(#(#cfgs)* #name)
        });
        let generics = &sig.generics.params;
        let where_clause = &sig.generics.where_clause;
        let turbofish = turbofish(self.function);
        let life = Lifetime::new("'__bocadillo_view", ident.span());
        let root = self.crate_path.root();
        let (described, checks, inner) =
            (self.described(), self.checks(), self.inner(&inner_attrs));
        let running = self.running(&life);
        // At the view's name, so that one that is not `Send` is an error on that.
        let private = self.private_at(ident.span());
        quote! {
            #(#outer_attrs)*
            #vis fn #ident<#life, #generics>(
                __bocadillo_req: &#life mut #root::Request,
                __bocadillo_res: &#life mut #root::Response,
                #(#params),*
            ) -> #running #where_clause {
                #described
                #checks
                #inner
                #private::Routed::<__BocadilloRoute, _>::new(
                    #ident #turbofish(__bocadillo_req, __bocadillo_res #(, #args)*)
                )
            }
        }
    }

    /// The arguments. The function within hides one of its own name.
    fn names(&self) -> Vec<Ident> {
        let ident = &self.function.sig.ident;
        let name = |param: &Param| match param.name == *ident {
            true => format_ident!("__bocadillo_{}", param.name.unraw()),
            false => param.name.clone(),
        };
        self.params.iter().map(name).collect()
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

    /// The user's function.
    fn inner(&self, attrs: &[&Attribute]) -> TokenStream {
        let ItemFn { sig, body, .. } = self.function;
        quote!(#(#attrs)* #sig #body)
    }

    /// The type that knows the route.
    fn described(&self) -> TokenStream {
        let private = self.private_at(Span::call_site());
        let ident = &self.function.sig.ident;
        let name = ident.unraw().to_string();
        let (path, methods) = (self.path, self.methods);
        let params = self.params.iter().map(|param| {
            let (cfgs, name) = (&param.cfgs, param.name.unraw().to_string());
            quote!(#(#cfgs)* #name)
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
        for Param { cfgs, ty, .. } in self.params {
            if !is_opaque(ty) {
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
