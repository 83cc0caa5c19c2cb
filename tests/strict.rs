//! The expansions under the strictest lints, without a prelude, among names that shadow ours.
#![no_implicit_prelude]
#![deny(
    warnings,
    unsafe_code,
    unused_qualifications,
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    clippy::nursery
)]

extern crate bocadillo as facade;
extern crate tokio;

use ::std::{assert, assert_eq, convert::From as _, string::String, vec::Vec};

/// What a careless expansion would find in place of what it means.
#[allow(dead_code, reason = "they are there to be found")]
#[allow(
    clippy::missing_const_for_fn,
    unreachable_pub,
    missing_docs,
    reason = "traps"
)]
mod traps {
    pub struct Option;
    pub struct Result;
    pub struct Future;
    pub struct Clone;
    pub struct Box;
    pub fn drop() {}
    pub fn current() {}
    pub mod core {}
    pub mod std {}
    pub mod background {}
}

#[allow(unused_imports, reason = "they are there to be found")]
use self::traps::{Box, Clone, Future, Option, Result, core, current, drop, std};

/// A view with its route, and tasks of every kind.
#[facade::route("/all/{number}", methods = ["get", "post"], crate = facade)]
pub async fn all(
    request: &mut facade::Request,
    response: &mut facade::Response,
    number: u32,
) -> facade::Result<()> {
    let text = String::from("text");
    let path = String::from(request.path());

    /// Documented, as everything here.
    #[background(name = "first", timeout = "30s", when = "always", clone(text))]
    async fn captures() {
        assert_eq!((text.as_str(), number), ("text", 7));
    }

    #[background(add, args(path, twice = number * 2, text))]
    async fn has_arguments(path: String, twice: u32, mut text: String) {
        text.push_str(&path);
        assert_eq!((text.as_str(), twice), ("text/all/7", 14));

        #[background]
        async fn follows() {}
    }

    #[background(add, blocking)]
    fn blocks() -> ::std::result::Result<(), ::std::fmt::Error> {
        ::std::result::Result::Ok(())
    }

    response.text(text);
    facade::Result::Ok(())
}

/// A view without one.
///
/// # Errors
///
/// Never.
#[facade::view(crate = facade)]
pub async fn viewed(_request: &mut facade::Request, response: &mut facade::Response) {
    #[background]
    async fn quiet() {}
    response.status(204);
    let text = String::from("text");
    #[background(add, clone(text), args(last = 7))]
    #[cfg(test)]
    async fn comes_last(last: u8) {
        ::std::mem::drop((text, last));
    }
}

/// The attribute alone.
pub async fn alone(_request: &mut facade::Request, response: &mut facade::Response) {
    #[facade::background(response, crate = facade)]
    async fn by_itself() {}
}

#[tokio::test]
async fn strict_code_compiles_and_runs() {
    let app = facade::App::new()
        .route(all)
        .add("/viewed", &["get"], viewed)
        .add("/alone", &["get"], alone);
    let client = facade::testing::Client::new(app);
    for (path, expected) in [
        (
            "/all/7",
            &["blocks", "first", "follows", "has_arguments"][..],
        ),
        ("/viewed", &["comes_last", "quiet"]),
        ("/alone", &["by_itself"]),
    ] {
        let reports = client.get(path).await.tasks().await;
        let mut names = Vec::new();
        for report in &reports {
            assert!(report.error.is_none(), "{report:?}");
            names.push(&*report.name);
        }
        names.sort_unstable();
        assert_eq!(names, expected);
    }
}
