//! `App`: its routes, groups, states, error handlers and settings.

use std::{
    any::type_name, error::Error as StdError, fmt, panic::Location, pin::Pin, sync::Arc,
    time::Duration,
};

use http::Method;

use crate::{
    app::{
        exchange::ViewEndpoint,
        mount::segments,
        on_error::OnError,
        route_fn::{Plain, RouteFn, RouteMeta as _, Runs, WithRoute},
        router::Route,
        service::Built,
        shared::Endpoint,
        view::View,
    },
    background::Runner,
    error::{Error, Result},
    message::{context::StateMap, request::Request, response::Response},
    server::{limits::Limits, shutdown::Shutdown},
    tower::boxed::BoxedService,
};

/// A web application.
///
/// It is a [`tower::Service`](tower_service::Service) too: it mounts into others, and runs in tests
/// without a socket. Within a server that is not ours, tasks start when the response was handed
/// to the transport. Calls and setters may come in any order: a route that is added after a call answers
/// from the next call on. [`into_service`](Self::into_service) ends the building, and makes a service
/// that can be cloned.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, Request, Response, route, testing::Client};
///
/// #[route("/hello/{name}")]
/// async fn hello(_req: &mut Request, res: &mut Response, name: String) {
///     res.text(format!("hello {name}"));
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = Client::new(App::new().route(hello));
/// assert_eq!(client.get("/hello/Ada").await.text(), "hello Ada");
/// # }
/// ```
#[derive(Default)]
pub struct App {
    pub(super) routes: Vec<Route<Arc<dyn Endpoint>>>,
    pub(super) faults: Vec<String>,
    pub(super) states: StateMap,
    pub(super) runner: Runner,
    pub(super) limits: Limits,
    pub(super) shutdown: Shutdown,
    pub(super) shutdown_delay: Duration,
    /// The settings that were made and that a group cannot have.
    pub(super) own_settings: Vec<&'static str>,
    pub(super) on_error: OnError,
    /// The innermost layer is the first.
    pub(super) layers: Vec<Wrap>,
    pub(super) on_startup: Vec<Hook>,
    pub(super) on_shutdown: Vec<Hook>,
    /// The app as it was at the last call. A setter resets it.
    pub(super) built: Option<Built>,
}

type Wrap = Box<dyn Fn(BoxedService) -> BoxedService + Send>;

/// A user's function that runs before or after the server.
pub(super) type Hook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send>;

