//! `#[route]`: parse, validate, expand.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Attribute, FnArg, Lifetime, LitStr, ReturnType, Token, Type, bracketed,
    ext::IdentExt as _,
    parse::{Parse, ParseStream, Parser as _},
    punctuated::Punctuated,
    spanned::Spanned as _,
};

use crate::{
    args::{CratePath, set_once},
    errors::Errors,
    item_fn::ItemFn,
    view::{name_of, register, validate},
};

const NO_PATH: &str = "`#[route]` begins with its path: `#[route(\"/orders\")]`";

#[derive(Default)]
struct Args {
    path: Option<LitStr>,
    methods: Option<Vec<LitStr>>,
    crate_path: CratePath,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Self::default();
        if input.is_empty() {
            return Err(syn::Error::new(Span::call_site(), NO_PATH));
        }
        if !input.peek(LitStr) {
            return Err(input.error(NO_PATH));
        }
        args.path = Some(input.parse()?);
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            if input.peek(Token![crate]) {
                args.crate_path = input.parse()?;
                continue;
            }
            let key = input.call(Ident::parse_any)?;
            if key != "methods" {
                let message = format!(
                    "`{key}` is no option of `#[route]`; it has: the path first, `methods`, `crate`"
                );
                return Err(syn::Error::new_spanned(key, message));
            }
            input.parse::<Token![=]>()?;
            let list;
            bracketed!(list in input);
            let methods = Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?;
            set_once(&mut args.methods, &key, methods.into_iter().collect())?;
        }
        Ok(args)
    }
}

/// A path parameter as an argument.
struct Param {
    name: Ident,
    ty: Type,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let function = match ItemFn::parse_item(item) {
        Ok(function) => function,
        Err(reported) => return reported,
    };
    let mut errors = Errors::default();
    let args = errors.take(Args::parse.parse2(args));
    validate(&function, "route", &mut errors);
    let methods = methods(&args, &mut errors);
    let params = params(&function, &mut errors);
    if let Some(path) = &args.path {
        check_params(path, &params, &mut errors);
    }
    match (&args.path, errors.is_empty()) {
        (Some(path), true) => routed(function, path, &methods, &params, &args.crate_path),
        _ => {
            // Callers then find the function, and its body is checked.
            let mut function = function;
            let import = register(&mut function, &args.crate_path);
            let errors = errors.into_compile_errors();
            quote!(#errors #import #[allow(dead_code)] #function)
        }
    }
}

fn methods(args: &Args, errors: &mut Errors) -> Vec<String> {
    let Some(literals) = &args.methods else {
        return vec!["GET".to_owned()];
    };
    let mut methods = Vec::new();
    for literal in literals {
        let method = literal.value().to_uppercase();
        let is_token = !method.is_empty()
            && method
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if !is_token {
            errors.at(literal, "no method of HTTP; write a name such as \"post\"");
        } else if methods.contains(&method) {
            errors.at(literal, format!("`{method}` stands here twice"));
        } else {
            methods.push(method);
        }
    }
    methods
}

fn params(function: &ItemFn, errors: &mut Errors) -> Vec<Param> {
    let mut params = Vec::new();
    for input in function.sig.inputs.iter().skip(2) {
        let FnArg::Typed(typed) = input else { continue };
        match name_of(&typed.pat) {
            Some(name) => params.push(Param {
                name,
                ty: (*typed.ty).clone(),
            }),
            None => errors.at(
                &typed.pat,
                "a path parameter is found by its name; write a plain one",
            ),
        }
    }
    params
}

fn check_params(path: &LitStr, params: &[Param], errors: &mut Errors) {
    let names = match path_params(&path.value()) {
        Ok(names) => names,
        Err(message) => return errors.at(path, message),
    };
    for param in params {
        if !names.contains(&param.name.unraw().to_string()) {
            let name = param.name.unraw();
            errors.at(
                &param.name,
                format!(
                    "the path has no parameter `{{{name}}}`; add it there, or read the query by `req.query()`"
                ),
            );
        }
    }
    for name in names {
        if !params.iter().any(|param| param.name.unraw() == name) {
            errors.at(
                path,
                format!("no argument takes the path's `{{{name}}}`; add `{name}: String`, say"),
            );
        }
    }
}

fn path_params(path: &str) -> Result<Vec<String>, String> {
    if let Some(mark) = ['?', '#'].into_iter().find(|mark| path.contains(*mark)) {
        return Err(format!(
            "a path ends before `{mark}`; read the query from the request"
        ));
    }
    let mut names = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        if before.contains('}') {
            return Err("a `}` in the path has no `{` before it".to_owned());
        }
        let Some((inner, after)) = after.split_once('}') else {
            return Err("a `{` in the path has no `}` after it".to_owned());
        };
        let (name, is_rest) = inner
            .strip_suffix(":path")
            .map_or((inner, false), |name| (name, true));
        if syn::parse_str::<Ident>(name).is_err() {
            return Err(format!(
                "`{{{inner}}}` is no path parameter; write `{{name}}` or `{{name:path}}`"
            ));
        }
        if !is_rest && !after.is_empty() && !after.starts_with('/') {
            return Err(format!(
                "`{{{inner}}}` matches to the next `/`; nothing else can follow it"
            ));
        }
        if is_rest && !after.is_empty() {
            return Err(format!(
                "`{{{inner}}}` matches the rest of the path; nothing can follow it"
            ));
        }
        if names.iter().any(|known| known == name) {
            return Err(format!("`{{{name}}}` stands in the path twice"));
        }
        names.push(name.to_owned());
        rest = after;
    }
    if rest.contains('}') {
        return Err("a `}` in the path has no `{` before it".to_owned());
    }
    Ok(names)
}

