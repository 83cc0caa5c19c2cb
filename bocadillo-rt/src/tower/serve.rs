//! Serves any tower service on our own server.

use std::{
    fmt,
    net::SocketAddr,
    panic::Location,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http_body::Body as HttpBody;
use tower_service::Service;

use crate::{
    background::{Peer, Runner},
    error::{BoxError, Result},
    guard::{guarded, log},
    message::body::Body,
    sent::Connection,
    server::{
        detach::Detached,
        limits::Limits,
        listener::{Listener, Removing},
        run::Server,
        shutdown::Shutdown,
    },
    tower::{connection::HyperService, service::TrackedService},
};

/// Serves any tower service exactly as an [`App`](crate::App) is served: an axum router, tonic's
/// routes, or a function of [`service_fn`](crate::service_fn).
///
/// The service registers its tasks on the [`Background`](crate::background::Background) in the
/// extensions of the request. A handler whose client leaves runs to its end, within the
/// [limits](Limits::max_detached). For that, `serve` boxes the service's future.
///
/// # Examples
///
/// ```no_run
/// use bocadillo::{Body, background::Background, service_fn};
/// use http::{Request, Response};
/// use std::convert::Infallible;
///
/// async fn respond(req: Request<Body>) -> Result<Response<Body>, Infallible> {
///     if let Some(res) = req.extensions().get::<Background>() {
///         res.background(async { println!("sent") });
///     }
///     Ok(Response::new(Body::from("hello")))
/// }
///
/// # #[tokio::main] async fn main() -> bocadillo::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
/// bocadillo::serve(listener, service_fn(respond)).await
/// # }
/// ```
///
/// Pass an axum router itself, where `axum::serve(listener, router)` was. Do not pass its
/// `into_make_service()`, which returns one service for each connection:
///
/// ```no_run
/// # #[tokio::main] async fn main() -> bocadillo::Result<()> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
/// let router = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
/// bocadillo::serve(listener, router).await
/// # }
/// ```
#[track_caller]
pub fn serve<L, S>(listener: L, service: S) -> Serve<L, S>
where
    L: Listener,
    S: Served,
{
    Serve {
        listener,
        service,
        runner: Runner::default(),
        limits: Limits::new(),
        shutdown: Shutdown::default(),
        shutdown_delay: Duration::ZERO,
        on_connect: Vec::new(),
        location: Location::caller(),
    }
}

/// The argument of [`serve`]: a tower service of HTTP that is `Clone + Send + 'static`, whose
/// future is `Send`, and whose errors can be boxed. It need not be `Sync`.
///
/// Every such service implements this trait, and no other type does.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served",
    label = "expected a tower service of HTTP requests and responses",
    note = "pass an axum router itself, not its `into_make_service()`, and with its state: `router.with_state(…)`",
    note = "the service must be `Clone + Send + 'static`, its future `Send`, and its errors `Into<BoxError>`"
)]
pub trait Served: Sized + Clone + Send + 'static {
    /// Serves each connection by a clone of this service.
    #[doc(hidden)]
    fn run<L: Listener>(serve: Serve<L, Self>) -> Serving;
}

/// Future returned by [`Serve`].
type Serving = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

#[diagnostic::do_not_recommend]
impl<S, B> Served for S
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn run<L: Listener>(serve: Serve<L, S>) -> Serving {
        let Serve {
            listener,
            service,
            runner,
            limits,
            shutdown,
            shutdown_delay,
            on_connect,
            location,
        } = serve;
        runner.adopt_current();
        let runner = runner.of_server();
        let listener = Removing::new(listener);
        // The service need not be `Sync`, because each connection has a clone.
        let service = Mutex::new(service);
        let detached = Arc::new(Detached::new(&limits));
        Box::pin(async move {
            let serve = |io: &L::Io, connection: Connection, addr| {
                let service = service.lock().unwrap_or_else(PoisonError::into_inner);
                let extensions = extensions(&on_connect, io, addr);
                let peer = Arc::new(Peer { connection, addr });
                let tracked = TrackedService::new(service.clone(), runner.clone(), peer);
                let tracked = tracked.with_extensions(extensions);
                HyperService::of(tracked, runner.clone(), Arc::clone(&detached), location)
            };
            let server = Server {
                limits: &limits,
                runner: &runner,
                end: None,
                shutdown_delay,
            };
            server.run(listener, shutdown.wait(), serve).await
        })
    }
}