impl App {
    /// Creates an application that answers every request with 404.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a view whose attribute `#[route]` names its path and methods.
    #[must_use]
    pub fn route<Args: 'static, V: for<'a> RouteFn<'a, Args>>(self, view: V) -> Self {
        type Meta<V, Args> = <V as RouteFn<'static, Args>>::Meta;
        let (path, methods) = (Meta::<V, Args>::PATH, Meta::<V, Args>::METHODS);
        let (name, location) = (Meta::<V, Args>::NAME, Meta::<V, Args>::location());
        self.insert(path, methods, name, location, move || {
            WithRoute::new(view.clone())
        })
    }

    /// Adds a view for a path and these methods, such as `&["GET", "POST"]`, in upper or lower
    /// case. `&["*"]` stands for all methods that have no view of their own at this path.
    ///
    /// A view for GET answers HEAD too. OPTIONS is answered with the methods of the path. Both can
    /// have a view of their own. If a path exists only with a slash at its end, or only without it,
    /// the client is redirected to the existing one: GET and HEAD by a 302, other methods by a 307,
    /// which keeps the method and the body.
    ///
    /// Paths are compared segment by segment, and each segment is percent-decoded once. `/café`
    /// matches `/caf%C3%A9`, which browsers send, and may be written in either way. A `%2F` does
    /// not end a segment.
    ///
    /// `{name}` in the path matches one segment, `{name:path}` matches the rest of the path. A path
    /// that conflicts with another one, and an invalid method, are errors of
    /// [`serve`](Self::serve).
    #[must_use]
    #[track_caller]
    #[doc(alias = "add_route")]
    pub fn add<V: for<'a> View<'a>>(self, path: &str, methods: &[&str], view: V) -> Self {
        let name = short_name::<V>();
        self.insert(path, methods, name, Location::caller(), move || {
            Plain(view.clone())
        })
    }

    fn insert<R: for<'a> Runs<'a>>(
        mut self,
        path: &str,
        methods: &[&str],
        name: &'static str,
        location: &'static Location<'static>,
        view: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        self.built = None;
        let known = self.faults.len();
        let mut parsed = Vec::new();
        for method in methods.iter().filter(|method| **method != "*") {
            match Method::from_bytes(method.to_uppercase().as_bytes()) {
                Ok(method) => parsed.push(method),
                Err(_) => self
                    .faults
                    .push(format!("invalid method `{method}` at {location}")),
            }
        }
        if parsed.is_empty() && !methods.contains(&"*") {
            self.faults.push(format!(
                "the view at {location} has no method; add one, or `*`"
            ));
        }
        if self.faults.len() > known {
            // Without methods, the route would match all of them.
            return self;
        }
        if methods.contains(&"*") {
            parsed.clear();
        }
        // The leading slash may be omitted, as in the original.
        let slash = if path.starts_with('/') { "" } else { "/" };
        self.routes.push(Route {
            path: format!("{slash}{path}").into(),
            methods: parsed,
            prefix: 0,
            name,
            endpoint: Arc::new(ViewEndpoint {
                view,
                name,
                location,
            }),
            location,
        });
        self
    }

    /// Shares a value with all views. Views read it by its type:
    /// [`req.state`](crate::Request::state).
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.built = None;
        self.states.insert(value);
        self
    }

    /// Adds all that `build` adds to an app, with `prefix` before every path. States and error
    /// handlers of the group belong to the whole app.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Request, Response, route, testing::Client};
    ///
    /// #[route("/orders")]
    /// async fn orders(_req: &mut Request, res: &mut Response) {
    ///     res.text("none");
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let app = App::new().group("/v1", |v1| v1.route(orders));
    /// assert_eq!(Client::new(app).get("/v1/orders").await.text(), "none");
    /// # }
    /// ```
    #[must_use]
    #[doc(alias = "Router")]
    #[doc(alias = "include_router")]
    #[track_caller]
    pub fn group(mut self, prefix: &str, build: impl FnOnce(Self) -> Self) -> Self {
        self.built = None;
        let group = build(Self::new());
        let layer = (!group.layers.is_empty()).then_some("layer");
        for setting in layer.into_iter().chain(group.own_settings) {
            let location = Location::caller();
            self.faults.push(format!(
                "the group `{prefix}` at {location} sets `{setting}`, which only an app has; set it on \
                 the app, or mount an app"
            ));
        }
        let prefix = prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        self.routes
            .extend(group.routes.into_iter().map(|mut route| {
                route.prefix += segments(prefix);
                let path = format!("{slash}{prefix}{}", route.path).into();
                Route { path, ..route }
            }));
        self.faults.extend(group.faults);
        self.states.extend(group.states);
        self.on_error.extend(group.on_error);
        self.on_startup.extend(group.on_startup);
        self.on_shutdown.extend(group.on_shutdown);
        self
    }

    /// Sets the handler for errors of one type. The third parameter of the closure names the type.
    ///
    /// A handler is a plain function or closure, and not `async`. The response keeps what the view
    /// had set, except for the headers that describe its content, and its tasks run. An
    /// [`HttpError`](crate::HttpError) is one type for all statuses, including the 404 of a path
    /// that does not exist.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, HttpError, Request, Response, testing::Client};
    ///
    /// async fn parse(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    ///     let number: u32 = req.raw_query().parse()?;
    ///     res.json(&number);
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let app = App::new()
    ///     .add("/", &["get"], parse)
    ///     .on_error(|_req: &Request, res: &mut Response, error: &std::num::ParseIntError| {
    ///         res.status(422);
    ///         res.text(error.to_string());
    ///     })
    ///     .on_error(|req: &Request, res: &mut Response, error: &HttpError| {
    ///         res.status(error.status());
    ///         res.html(format!("<h1>{}: {error}</h1>", req.path()));
    ///     });
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/?x").await.text(), "invalid digit found in string");
    /// assert_eq!(client.get("/none").await.text(), "<h1>/none: 404 Not Found</h1>");
    /// # }
    /// ```
    #[must_use]
    #[doc(alias = "error_handler")]
    #[doc(alias = "add_error_handler")]
    pub fn on_error<E: StdError + 'static>(
        mut self,
        handler: impl Fn(&Request, &mut Response, &E) + Send + Sync + 'static,
    ) -> Self {
        self.built = None;
        self.on_error.add(handler);
        self
    }

    /// Sets the handler for every error that no [`on_error`](Self::on_error) handles. The status is
    /// set before the handler is called.
    ///
    /// Without this handler, an [`HttpError`](crate::HttpError) is answered by JSON and any other
    /// error by the text `500 Internal Server Error`, as in the original. A view that panics always
    /// gets that text.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Error, Request, Response, testing::Client};
    ///
    /// async fn fails(_req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
    ///     Err(std::fmt::Error)?;
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let app = App::new()
    ///     .add("/", &["get"], fails)
    ///     .on_any_error(|_req: &Request, res: &mut Response, error: &Error| {
    ///         res.json(&serde_json::json!({ "code": error.status().as_u16() }));
    ///     });
    /// assert_eq!(Client::new(app).get("/").await.text(), r#"{"code":500}"#);
    /// # }
    /// ```
    #[must_use]
    pub fn on_any_error(
        mut self,
        handler: impl Fn(&Request, &mut Response, &Error) + Send + Sync + 'static,
    ) -> Self {
        self.built = None;
        self.on_error.set_any(handler);
        self
    }

    /// Sets the runner of background tasks.
    #[must_use]
    pub fn background(mut self, runner: impl Into<Runner>) -> Self {
        self.built = None;
        self.runner = runner.into();
        self.own_settings.push("background");
        self
    }

    /// Returns the runner of background tasks, for example to read its numbers.
    #[must_use]
    pub fn runner(&self) -> &Runner {
        match &self.built {
            Some(built) => &built.app.runner,
            None => &self.runner,
        }
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.built = None;
        self.limits = limits;
        self.own_settings.push("limits");
        self
    }
}

fn short_name<V>() -> &'static str {
    let path = type_name::<V>();
    path.rsplit("::").next().unwrap_or(path)
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("routes", &self.routes.len())
            .finish_non_exhaustive()
    }
}
