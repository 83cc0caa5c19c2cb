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
mod tokens;
mod told;
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
/// In any order, each at most once; the response, if it is named, comes first.
///
/// ```text
/// #[background]
/// #[background(res, name = "…", timeout = "30s", when = "success", add, blocking,
///              clone(a, b), args(who = expression, number), crate = path)]
/// ```
///
/// * **The response**: without it, it is the variable `res`. Within a function with
///   [`#[route]`](macro@route) or [`#[view]`](macro@view) it is that function's second parameter,
///   whatever its name. `#[background(resp)]` names another, or any place: `self.res`, `ctx.0`.
/// * **`clone(db, email)`** clones these variables into the task; the view keeps its own.
/// * **`args(who = expression, number)`** gives the function parameters, evaluated when it is
///   registered, in the order in which they stand here. `number` alone means a clone of the variable
///   of that name.
/// * **`add`** keeps the tasks registered before; without it, this one takes their place.
/// * **`timeout = "30s"`**: how long it may run, as a whole number with `ms`, `s`, `m` or `h`, or the
///   path of a `Duration`.
/// * **`when = "success"`** if the view returned `Ok` with a status below 400, **`"delivered"`** if
///   the kernel accepted every byte of the response, or the path of a `When`.
/// * **`blocking`**: a plain `fn`, run on a thread where blocking hurts nobody.
/// * **`name = "…"`**, or a path, in place of the function's name in logs and reports.
/// * **`crate = path`** where the facade has another name.
///
/// ```
/// use bocadillo::{App, Request, Response, background, background::State, route, testing::Client};
/// use std::time::Duration;
///
/// const LIMIT: Duration = Duration::from_secs(5);
///
/// #[route("/orders/{id}")]
/// async fn order(_req: &mut Request, res: &mut Response, id: u32) {
///     let email = String::from("ada@example.net");
///
///     #[background(clone(email), timeout = LIMIT)]
///     async fn send_confirmation() {
///         println!("to {email}");
///     }
///
///     #[background(add, args(number = id + 1), name = "numbers")]
///     async fn write_log(number: u32) -> Result<(), std::num::TryFromIntError> {
///         let _small: u8 = number.try_into()?;     // fails for 300: logged, reported
///         Ok(())
///     }
///
///     #[background(add, blocking, when = "success")]
///     fn make_thumbnail() {
///         std::thread::sleep(Duration::from_millis(1));
///     }
///
///     res.text(email);
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = Client::new(App::new().route(order));
/// let mut reports = client.get("/orders/300").await.tasks().await;
/// reports.sort_by(|a, b| a.name.cmp(&b.name));
/// let ends: Vec<_> = reports.iter().map(|report| (&*report.name, report.outcome)).collect();
/// assert_eq!(ends, [
///     ("make_thumbnail", State::Completed),
///     ("numbers", State::Failed),
///     ("send_confirmation", State::Completed),
/// ]);
/// # }
/// ```
///
/// # A task within a task
///
/// is a follow-up: work that the task leaves behind, counted, limited and drained like itself. It
/// starts at once, where it stands, and runs beside the task; what is to come after something, stands
/// after that. It has no response: the options `add` and `when` mean nothing for it.
///
/// ```
/// # use bocadillo::{App, Request, Response, route, testing::Client};
/// #[route("/")]
/// async fn index(_req: &mut Request, res: &mut Response) {
///     #[background]
///     async fn send() {
///         #[background]
///         async fn log_it() {}
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let client = Client::new(App::new().route(index));
/// # let reports = client.get("/").await.tasks().await;
/// # assert_eq!(reports[1].name, "log_it");
/// # }
/// ```
///
/// # Mistakes
///
/// All mistakes of one function are reported at once, each on its own token:
///
/// | written | said |
/// | --- | --- |
/// | `fn send() { … .await … }` | a background task needs an `async fn`; add `async` before `fn`, or for a function that blocks the option `blocking` |
/// | `async fn send(who: &str)` | a background task has no parameters: it captures what it names from the view; or give them values, `#[background(args(who = …))]` |
/// | `#[background(tmeout = "3s")]` | `tmeout` is no option of `#[background]`; did you mean `timeout`? |
/// | `#[background(timeout = "3")]` | a duration is a whole number with `ms`, `s`, `m` or `h`: "30s" |
/// | `res.text(…)` in the task | the response has been sent when the task runs; use `res` before, in the view |
/// | two tasks one after the other in a view, the second without `add` | a warning: the first never runs, the second takes its place |
///
/// Something captured that is used afterwards, or by the next turn of a loop, is rustc's "use of moved
/// value": `clone(…)` is the remedy. What borrows (`&self`, `req.header(…)`) "escapes the function":
/// clone what the task needs before, as `to_owned()`. Something that is not `Send` is named by
/// rustc, within the task.
///
/// Position has a meaning: a `return` before it registers nothing. Attributes on the function other
/// than `cfg`, documentation and lint levels are refused: they would do nothing.
///
/// # Editors
///
/// Alone, it is an attribute on a function within a function, which rust-analyzer expands to nothing
/// that it can show: names resolve in the task, but what it captures has no type there, and nothing
/// completes after its dot. Within a function with [`#[route]`](macro@route)
/// or [`#[view]`](macro@view) it is expanded with that, as a whole; and the plain call,
/// `res.background(send(email))`, is code like any other.
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
///
/// # Arguments
///
/// Only `crate = path`, where the facade has another name. The function's first two parameters are
/// the request and the response, by any names; it is registered by `App::add`.
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
/// | `fn index(…)` | `#[view]` needs an `async fn`; add `async` before `fn` |
/// | `async fn index(req: &mut Request)` | a view takes the request and the response: `(req: &mut Request, res: &mut Response)` |
/// | `async fn index(&self, …)` | a view is a function, not a method; share values by `App::state` and `req.state()` |
/// | `#[view("/orders")]` | `#[view]` has no options but `crate = path`; for a path, use `#[route]` |
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
/// | `#[route]` | `#[route]` begins with its path: `#[route("/orders")]` |
/// | `"/orders/{id"` | a `{` in the path has no `}` after it |
/// | `"/{rest:path}/more"` | `{rest:path}` matches the rest of the path; nothing can follow it |
/// | `number: u64` for `"/orders/{id}"` | the path has no parameter `{number}`; add it there, or read the query by `req.query()` |
/// | `"/orders/{id}"` without `id` | no argument takes the path's `{id}`; add `id: String`, say |
/// | `methods = ["a b"]` | no method of HTTP; write a name such as "post" |
/// | `id: Vec<u8>` | `Vec<u8>` cannot be a path parameter |
/// | `-> &'static str` | `&'static str` cannot be the result of a view |
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
/// | `fn main()` | `#[bocadillo::main]` needs an `async fn`; add `async` before `fn` |
/// | `#[bocadillo::main(flavor = "…")]` | `#[bocadillo::main]` has no options but `crate = path` |
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