/// The values that `on_connect` puts into the extensions of a connection's requests.
fn extensions<Io>(
    on_connect: &[OnConnect<Io>],
    io: &Io,
    addr: Option<SocketAddr>,
) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    for insert in on_connect {
        if let Err(panic) = guarded(|| insert(io, addr, &mut extensions)) {
            log(|| tracing::error!(panic, "a function of `on_connect` panicked"));
        }
    }
    extensions
}

type OnConnect<Io> = Box<dyn Fn(&Io, Option<SocketAddr>, &mut http::Extensions) + Send + Sync>;

/// A server of a tower service. Awaiting it serves until [a shutdown](crate::App::serve).
#[must_use = "a server does nothing until it is awaited"]
pub struct Serve<L: Listener, S> {
    listener: L,
    service: S,
    runner: Runner,
    limits: Limits,
    shutdown: Shutdown,
    shutdown_delay: Duration,
    on_connect: Vec<OnConnect<L::Io>>,
    location: &'static Location<'static>,
}

impl<L: Listener, S> Serve<L, S> {
    /// Sets the runner of background tasks.
    pub fn background(self, runner: impl Into<Runner>) -> Self {
        let runner = runner.into();
        Self { runner, ..self }
    }

    /// Sets the limits. The service itself must limit the length of bodies.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Shuts the server down gracefully when `signal` is ready, and no longer on SIGTERM and
    /// SIGINT.
    pub fn with_graceful_shutdown(self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        let shutdown = Shutdown::when(signal);
        Self { shutdown, ..self }
    }

    /// Sets how long the server goes on accepting connections after the signal. See
    /// [`App::shutdown_delay`](crate::App::shutdown_delay).
    pub fn shutdown_delay(self, shutdown_delay: Duration) -> Self {
        Self {
            shutdown_delay,
            ..self
        }
    }

    /// Puts a value into the extensions of every request of a connection. The function reads it
    /// from the connection's IO, for example the certificates of a TLS client, or the credentials
    /// of a Unix socket.
    ///
    /// The function is called once for each connection, after the TLS handshake, and must not
    /// block. If it panics, the panic is logged, and the connection is served without the value.
    /// Several functions may add values of several types.
    ///
    /// With feature `axum`, the extractor `ConnectInfo<SocketAddr>` needs no such function. For
    /// tonic's `remote_addr()` the function is `|io, _|
    /// tonic::transport::server::Connected::connect_info(io)`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use bocadillo::service_fn;
    /// # use bocadillo::Body; use http::{Request, Response}; use std::convert::Infallible;
    ///
    /// #[derive(Clone)]
    /// struct User(Option<u32>);
    ///
    /// # async fn respond(_req: Request<Body>) -> Result<Response<Body>, Infallible> { Ok(Response::default()) }
    /// # #[tokio::main] async fn main() -> bocadillo::Result<()> {
    /// let listener = tokio::net::UnixListener::bind("service.sock")?;
    /// bocadillo::serve(listener, service_fn(respond))
    ///     .on_connect(|io: &tokio::net::UnixStream, _addr| {
    ///         User(io.peer_cred().ok().map(|user| user.uid()))
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn on_connect<T: Clone + Send + Sync + 'static>(
        mut self,
        f: impl Fn(&L::Io, Option<SocketAddr>) -> T + Send + Sync + 'static,
    ) -> Self {
        self.on_connect.push(Box::new(move |io, addr, extensions| {
            extensions.insert(f(io, addr));
        }));
        self
    }
}

impl<L: Listener, S: Served> IntoFuture for Serve<L, S> {
    type Output = Result<()>;
    type IntoFuture = Serving;

    /// # Errors
    ///
    /// The future ends with an error if the system has no thread for the server's watch.
    fn into_future(self) -> Serving {
        S::run(self)
    }
}

impl<L: Listener, S> fmt::Debug for Serve<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
