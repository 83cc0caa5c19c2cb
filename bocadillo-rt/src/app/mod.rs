//! The application: routes, state, and what to do with a request.

mod service;
mod shared;

use std::{
    any::{TypeId, type_name},
    error::Error as StdError,
    fmt, mem,
    panic::Location,
    pin::Pin,
    sync::Arc,
};

use http::Method;
use tokio::net::{TcpListener, ToSocketAddrs, lookup_host};
use tokio_util::sync::CancellationToken;

use self::shared::State;
pub(crate) use self::shared::{Built, Shared};
use crate::{
    background::Runner,
    boxed::BoxedService,
    detach::Detached,
    error::{Error, Result},
    limits::Limits,
    listener::Listener,
    on_error::OnError,
    request::Request,
    response::Response,
    route_fn::{Plain, RouteFn, RouteMeta as _, Runs, WithRoute},
    routing::{Conflict, Route, Router, ViewEndpoint},
    server,
    shutdown::Shutdown,
    view::View,
};

/// A web application.
///
/// It is a [`tower::Service`](tower_service::Service) too: it mounts into others, and runs in tests
/// without a socket. Within a server that is not ours, tasks start when the response was handed
/// to the transport.
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
    routes: Vec<Route>,
    faults: Vec<String>,
    state: State,
    runner: Runner,
    limits: Limits,
    shutdown: Shutdown,
    on_error: OnError,
    /// From the innermost on.
    layers: Vec<Wrap>,
    on_startup: Vec<Hook>,
    on_shutdown: Vec<Hook>,
    /// What is called, once it is.
    built: Option<Built>,
}

type Wrap = Box<dyn FnOnce(BoxedService) -> BoxedService + Send>;

/// A function of the user's, before or after everything.
type Hook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send>;

