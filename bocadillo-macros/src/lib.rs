//! The attribute macros of bocadillo. Use them through the facade, the crate `bocadillo`.
//!
//! They read and rewrite syntax; all behaviour is in functions of the runtime. A macro that finds
//! mistakes reports all of them, and still emits the user's function.

mod args;
mod attribute;
mod background;
#[cfg(test)]
mod both_forms;
#[cfg(test)]
mod differential;
mod durable;
mod errors;
#[cfg(test)]
mod fuzz;
mod invisible;
mod item_fn;
mod main_fn;
mod never_runs;
mod options;
mod rewrite;
mod route;
#[cfg(test)]
mod snapshots;
mod task;
mod tokens;
mod told;
mod view;
#[cfg(test)]
mod walks;

use proc_macro::TokenStream;

#[doc = include_str!("docs/background.md")]
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
///
/// # Arguments
///
/// Only `crate = path`, where the facade has another name. The function's first two parameters are
/// the request and the response, by any names; it is registered by `App::add`. In an `impl` it may
/// take `self` before them; an `App` calls it through a function then.
///
/// A function with a parameter of type `Background` is a handler of another framework, as axum: it may take
/// whatever that allows. The tasks within are registered on that parameter, whatever its name and place.
/// `#[axum::debug_handler]` stands below `#[view]`: above it, it would check a copy of the body in which
/// no `#[view]` has found the tasks.
///
/// ```
/// use axum::{Json, response::IntoResponse};
/// use bocadillo::{background::Background, view};
///
/// #[view]
/// async fn create_order(response: Background, Json(email): Json<String>) -> impl IntoResponse {
///     #[background]
///     async fn send_confirmation() {
///         println!("to {email}");
///     }
///
///     http::StatusCode::CREATED
/// }
/// # let _: axum::routing::MethodRouter = axum::routing::post(create_order);
/// ```
///
/// # Equivalent code not using the attribute
///
/// ```
/// # use bocadillo::{Request, Response, background};
/// async fn create_order(_request: &mut Request, response: &mut Response) {
///     #[background(response)]
///     async fn send_confirmation() {}
///
///     response.status(201);
/// }
/// ```
///
/// # Mistakes
///
/// | written | said |
/// | --- | --- |
/// | `fn index(…)` | view is not `async`; add `async` before `fn` |
/// | `async fn index(req: &mut Request)` | missing parameters; a view takes `(req: &mut Request, res: &mut Response)` |
/// | `async fn index(res: &mut Response, req: &mut Request)` | the response comes before the request; write `(req: &mut Request, res: &mut Response)` |
/// | `_: &mut Response`, and a task | unnamed response in a view with a background task; name it `res` |
/// | `#[view("/orders")]` | unexpected option; `#[view]` takes only `crate = path`, and `#[route]` a path |
///
/// # The Python that it ports
///
/// ```python
/// @app.route("/orders", methods=["post"])
/// async def create_order(req, res):
///     @res.background
///     async def send_confirmation():
///         pass
///
///     res.status_code = 201
/// ```
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
/// let mut req = bocadillo::testing::request(http::Request::new("".into()));
/// let mut res = bocadillo::testing::response();
/// order(&mut req, &mut res, 8).await;
/// # }
/// ```
///
/// # Arguments
///
/// * The path: `{name}` matches one segment, `{name:path}` the rest. Each is a parameter of the
///   function, found by its name (`r#type` for `{type}`) and converted to its type, which is any that
///   implements `FromStr`; what does not convert is a 400. A parameter may have a `#[cfg(…)]`.
/// * `methods = ["get", …]`, in any case; `GET`, and with it `HEAD`, if left out.
/// * `crate = path` where the facade has another name.
///
/// # Equivalent code not using the attribute
///
/// ```
/// # use bocadillo::{App, Request, Response};
/// async fn order(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
///     let id: u64 = req.param("id")?;
///     res.json(&id);
///     Ok(())
/// }
///
/// let app = App::new().add("/orders/{id}", &["get", "post"], order);
/// ```
///
/// # Mistakes
///
/// | written | said |
/// | --- | --- |
/// | `#[route]` | missing path; write `#[route("/orders")]` |
/// | `#[route("/orders", ["get"])]` | missing name of the option; write `methods = ["get"]` |
/// | `methods = []` | empty list of methods; add one, such as "get" |
/// | `methods = ["a b"]` | invalid HTTP method; expected a name such as "post" |
/// | `"/orders/{id"` | unmatched `{` in the path; add a `}` after it |
/// | `"/{rest:path}/more"` | unexpected text after `{rest:path}`, which matches the rest of the path |
/// | `number: u64` for `"/orders/{id}"` | unknown path parameter `number`; add `{number}` to the path |
/// | `"/orders/{id}"` without `id` | unused path parameter `{id}`; add `id: String` to the function |
/// | two of them on one function | duplicate `#[route]`; add the other path by `App::add` |
/// | `async fn index(&self, …)` | `#[route]` on a method; remove `self`, and share values by `App::state` |
/// | `id: Vec<u8>` | `Vec<u8>` cannot be a path parameter |
/// | `-> &'static str` | `&'static str` cannot be the result of a view |
/// | `-> Result<(), Box<dyn Error>>` | `Box<dyn Error>` cannot be the error of a view; the note names `bocadillo::Result` |
///
/// # The Python that it ports
///
/// ```python
/// @app.route("/orders/{id}", methods=["get", "post"])
/// async def order(req, res, id: int):
///     res.json = id
/// ```
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
///
/// Its only argument is `crate = path`, where the facade has another name. For a runtime of another
/// kind, build it by tokio, as in the expansion; a task that never yields cannot keep the program
/// alive there either, if it ends by `Runtime::shutdown_timeout`.
///
/// # Equivalent code not using the attribute
///
/// Without the log:
///
/// ```no_run
/// fn main() -> bocadillo::Result<()> {
///     let runtime = tokio::runtime::Runtime::new()?;
///     let result = runtime.block_on(bocadillo::App::new().serve("127.0.0.1:8000"));
///     runtime.shutdown_timeout(std::time::Duration::from_millis(100));
///     result
/// }
/// ```
///
/// # Mistakes
///
/// | written | said |
/// | --- | --- |
/// | `fn main()` | `main` is not `async`; add `async` before `fn` |
/// | `#[bocadillo::main(flavor = "…")]` | unexpected option; `#[bocadillo::main]` takes only `crate = path` |
///
/// # The Python that it ports
///
/// ```python
/// app = App()
/// configure(app)      # and then: uvicorn app:app
/// ```
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    main_fn::expand(args.into(), item.into()).into()
}

#[doc = include_str!("docs/task.md")]
#[proc_macro_attribute]
pub fn task(args: TokenStream, item: TokenStream) -> TokenStream {
    durable::expand(args.into(), item.into()).into()
}
