//! The application: routes, state, and what to do with a request.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    convert::Infallible,
    fmt, future, mem,
    panic::Location,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Method, header::RETRY_AFTER};
use hyper::body::Incoming;
use tokio::net::{TcpListener, ToSocketAddrs};
use tower_service::Service;

use crate::{
    background::Runner,
    body::Body,
    detach::Detached,
    error::{Error, HttpError, Result},
    exchange::{self, Arriving, Running},
    host::{Host, Peer},
    limits::Limits,
    listener::Listener,
    request::Request,
    respond::ServiceFuture,
    route_fn::{Plain, RouteFn, RouteMeta as _, Runs, WithRoute},
    routing::{Found, Params, Route, RouteId, Router, ViewEndpoint},
    sent::Busy,
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
    /// What serves, once it does.
    shared: Option<Arc<Shared>>,
}

/// The built application, shared by all requests.
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) state: State,
    pub(crate) runner: Runner,
    pub(crate) body_limit: usize,
    pub(crate) detached: Detached,
}

/// Values by their type.
#[derive(Default)]
pub(crate) struct State(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl State {
    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

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

    /// Adds a view at a path, for these methods: `&["GET", "POST"]`, in any case.
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
        let mut parsed = Vec::new();
        for method in methods {
            match Method::from_bytes(method.to_uppercase().as_bytes()) {
                Ok(method) => parsed.push(method),
                Err(_) => self
                    .faults
                    .push(format!("`{method}` at {location} is no method")),
            }
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
        self.serve_with(TcpListener::bind(addr).await?).await
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
        let (shared, conflicts) = self.build();
        let conflicts = conflicts.into_iter().map(|conflict| conflict.to_string());
        let faults: Vec<_> = faults.into_iter().chain(conflicts).collect();
        if !faults.is_empty() {
            return Err(Error::msg(faults.join("; ")));
        }
        shared.runner.adopt_current();
        server::serve_app(listener, shared, &limits, shutdown).await
    }

    fn build(self) -> (Arc<Shared>, Vec<crate::routing::Conflict>) {
        let (router, conflicts) = Router::build(self.routes);
        let shared = Shared {
            router,
            state: self.state,
            runner: self.runner,
            body_limit: self.limits.body,
            detached: Detached::new(&self.limits),
        };
        (Arc::new(shared), conflicts)
    }

    /// The built application; conflicts are logged, since nobody is there to be told.
    fn shared(&mut self) -> &Arc<Shared> {
        if self.shared.is_none() {
            let this = mem::take(self);
            for fault in &this.faults {
                tracing::error!(fault, "route ignored");
            }
            let (shared, conflicts) = this.build();
            for conflict in conflicts {
                tracing::error!(%conflict, "route ignored");
            }
            self.shared = Some(shared);
        }
        self.shared.get_or_insert_with(|| unreachable!("set above"))
    }
}

impl Shared {
    /// Calls the view that answers a request of our own server.
    pub(crate) fn serve(&self, request: http::Request<Incoming>, peer: &Arc<Peer>) -> Running {
        let busy = peer.connection.busy(request.version());
        let peer = Arc::clone(peer);
        let found = if self.runner.holds_back() {
            Found::NoRoom
        } else {
            self.router.find(request.method(), request.uri().path())
        };
        match found {
            Found::View(route, id, params) => route.endpoint.serve(request, params, id, peer, busy),
            other => answer(request, &other, Host::Server(peer), Some(busy)),
        }
    }

    /// Calls the view that answers a request of somebody else's.
    fn call(self: &Arc<Self>, request: http::Request<Body>) -> Running {
        let shared = Arc::clone(self);
        match self.router.find(request.method(), request.uri().path()) {
            Found::View(route, id, params) => route.endpoint.call(request, params, id, shared),
            other => answer(request, &other, Host::Service(shared), None),
        }
    }
}

/// Answers what no view answers.
#[cold]
fn answer<B: Arriving>(
    request: http::Request<B>,
    found: &Found<'_>,
    host: Host,
    busy: Option<Busy>,
) -> Running {
    let request = Request::arrived(request, Params::default(), host, busy.as_ref());
    let answer = exchange::answer(request, RouteId::NONE, busy, |response| match found {
        Found::WrongMethod(allow) => {
            response.answer_http(&HttpError::new(405));
            response.allow(allow);
        }
        Found::NoRoom => {
            response
                .answer_http(&HttpError::new(503).detail("Too much background work is waiting."));
            response.header(RETRY_AFTER, "1");
        }
        Found::Nothing | Found::View(..) => response.answer_http(&HttpError::new(404)),
    });
    Box::pin(future::ready(answer))
}

fn short_name<V>() -> &'static str {
    let path = type_name::<V>();
    path.rsplit("::").next().unwrap_or(path)
}

impl Service<http::Request<Body>> for App {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = ServiceFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> ServiceFuture {
        let shared = self.shared();
        ServiceFuture::new(shared.call(request), Arc::clone(shared))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("routes", &self.routes.len())
            .finish_non_exhaustive()
    }
}