impl App {
    /// Creates an application that answers everything with 404.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a view that has its route by `#[route]`.
    #[must_use]
    pub fn route<Args: 'static, V: for<'a> RouteFn<'a, Args>>(self, view: V) -> Self {
        type Meta<V, Args> = <V as RouteFn<'static, Args>>::Meta;
        let (path, methods) = (Meta::<V, Args>::PATH, Meta::<V, Args>::METHODS);
        let (name, location) = (Meta::<V, Args>::NAME, Meta::<V, Args>::location());
        self.insert(path, methods, name, location, move || {
            WithRoute::new(view.clone())
        })
    }

    /// Adds a view at a path, for these methods: `&["GET", "POST"]`, in any case; `&["*"]` is all that
    /// have no view of their own.
    ///
    /// A GET is a HEAD too, and OPTIONS is answered with what there is, unless there are views for
    /// them. A path that is not there, but is with a slash after it, is redirected to that.
    ///
    /// `{name}` in the path matches one segment, `{name:path}` the rest. A path that conflicts with
    /// another, and a method that is none, is an error of [`serve`](Self::serve).
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
        let known = self.faults.len();
        let mut parsed = Vec::new();
        for method in methods.iter().filter(|method| **method != "*") {
            match Method::from_bytes(method.to_uppercase().as_bytes()) {
                Ok(method) => parsed.push(method),
                Err(_) => self
                    .faults
                    .push(format!("`{method}` at {location} is no method")),
            }
        }
        if parsed.is_empty() && !methods.contains(&"*") {
            self.faults
                .push(format!("the view at {location} has no method"));
        }
        if self.faults.len() > known {
            // Without its methods it would be for all.
            return self;
        }
        if methods.contains(&"*") {
            parsed.clear();
        }
        // As in the original, a leading slash need not be written.
        let slash = if path.starts_with('/') { "" } else { "/" };
        self.routes.push(Route {
            path: format!("{slash}{path}").into(),
            methods: parsed,
            name,
            endpoint: Box::new(ViewEndpoint(view)),
            location,
        });
        self
    }

    /// Shares a value with all views, by its type: [`req.state`](crate::Request::state).
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.0.insert(TypeId::of::<T>(), Box::new(value));
        self
    }

    /// Adds what `build` adds to an app, with `prefix` before every path. Values and handlers of errors
    /// are those of the whole app.
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
        let group = build(Self::new());
        if !group.layers.is_empty() {
            let location = Location::caller();
            self.faults.push(format!(
                "the group `{prefix}` at {location} has a layer, which only an app has; mount an app"
            ));
        }
        let prefix = prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        self.routes
            .extend(group.routes.into_iter().map(|mut route| {
                route.endpoint.nest(service::segments(prefix));
                let path = format!("{slash}{prefix}{}", route.path).into();
                Route { path, ..route }
            }));
        self.faults.extend(group.faults);
        self.state.0.extend(group.state.0);
        self.on_error.extend(group.on_error);
        self.on_startup.extend(group.on_startup);
        self.on_shutdown.extend(group.on_shutdown);
        self
    }

    /// Answers errors of one type, which views return: the type of the closure's third parameter.
    ///
    /// A handler is a plain function or closure, not an `async` one. What the view had set stays, and
    /// its tasks run. An [`HttpError`](crate::HttpError) is of one
    /// type whatever its status: also that of a path that is not there.
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
        self.on_error.add(handler);
        self
    }

    /// Answers every error that no [`on_error`](Self::on_error) is for; its status is set before.
    ///
    /// Without it, an [`HttpError`](crate::HttpError) is JSON, and any other error the words `500
    /// Internal Server Error`, as in the original. A view that panics is answered so in each case.
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
        self.on_error.set_any(handler);
        self
    }

    /// Awaits this before the first connection is accepted; several, in their order.
    ///
    /// If it returns an error, so does [`serve`](Self::serve). Without a server of its own (in a test,
    /// or mounted) nothing calls it.
    ///
    /// # Examples
    ///
    /// What it makes goes to the views by a state that both have:
    ///
    /// ```
    /// use bocadillo::App;
    /// use std::sync::{Arc, OnceLock};
    ///
    /// let greeting = Arc::new(OnceLock::new());
    /// let set = Arc::clone(&greeting);
    /// let app = App::new().state(greeting).on_startup(move || async move {
    ///     let text = tokio::fs::read_to_string("greeting.txt").await?;
    ///     set.get_or_init(|| text);
    ///     Ok(())
    /// });
    /// # drop(app);
    /// ```
    #[must_use]
    #[doc(alias = "on")]
    #[doc(alias = "lifespan")]
    pub fn on_startup<Fut>(mut self, hook: impl FnOnce() -> Fut + Send + 'static) -> Self
    where
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.on_startup.push(boxed(hook));
        self
    }

    /// Awaits this when the server has ended, and all tasks with it; several, in their order, each
    /// whatever became of the others. Also if a function of [`on_startup`](Self::on_startup) failed.
    #[must_use]
    pub fn on_shutdown<Fut>(mut self, hook: impl FnOnce() -> Fut + Send + 'static) -> Self
    where
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.on_shutdown.push(boxed(hook));
        self
    }

    /// Makes it a tower service that can be cloned: to be [mounted](Self::mount), or for somebody
    /// else's server. Routes that conflict are logged, and left out.
    #[must_use]
    pub fn into_service(mut self) -> BoxedService {
        BoxedService::of(self.built().clone())
    }

    /// Sets the runner of background tasks.
    #[must_use]
    pub fn background(mut self, runner: Runner) -> Self {
        self.runner = runner;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Ends the server gracefully when `signal` is ready, in place of on SIGTERM and SIGINT.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::App;
    ///
    /// # #[tokio::main] async fn main() -> bocadillo::Result<()> {
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let app = App::new().with_graceful_shutdown(async { drop(stopped.await) });
    /// stop.send(()).expect("the app waits for it");
    /// app.serve("127.0.0.1:0").await
    /// # }
    /// ```
    #[must_use]
    pub fn with_graceful_shutdown(
        mut self,
        signal: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.shutdown = Shutdown::when(signal);
        self
    }

    /// Serves on this address until it is to end: on SIGTERM, on SIGINT (Ctrl-C), or
    /// [when it is told](Self::with_graceful_shutdown).
    ///
    /// Then it stops to accept, finishes the responses that are under way (for at most half of the
    /// [time](Runner::drain_timeout)), and waits for their tasks, follow-ups and views without a
    /// client included. What has not ended in time is cut off, and the log names it. A second signal
    /// ends the process at once.
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be bound, if the routes conflict (it names both), or
    /// if tasks still run in the end, which is one for each that does not yield (it names them).
    pub async fn serve(self, addr: impl ToSocketAddrs) -> Result<()> {
        let addrs: Vec<_> = lookup_host(addr).await?.collect();
        let listener = TcpListener::bind(&*addrs).await;
        let listener =
            listener.map_err(|error| Error::msg(format!("cannot listen on {addrs:?}: {error}")))?;
        self.serve_with(listener).await
    }

    /// Serves the connections of this listener; as [`serve`](Self::serve).
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub async fn serve_with(mut self, listener: impl Listener) -> Result<()> {
        let limits = self.limits.clone();
        let faults = mem::take(&mut self.faults);
        let shutdown = mem::take(&mut self.shutdown);
        let on_startup = mem::take(&mut self.on_startup);
        let on_shutdown = mem::take(&mut self.on_shutdown);
        let (built, conflicts) = match self.built.take() {
            Some(built) => (built, Vec::new()),
            None => self.build(),
        };
        let conflicts = conflicts.into_iter().map(|conflict| conflict.to_string());
        let faults: Vec<_> = faults.into_iter().chain(conflicts).collect();
        if !faults.is_empty() {
            return Err(Error::msg(faults.join("; ")));
        }
        built.shared.runner.adopt_current();
        let mut served = Ok(());
        for hook in on_startup {
            served = hook().await;
            if served.is_err() {
                break;
            }
        }
        if served.is_ok() {
            served = server::serve_app(listener, built, &limits, shutdown).await;
        }
        // In each case, and all of them: what was opened is to be closed.
        for hook in on_shutdown {
            if let Err(error) = hook().await {
                tracing::error!(%error, "a function of `on_shutdown` failed");
                served = served.and(Err(error));
            }
        }
        served
    }

    fn build(self) -> (Built, Vec<Conflict>) {
        let (router, conflicts) = Router::build(self.routes);
        let shared = Arc::new(Shared {
            router,
            state: self.state,
            runner: self.runner,
            body_limit: self.limits.body,
            body_timeout: self.limits.body_timeout,
            ending: CancellationToken::new(),
            detached: Detached::new(&self.limits),
            on_error: self.on_error,
        });
        let innermost = Built {
            shared: Arc::clone(&shared),
            layered: None,
        };
        let layered = (!self.layers.is_empty()).then(|| {
            let innermost = BoxedService::of(innermost);
            self.layers
                .into_iter()
                .fold(innermost, |inner, wrap| wrap(inner))
        });
        (Built { shared, layered }, conflicts)
    }

    /// The built application; what is wrong is logged, since nobody is there to be told.
    fn built(&mut self) -> &Built {
        if self.built.is_none() {
            let mut this = mem::take(self);
            // A server of its own may come later.
            self.limits = this.limits.clone();
            self.shutdown = mem::take(&mut this.shutdown);
            self.on_startup = mem::take(&mut this.on_startup);
            self.on_shutdown = mem::take(&mut this.on_shutdown);
            for fault in &this.faults {
                tracing::error!(fault, "route ignored");
            }
            let (built, conflicts) = this.build();
            for conflict in conflicts {
                tracing::error!(%conflict, "route ignored");
            }
            self.built = Some(built);
        }
        self.built.get_or_insert_with(|| unreachable!("set above"))
    }
}

fn boxed<Fut>(hook: impl FnOnce() -> Fut + Send + 'static) -> Hook
where
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    Box::new(|| Box::pin(hook()))
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
