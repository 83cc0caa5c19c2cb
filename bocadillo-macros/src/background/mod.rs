//! `#[background]`: parse (`options`), validate (`check`), expand (here).

mod check;
mod duration;
mod options;
mod response_use;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::{FnArg, ReturnType, Type, spanned::Spanned as _};

use self::options::{Options, WhenValue};
use crate::{
    args::CratePath,
    errors::Errors,
    item_fn::ItemFn,
    rewrite::{self, Task},
};

/// Where a task is registered.
#[derive(Clone, Copy)]
pub(crate) enum Registers<'a> {
    /// In a view: on its response.
    On(&'a Ident),
    /// In a task: with the runner.
    FollowUp,
}

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
    let response = Ident::new("res", Span::call_site());
    expand_for(args, item, Registers::On(&response), None).tokens
}

/// The attribute in a function whose response is known; `outer` is that function's crate path.
pub(crate) fn expand_for(
    args: TokenStream,
    item: &TokenStream,
    registers: Registers<'_>,
    outer: Option<&CratePath>,
) -> Task {
    let Ok(function) = syn::parse2::<ItemFn>(item.clone()) else {
        return Task::unclear(not_a_function(item));
    };
    let mut errors = Errors::default();
    let options = Options::parse(args, &mut errors);
    check::check(&function, &options, &registers, &mut errors);
    if !errors.is_empty() {
        return Task::unclear(unexpanded(function, &options, errors));
    }
    let is_conditional = function
        .attrs
        .iter()
        .any(|attr| attr.path().is_ident("cfg"));
    Task {
        replaces: options.add.is_none() && !is_conditional && options.target.is_none(),
        name: (!is_conditional).then(|| function.sig.ident.clone()),
        tokens: registration(&function, &options, registers, outer),
    }
}

fn not_a_function(item: &TokenStream) -> TokenStream {
    let first = item
        .clone()
        .into_iter()
        .find(|tree| !matches!(tree, TokenTree::Punct(_)));
    let message =
        "`#[background]` makes a task of an inner `async fn`; write `async fn name() { … }`";
    let error = syn::Error::new(
        first.map_or_else(Span::call_site, |tree| tree.span()),
        message,
    );
    let error = error.to_compile_error();
    quote!(#item #error)
}

/// The function as it is, so that one mistake makes one error.
fn unexpanded(mut function: ItemFn, options: &Options, errors: Errors) -> TokenStream {
    let errors = errors.into_compile_errors();
    if !function.sig.generics.params.is_empty() {
        // Its types mean nothing elsewhere.
        return errors;
    }
    if options.blocking.is_none() {
        // Its `await`s would be further errors.
        function.sig.asyncness.get_or_insert_with(Default::default);
    }
    let span = function.sig.ident.span();
    let asyncness = &function.sig.asyncness;
    let body = rewrite::without(&function.body);
    let inputs = function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    });
    let patterns = inputs.clone().map(|typed| &typed.pat);
    let types = inputs.map(|typed| &typed.ty);
    // As a closure that nobody calls it may still name what it would have captured.
    quote_spanned! {span=>
        #errors
        #[allow(unused, clippy::all)]
        {
            let _ = #asyncness |#(#patterns: #types),*| #body;
        }
    }
}

/// `res.background(task("name", async move { … }));`
fn registration(
    function: &ItemFn,
    options: &Options,
    registers: Registers<'_>,
    outer: Option<&CratePath>,
) -> TokenStream {
    let ident = &function.sig.ident;
    let span = ident.span();
    let crate_path = outer.unwrap_or(&options.crate_path);
    let task = task(function, options, crate_path);
    let call = match registers {
        Registers::On(response) => {
            let target = target(response, options, ident);
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
    let attrs = function
        .attrs
        .iter()
        .filter(|attr| !attr.path().is_ident("doc"));
    let values = values(function, options);
    if values.is_empty() {
        return quote_spanned!(span=> #(#attrs)* #call);
    }
    // Before the call, which may borrow what they use. As a `let` this is one statement, whatever
    // comes after it.
    quote_spanned!(span=> #(#attrs)* let () = { #values #call };)
}

fn target(response: &Ident, options: &Options, name: &Ident) -> TokenStream {
    match &options.target {
        Some(target) => target.into_token_stream(),
        // The span says `res` of the caller, at the place of the task's name, where errors about
        // the borrow then point.
        None => {
            let mut response = response.clone();
            response.set_span(response.span().located_at(name.span()));
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
            Some(value) => value.into_token_stream(),
            None => clone(&arg.name),
        });
    }
    if !names.is_empty() {
        values.extend(quote!(let (#(#names,)*): (#(#types,)*) = (#(#exprs,)*);));
    }
    values
}

/// The task with its options.
fn task(function: &ItemFn, options: &Options, crate_path: &CratePath) -> TokenStream {
    let ident = &function.sig.ident;
    let span = ident.span();
    let root = crate_path.root_at(span);
    let name = ident.to_string();
    let name = name.strip_prefix("r#").unwrap_or(&name);
    // What is registered within it is left behind by it.
    let body = rewrite::rewrite(&function.body, Registers::FollowUp, crate_path).body;
    // The task's place is that of its name. A call has the place of its first token, so all of
    // this one's are the name's; a path that begins with tokens of ours has the outer attribute's.
    let place = quote_spanned!(span=> ::core::panic::Location::caller());
    let private = quote_spanned!(span=> #root::__private);
    let mut task = match (&function.sig.output, &options.blocking) {
        (ReturnType::Default, None) => {
            quote_spanned!(span=> #private::task::<(), _>(#name, #place, async move #body))
        }
        // `!` has no name in stable Rust.
        (ReturnType::Type(_, ty), None) if matches!(**ty, Type::Never(_)) => {
            quote_spanned!(span=> #private::never(#name, #place, async move #body))
        }
        (ReturnType::Type(_, ty), None) => {
            let ty = quote_spanned!(ty.span()=> #ty);
            quote_spanned!(span=> #private::task::<#ty, _>(#name, #place, async move #body))
        }
        (output, Some(_)) => {
            quote_spanned!(span=> #private::blocking(#name, #place, move || #output #body))
        }
    };
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
