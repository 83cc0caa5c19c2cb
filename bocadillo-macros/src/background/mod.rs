//! `#[background]`: parse (`options`), validate (`check`), expand (here).

mod check;
mod response_use;
mod result;

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::{FnArg, ReturnType, Type, spanned::Spanned as _};

use crate::{
    args::CratePath,
    attribute::Found,
    errors::Errors,
    item_fn::ItemFn,
    options::{Options, WhenValue},
    rewrite::{self, Rewritten},
    task::{Registers, Task},
    tokens,
    told::FOLLOW_UP,
};

/// The attribute where it stands alone.
pub(crate) fn expand(args: TokenStream, item: &TokenStream) -> TokenStream {
    let root = Options::parse(args.clone(), &mut Errors::default())
        .crate_path
        .root();
    let statements = expand_alone(args, item);
    // Outside of a function rustc fails before this is looked at; its note has the macro's name.
    quote!(#root::__private::background_belongs_inside_a_function!(#statements);)
}

/// The statements that it becomes.
pub(crate) fn expand_alone(args: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut options = Options::parse(args, &mut errors);
    let target = options
        .target
        .as_ref()
        .map(|it| it.to_token_stream().to_string());
    let response = Ident::new("res", Span::call_site());
    let registers = match target {
        Some(target) if target == FOLLOW_UP => {
            options.target = None;
            Registers::FollowUp
        }
        _ => Registers::On(&response),
    };
    let attribute = Attribute {
        options,
        errors,
        place: Span::call_site(),
    };
    task(attribute, item, registers, None).tokens
}

/// Registers every task in a body; `crate_path` is that of the function around it.
pub(crate) fn expand_within(
    body: &Group,
    registers: Registers<'_>,
    crate_path: &CratePath,
) -> Rewritten {
    rewrite::rewrite(body, registers, crate_path, expand_found)
}

fn expand_found(found: &Found, registers: Registers<'_>, crate_path: &CratePath) -> Task {
    let (function, others) = (&found.function, &found.others);
    let mut errors = Errors::default();
    let attribute = Attribute {
        options: Options::parse(found.args.clone(), &mut errors),
        errors,
        place: found.place,
    };
    let Some(predicate) = &found.predicate else {
        return task(
            attribute,
            &quote!(#others #function),
            registers,
            Some(crate_path),
        );
    };
    let item = quote!(#[cfg(#predicate)] #others #function);
    let mut task = task(attribute, &item, registers, Some(crate_path));
    task.tokens
        .extend(quote!(#[cfg(not(#predicate))] #others #function));
    task
}

/// One `#[background(…)]`.
struct Attribute {
    options: Options,
    errors: Errors,
    place: Span,
}

fn task(
    attribute: Attribute,
    item: &TokenStream,
    registers: Registers<'_>,
    outer: Option<&CratePath>,
) -> Task {
    let Ok(mut function) = syn::parse2::<ItemFn>(item.clone()) else {
        return Task::unclear(not_a_function(item));
    };
    let Attribute {
        options,
        mut errors,
        place,
    } = attribute;
    let crate_path = outer.unwrap_or(&options.crate_path);
    function.take_inner_attributes();
    check::check(&function, &options, &registers, &mut errors);
    if !errors.is_empty() {
        return Task::unclear(unexpanded(function, &options, errors, crate_path));
    }
    result::check(&mut function, crate_path, &mut errors);
    let errors = errors.into_compile_errors();
    let is_cfg =
        |attr: &syn::Attribute| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr");
    let is_certain = options.target.is_none() && !function.attrs.iter().any(is_cfg);
    let evaluates = !options.clones.is_empty() || !options.args.is_empty();
    let registration = registration(&function, &options, registers, crate_path, place);
    Task {
        tokens: quote!(#errors #registration),
        needs_response: options.target.is_none(),
        replaces: is_certain && options.add.is_none() && !evaluates,
        name: is_certain.then(|| function.sig.ident.clone()),
    }
}

fn not_a_function(item: &TokenStream) -> TokenStream {
    let first = item
        .clone()
        .into_iter()
        .find(|tree| !matches!(tree, TokenTree::Punct(_)));
    let message = "expected an `async fn`; `#[background]` makes a task of an inner function";
    let error = syn::Error::new(
        first.map_or_else(Span::call_site, |tree| tree.span()),
        message,
    );
    let error = error.to_compile_error();
    quote!(#item #error)
}

/// The function as it is, so that one mistake makes one error.
fn unexpanded(
    mut function: ItemFn,
    options: &Options,
    errors: Errors,
    crate_path: &CratePath,
) -> TokenStream {
    let errors = errors.into_compile_errors();
    let is_cfg = |attr: &&syn::Attribute| attr.path().is_ident("cfg");
    let cfgs = function.attrs.iter().filter(is_cfg);
    if !function.sig.generics.params.is_empty() {
        // Its types mean nothing elsewhere.
        return quote!(#(#cfgs)* { #errors });
    }
    if options.blocking.is_none() {
        // Its `await`s would be further errors.
        function.sig.asyncness.get_or_insert_with(Default::default);
    }
    let span = function.sig.ident.span();
    let asyncness = &function.sig.asyncness;
    let body = rewrite::without(&function.body, crate_path);
    let inputs = function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    });
    let patterns = inputs.clone().map(|typed| &typed.pat);
    let types = inputs.map(|typed| &typed.ty);
    // As a closure that nobody calls it may still name what it would have captured.
    quote_spanned! {span=>
        #(#cfgs)*
        {
            #errors
            let _ = #asyncness |#(#patterns: #types),*| #body;
        }
    }
}

/// `res.background(task("name", async move { … }));`
fn registration(
    function: &ItemFn,
    options: &Options,
    registers: Registers<'_>,
    crate_path: &CratePath,
    place: Span,
) -> TokenStream {
    let span = function.sig.ident.span();
    let task = with_options(
        future(function, options, crate_path),
        options,
        crate_path,
        span,
    );
    let call = match registers {
        Registers::On(response) => {
            let target = target(response, options, place);
            let register = match &options.add {
                None => Ident::new("background", span),
                Some(_) => Ident::new("add_background", span),
            };
            quote_spanned!(span=> #target.#register(#task);)
        }
        Registers::FollowUp => {
            let root = crate_path.root_at(span);
            quote_spanned!(span=> #root::__private::current().spawn(#task);)
        }
    };
    let is_doc = |attr: &&syn::Attribute| attr.path().is_ident("doc");
    let attrs = function.attrs.iter().filter(|attr| !is_doc(attr));
    let values = values(function, options);
    if values.is_empty() {
        return quote_spanned!(span=> #(#attrs)* #call);
    }
    // Before the call, which may borrow what they use. As a `let` this is one statement, whatever
    // comes after it.
    quote_spanned!(span=> #(#attrs)* let () = { #values #call };)
}

fn target(response: &Ident, options: &Options, place: Span) -> TokenStream {
    match &options.target {
        Some(target) => target.into_token_stream(),
        // The span says `res` of the caller, at the place of the attribute, which is what uses it.
        None => {
            let mut response = response.clone();
            response.set_span(response.span().located_at(place));
            response.into_token_stream()
        }
    }
}

/// What is evaluated at the registration: `let (who,): (String,) = (order.email,);`, and clones.
fn values(function: &ItemFn, options: &Options) -> TokenStream {
    let clone = |name: &Ident| quote_spanned!(name.span()=> ::core::clone::Clone::clone(&#name));
    let mut values = TokenStream::new();
    for name in &options.clones {
        let clone = clone(name);
        values.extend(quote!(let #name = #clone;));
    }
    let parameters = options.args.iter().filter_map(|arg| {
        let mut inputs = function.sig.inputs.iter();
        let input =
            inputs.find(|input| check::parameter(input).is_some_and(|pat| pat.ident == arg.name));
        match input {
            Some(FnArg::Typed(typed)) => Some((arg, typed)),
            _ => None,
        }
    });
    let (mut names, mut types, mut exprs) = (Vec::new(), Vec::new(), Vec::new());
    for (arg, typed) in parameters {
        names.push(&typed.pat);
        types.push(&typed.ty);
        exprs.push(match &arg.value {
            Some(value) => value.clone(),
            None => clone(&arg.name),
        });
    }
    if !names.is_empty() {
        values.extend(quote!(let (#(#names,)*): (#(#types,)*) = (#(#exprs,)*);));
    }
    values
}

/// The task of the function's body.
fn future(function: &ItemFn, options: &Options, crate_path: &CratePath) -> TokenStream {
    let ident = &function.sig.ident;
    let span = ident.span();
    let root = crate_path.root_at(span);
    let name = ident.to_string();
    let name = name.strip_prefix("r#").unwrap_or(&name);
    // What is registered within it is left behind by it.
    let body = expand_within(&function.body, Registers::FollowUp, crate_path).body;
    // The task's place is that of its name. A call has the place of its first token, so all of
    // this one's are the name's; a path that begins with tokens of ours has the outer attribute's.
    let place = quote_spanned!(span=> ::core::panic::Location::caller());
    let private = quote_spanned!(span=> #root::__private);
    let output = &function.sig.output;
    if options.blocking.is_some() {
        let output = (!is_opaque(output)).then_some(output);
        return quote_spanned!(span=> #private::blocking(#name, #place, move || #output #body));
    }
    let ty = match output {
        ReturnType::Default => quote_spanned!(span=> ()),
        // `!` has no name in stable Rust.
        ReturnType::Type(_, ty) if is_never(ty) => {
            return quote_spanned!(span=> #private::never(#name, #place, async move #body));
        }
        ReturnType::Type(..) if is_opaque(output) => {
            return quote_spanned!(span=> #private::task::<_, _>(#name, #place, async move #body));
        }
        ReturnType::Type(_, ty) => quote_spanned!(ty.span()=> #ty),
    };
    // An `async` block has no place for its type; what it returns first is what all else becomes.
    let root = crate_path.root_at(ty.span());
    let returns = quote_spanned! {ty.span()=>
        if false { return #root::__private::returns::<#ty>(); }
    };
    let stream = body.stream();
    let body = tokens::with_content(&body, quote!(#returns #stream));
    quote_spanned!(span=> #private::task::<#ty, _>(#name, #place, async move #body))
}

fn is_never(ty: &Type) -> bool {
    match ty {
        Type::Never(_) => true,
        Type::Group(group) => is_never(&group.elem),
        _ => false,
    }
}

/// Whether it has an `impl Trait`, which no place but a signature can.
fn is_opaque(output: &ReturnType) -> bool {
    tokens::has_word(output.to_token_stream(), "impl")
}

fn with_options(
    mut task: TokenStream,
    options: &Options,
    crate_path: &CratePath,
    span: Span,
) -> TokenStream {
    let root = crate_path.root_at(span);
    if let Some(name) = &options.name {
        task.extend(quote!(.name(#name)));
    }
    if let Some(timeout) = &options.timeout {
        task.extend(quote!(.timeout(#timeout)));
    }
    if let Some(when) = &options.when {
        let when = match &when.value {
            WhenValue::Path(path) => path.into_token_stream(),
            WhenValue::Named(variant, span) => {
                let variant = Ident::new(variant, *span);
                quote_spanned!(*span=> #root::__private::When::#variant)
            }
        };
        task.extend(quote!(.when(#when)));
    }
    task
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(args: TokenStream, item: &TokenStream) -> String {
        expand(args, item).to_string()
    }

    #[test]
    fn registers_on_res() {
        let tokens = expanded(
            quote!(),
            &quote!(
                async fn send() {
                    mail().await;
                }
            ),
        );
        assert!(tokens.contains("(res . background"), "{tokens}");
    }

    #[test]
    fn registers_on_what_is_named() {
        let tokens = expanded(
            quote!(self.res, add),
            &quote!(
                async fn send() {}
            ),
        );
        assert!(tokens.contains("(self . res . add_background"), "{tokens}");
    }

    #[test]
    fn reports_all_mistakes_at_once() {
        let tokens = expanded(
            quote!(nmae = "x", timeout = "30", add, add),
            &quote!(
                fn send<T>(who: T) {}
            ),
        );
        assert_eq!(tokens.matches("compile_error").count(), 6, "{tokens}");
    }
}
