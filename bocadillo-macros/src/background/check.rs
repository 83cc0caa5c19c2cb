//! What a task's function must be.

use proc_macro2::Ident;
use quote::ToTokens as _;
use syn::{FnArg, Pat, PatIdent};

use super::{Registers, options::Options, response_use};
use crate::{errors::Errors, item_fn::ItemFn};

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
    match (&function.sig.asyncness, &options.blocking) {
        (None, None) => errors.at(
            function.sig.fn_token,
            "a background task needs an `async fn`; add `async` before `fn`, \
             or for a function that blocks the option `blocking`",
        ),
        (Some(asyncness), Some(_)) => errors.at(
            asyncness,
            "a blocking task is a plain `fn`; remove `async`, or the option `blocking`",
        ),
        _ => {}
    }
}

fn check_signature(function: &ItemFn, errors: &mut Errors) {
    let sig = &function.sig;
    if !sig.generics.params.is_empty() {
        errors.at(
            &sig.generics,
            "a background task has no generics of its own; it may use the view's",
        );
    }
    if let syn::Safety::Unsafe(unsafety) = &sig.safety {
        errors.at(
            unsafety,
            "a background task cannot be `unsafe`; use an `unsafe` block within it",
        );
    }
    if let Some(abi) = &sig.abi {
        errors.at(abi, "a background task cannot be `extern`; leave it out");
    }
    if let Some(constness) = &sig.constness {
        errors.at(
            constness,
            "a background task cannot be `const`; leave it out",
        );
    }
}

fn check_attributes(function: &ItemFn, errors: &mut Errors) {
    for attr in &function.attrs {
        if !KEPT.iter().any(|known| attr.path().is_ident(known)) {
            let message = "this attribute does nothing on a background task, whose function is gone; \
                           put it on a function that the task calls";
            errors.at(attr, message);
        }
    }
}

/// Parameters and `args(…)` must be the same names.
fn check_parameters(function: &ItemFn, options: &Options, errors: &mut Errors) {
    if options.args_word.is_none() {
        let others = function.sig.inputs.iter().filter(|it| !is_self(it, errors));
        if others.count() > 0 {
            let message = "a background task has no parameters: it captures what it names from the view; \
                 or give them values, `#[background(args(who = …))]`";
            errors.at(&function.sig.inputs, message);
        }
        return;
    }
    let mut names = Vec::new();
    for input in &function.sig.inputs {
        if is_self(input, errors) {
            continue;
        }
        let Some(name) = parameter(input).map(|pat| &pat.ident) else {
            errors.at(input, "a parameter of a background task is a plain name");
            return;
        };
        if !options.args.iter().any(|arg| arg.name == *name) {
            let message = format!("`{name}` has no value; add it to `args(…)`");
            errors.at(name, message);
        }
        names.push(name);
    }
    for arg in &options.args {
        let name = &arg.name;
        if !names.contains(&name) {
            let message = format!("the function has no parameter `{name}`; add it, or remove this");
            errors.at(name, message);
        }
    }
    for name in &options.clones {
        if options.args.iter().any(|arg| arg.name == *name) {
            let message = format!("`{name}` is in `args(…)` already; remove it here");
            errors.at(name, message);
        }
    }
}

fn is_self(input: &FnArg, errors: &mut Errors) -> bool {
    let FnArg::Receiver(receiver) = input else {
        return false;
    };
    let message = "a background task has no `self`; it captures clones: `clone(…)`";
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
    let is_arg = |name: &Ident| options.args.iter().any(|arg| arg.name == *name);
    let Some(name) = name.filter(|name| !is_arg(name)) else {
        return;
    };
    if let Some(used) = response_use::find(&function.body.stream(), &name) {
        let message = format!(
            "the response has been sent when the task runs; use `{name}` before, in the view"
        );
        errors.at(used, message);
    }
}

/// What means nothing for a task that a task leaves behind.
fn check_follow_up(options: &Options, errors: &mut Errors) {
    if let Some(target) = &options.target {
        errors.at(
            target,
            "a task within a task is a follow-up, which has no response; leave this out",
        );
    }
    if let Some(add) = &options.add {
        errors.at(add, "a follow-up takes nobody's place; leave `add` out");
    }
    if let Some(when) = &options.when {
        errors.at(
            &when.word,
            "a follow-up has no condition; ask `background::current().delivery()`",
        );
    }
}