/// The function that is left behind, with the user's own within, and what it knows of its route.
fn routed(
    mut function: ItemFn,
    path: &LitStr,
    methods: &[String],
    params: &[Param],
    crate_path: &CratePath,
) -> TokenStream {
    let import = register(&mut function, crate_path);
    let name = function.sig.ident.unraw().to_string();
    let meta = format_ident!("__bocadillo_route_{}", name);
    let described = described(&function, &meta, path, methods, params, crate_path);
    let left_behind = left_behind(&function, &meta, params, crate_path);
    quote!(#import #described #left_behind)
}

/// The type that knows the route.
fn described(
    function: &ItemFn,
    meta: &Ident,
    path: &LitStr,
    methods: &[String],
    params: &[Param],
    crate_path: &CratePath,
) -> TokenStream {
    let root = crate_path.root();
    let private = quote!(#root::__private);
    let vis = &function.vis;
    let ident = &function.sig.ident;
    let name = ident.unraw().to_string();
    let params = params.iter().map(|param| param.name.unraw().to_string());
    let location = quote_spanned!(ident.span()=> ::core::panic::Location::caller());
    let cfgs: Vec<_> = function
        .attrs
        .iter()
        .filter(|attr| is(attr, "cfg"))
        .collect();
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, missing_debug_implementations, missing_docs, clippy::empty_structs_with_brackets)]
        #vis struct #meta;

        #(#cfgs)*
        #[automatically_derived]
        impl #private::RouteMeta for #meta {
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

/// The function that `App::route` takes.
fn left_behind(
    function: &ItemFn,
    meta: &Ident,
    params: &[Param],
    crate_path: &CratePath,
) -> TokenStream {
    let ItemFn {
        attrs,
        vis,
        sig,
        body,
    } = function;
    let ident = &sig.ident;
    let (outer_attrs, inner_attrs): (Vec<_>, Vec<_>) = attrs
        .iter()
        .partition(|attr| is(attr, "doc") || is(attr, "cfg"));
    // The function within hides an argument of its own name.
    let names: Vec<_> = params
        .iter()
        .map(|param| match param.name == *ident {
            true => format_ident!("__bocadillo_{}", param.name.unraw()),
            false => param.name.clone(),
        })
        .collect();
    let types: Vec<_> = params.iter().map(|param| &param.ty).collect();
    let output = match &sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    let (generics, _, where_clause) = sig.generics.split_for_impl();
    let (inputs, generic_params) = (&sig.inputs, &sig.generics.params);
    let turbofish = turbofish(function);
    let life = Lifetime::new("'__bocadillo_view", ident.span());
    let root = crate_path.root();
    let checks = checks(&sig.output, &types, &quote!(#root::__private));
    let inner = quote! {
        #(#inner_attrs)*
        async fn #ident #generics(#inputs) -> #output #where_clause #body
    };
    // At the view's name, so that one that is not `Send` is an error on that.
    let private = crate_path.root_at(ident.span());
    let private = quote_spanned!(ident.span()=> #private::__private);
    let running = quote_spanned! {ident.span()=>
        #private::Routed<
            #meta,
            impl ::core::future::Future<Output = #output> + ::core::marker::Send + #life,
        >
    };
    quote! {
        #(#outer_attrs)*
        #vis fn #ident<#life, #generic_params>(
            __bocadillo_req: &#life mut #root::Request,
            __bocadillo_res: &#life mut #root::Response,
            #(#names: #types),*
        ) -> #running #where_clause {
            #checks
            #inner
            #private::Routed::new(#ident #turbofish(__bocadillo_req, __bocadillo_res #(, #names)*))
        }
    }
}

fn is(attr: &Attribute, name: &str) -> bool {
    attr.path().is_ident(name)
}

/// What makes a type that cannot be a path parameter, or a result, an error on that type.
fn checks(output: &ReturnType, params: &[&Type], private: &TokenStream) -> TokenStream {
    let mut checks = TokenStream::new();
    for ty in params {
        checks.extend(quote_spanned!(ty.span()=> #private::is_path_parameter::<#ty>();));
    }
    match output {
        ReturnType::Type(_, ty) if !matches!(**ty, Type::ImplTrait(_)) => {
            checks.extend(quote_spanned!(ty.span()=> #private::is_view_outcome::<#ty>();));
        }
        _ => {}
    }
    checks
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_parameters_of_a_path() {
        assert_eq!(
            path_params("/a/{id}/{rest:path}"),
            Ok(vec!["id".into(), "rest".into()])
        );
        for wrong in [
            "/{",
            "/}",
            "/{a}/}",
            "/{}",
            "/{a b}",
            "/{a}/{a}",
            "/{a:path}/b",
            "/{a:int}",
            "/{a}.json",
            "/{a}{b}",
            "/a?b",
        ] {
            assert!(path_params(wrong).is_err(), "{wrong}");
        }
    }
}
