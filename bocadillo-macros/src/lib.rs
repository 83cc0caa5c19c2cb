//! The attribute macros of bocadillo. Use them through the facade, the crate `bocadillo`.
//!
//! They read and rewrite syntax; all behaviour is in functions of the runtime. A macro that finds
//! mistakes reports all of them, and still emits the user's function.

mod args;
mod background;
mod errors;
mod item_fn;
mod main_fn;
mod rewrite;
mod route;
mod view;

use proc_macro::TokenStream;

/// Makes an inner `async fn` of a view a task that starts when the response has been sent.
///
/// The function takes no parameters: it *captures* what it names from the view, as a Python closure
/// does, by move. It may return `()` or a `Result<(), E>`, whose error is logged.
///
/// ```
/// use bocadillo::{App, Request, Response, background, testing::Client};
///
/// async fn create_order(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
///     let email: String = req.text().await?;
///
///     #[background]
///     async fn send_confirmation() {
///         println!("to {email}");     // `email` is moved into the task
///     }
///
///     res.status(201);
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = Client::new(App::new().add("/orders", &["post"], create_order));
/// let response = client.post("/orders").body("ada@example.net").await;
/// assert_eq!(response.tasks().await[0].name, "send_confirmation");
/// # }
/// ```
///
/// # Equivalent code not using the attribute
///
/// ```
/// # use bocadillo::{Response, background::Task};
/// # fn view(res: &mut Response, email: String) {
/// res.background(Task::new(async move { println!("to {email}") }).name("send_confirmation"));
/// # }
/// ```
///
/// # Arguments
///
/// * Without any, the response is the variable `res`. Within a function with
///   [`#[route]`](macro@route) or [`#[view]`](macro@view) it is that function's second parameter,
///   whatever its name.
/// * `#[background(resp)]`: the response is `resp`, or any place: `self.res`, `ctx.0`.
///
/// # What it refuses
///
/// A function that is not `async`, that has parameters or generics, or is `unsafe` or `extern`;
/// and options that it does not know. Each is reported on its own token.
///
/// Position has a meaning: a `return` before it registers nothing.
///
/// # The Python that it ports
///
/// ```python
/// @res.background
/// async def send_confirmation():
///     print(f"to {email}")
/// ```
#[proc_macro_attribute]
pub fn background(args: TokenStream, item: TokenStream) -> TokenStream {
    background::expand(args.into(), &item.into()).into()
}

/// Makes an `async fn` a view: `#[background]` within it knows its response by itself.
///
/// ```
/// use bocadillo::{App, Request, Response, testing::Client, view};
///
/// #[view]
/// async fn create_order(_request: &mut Request, response: &mut Response) {
///     #[background]
///     async fn send_confirmation() {}
///
///     response.status(201);
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = Client::new(App::new().add("/orders", &["post"], create_order));
/// assert_eq!(client.post("/orders").await.tasks().await.len(), 1);
/// # }
/// ```
///
/// It leaves the function as it is otherwise: a unit test can call it. Editors see through it,
/// which they do not through `#[background]` alone.
#[proc_macro_attribute]
pub fn view(args: TokenStream, item: TokenStream) -> TokenStream {
    view::expand(args.into(), item.into()).into()
}

/// Makes an `async fn` a view with its route, for `App::route`.
///
/// ```
/// use bocadillo::{App, Request, Response, route, testing::Client};
///
/// #[route("/orders/{id}", methods = ["get", "post"])]
/// async fn order(_req: &mut Request, res: &mut Response, id: u64) {
///     res.json(&id);
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = Client::new(App::new().route(order));
/// assert_eq!(client.get("/orders/7").await.json::<u64>(), 7);
/// assert_eq!(client.get("/orders/x").await.status(), 400);
///
/// // A function of the same name is left behind: a unit test can call it.
/// let mut req = Request::from(http::Request::new("".into()));
/// let mut res = Response::new();
/// order(&mut req, &mut res, 8).await;
/// # }
/// ```
///
/// # Arguments
///
/// * The path: `{name}` matches one segment, `{name:path}` the rest. Each is an argument of the
///   function, found by its name and converted to its type; what does not convert is a 400.
/// * `methods = ["get", …]`, in any case; `GET`, and with it `HEAD`, if left out.
#[proc_macro_attribute]
pub fn route(args: TokenStream, item: TokenStream) -> TokenStream {
    route::expand(args.into(), item.into()).into()
}

/// Runs an `async fn main` on a runtime with several threads.
///
/// When the first server starts, a log to stderr is set up, unless the program has set up a
/// subscriber of its own by then. `RUST_LOG` filters it; the default is `info`.
///
/// ```no_run
/// #[bocadillo::main]
/// async fn main() -> bocadillo::Result<()> {
///     bocadillo::App::new().serve("127.0.0.1:8000").await
/// }
/// ```
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    main_fn::expand(args.into(), item.into()).into()
}
