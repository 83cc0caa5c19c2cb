//! What a task's function must be.

use proc_macro2::Ident;
use quote::ToTokens as _;
use syn::{Attribute, FnArg, Pat, PatIdent};

use super::response_use;
use crate::{
    errors::Errors,
    item_fn::{ItemFn, conditional},
    options::Options,
    task::Registers,
    tokens,
};

/// Attributes that mean something on the statement that a task becomes.
const KEPT: [&str; 7] = ["doc", "cfg", "allow", "expect", "warn", "deny", "forbid"];

pub(super) fn check(
    function: &ItemFn,
    options: &Options,
    registers: &Registers<'_>,
    errors: &mut Errors,
) {
    check_asyncness(function, options, errors);
    check_signature(function, errors);
    check_attributes(function, errors);
    check_parameters(function, options, errors);
    match registers {
        Registers::On(response) => check_response(function, options, response, errors),
        Registers::FollowUp => check_follow_up(options, errors),
    }
}

fn check_asyncness(function: &ItemFn, options: &Options, errors: &mut Errors) {
    let awaits = tokens::has_word(function.body.stream(), "await");
    match (&function.sig.asyncness, &options.blocking) {
        (None, None) if awaits => errors.at(
            function.sig.fn_token,
            "background task is not `async`; add `async` before `fn`",
        ),
        (None, None) => errors.at(
            function.sig.fn_token,
            "background task is not `async`; add `async` before `fn`, \
             or the option `blocking` if it blocks",
        ),
        (Some(asyncness), Some(_)) if awaits => errors.at(
            asyncness,
            "blocking task is `async`; remove the option `blocking`",
        ),
        (Some(asyncness), Some(_)) => {
            errors.at(asyncness, "blocking task is `async`; remove `async`");
        }
        _ => {}
    }
}

fn check_signature(function: &ItemFn, errors: &mut Errors) {
    let sig = &function.sig;
    if !sig.generics.params.is_empty() {
        let message = "background task has generic parameters; use those of the function around it";
        errors.at(&sig.generics, message);
    }
    if let syn::Safety::Unsafe(unsafety) = &sig.safety {
        let message = "background task is `unsafe`; use an `unsafe` block in its body";
        errors.at(unsafety, message);
    }
    if let Some(abi) = &sig.abi {
        errors.at(abi, "background task is `extern`; remove this");
    }
    if let Some(constness) = &sig.constness {
        errors.at(constness, "background task is `const`; remove this");
    }
}

fn check_attributes(function: &ItemFn, errors: &mut Errors) {
    for attr in &function.attrs {
        if attr.path().is_ident("background") {
            errors.at(attr, "duplicate `#[background]`");
        } else if !is_kept(attr) {
            let message = "unsupported attribute on a background task; \
                           move it to a function that the task calls";
            errors.at(attr, message);
        }
    }
}

fn is_kept(attr: &Attribute) -> bool {
    let conditional = conditional(attr);
    KEPT.iter().any(|known| attr.path().is_ident(known))
        || !conditional.is_empty() && conditional.iter().all(is_kept)
}

/// Parameters and `args(…)` must be the same names.
fn check_parameters(function: &ItemFn, options: &Options, errors: &mut Errors) {
    if !options.has_args {
        let others = function.sig.inputs.iter().filter(|it| !is_self(it, errors));
        if others.count() > 0 {
            let message = "background task has parameters; use the variables around it, \
                           or pass values by `#[background(args(who = …))]`";
            errors.at(&function.sig.inputs, message);
        }
        return;
    }
    if !options.knows_args {
        return;
    }
    let mut names = Vec::new();
    for input in &function.sig.inputs {
        if is_self(input, errors) {
            continue;
        }
        let Some(name) = parameter(input).map(|pat| &pat.ident) else {
            errors.at(
                input,
                "expected a plain name as the parameter of a background task",
            );
            return;
        };
        if !options.args.iter().any(|arg| arg.name == *name) {
            let message = format!("missing value for the parameter `{name}`; add it to `args(…)`");
            errors.at(name, message);
        }
        names.push(name);
    }
    for arg in &options.args {
        let name = &arg.name;
        if !names.contains(&name) {
            let message = format!("unknown parameter `{name}`; add it to the function");
            errors.at(name, message);
        }
    }
    for name in &options.clones {
        if options.args.iter().any(|arg| arg.name == *name) {
            let message = format!("`{name}` is also in `args(…)`; remove it from `clone(…)`");
            errors.at(name, message);
        }
    }
}

fn is_self(input: &FnArg, errors: &mut Errors) -> bool {
    let FnArg::Receiver(receiver) = input else {
        return false;
    };
    let message =
        "background task has a `self` parameter; clone what it needs into variables before it";
    errors.at(receiver, message);
    true
}

/// A parameter with a plain name, which may be `mut`.
pub(super) fn parameter(input: &FnArg) -> Option<&PatIdent> {
    match input {
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Some(pat),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    }
}

fn check_response(function: &ItemFn, options: &Options, response: &Ident, errors: &mut Errors) {
    let named = options
        .target
        .as_ref()
        .map(|target| target.to_token_stream());
    let name = match named {
        None => Some(response.clone()),
        Some(target) => syn::parse2(target).ok(),
    };
    let is_own = |name: &Ident| {
        options.args.iter().any(|arg| arg.name == *name) || options.clones.contains(name)
    };
    let Some(name) = name.filter(|name| !is_own(name)) else {
        return;
    };
    if let Some(used) = response_use::find(&function.body.stream(), &name) {
        let message = format!(
            "`{name}` is used in a background task, which runs after the response was sent; \
             use it before the task"
        );
        errors.at(used, message);
    }
}

/// What means nothing for a task that a task leaves behind.
fn check_follow_up(options: &Options, errors: &mut Errors) {
    if let Some(target) = &options.target {
        errors.at(target, "a task within a task has no response; remove this");
    }
    if let Some(add) = &options.add {
        errors.at(add, "a task within a task replaces no other; remove `add`");
    }
    if let Some(when) = &options.when {
        errors.at(
            &when.word,
            "a task within a task has no condition; check `background::current().delivery()` in it",
        );
    }
}
