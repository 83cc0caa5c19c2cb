//! The server: accepts connections, and lets hyper speak HTTP on each.

use std::{
    convert::Infallible,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper_util::{
    rt::TokioIo,
    server::conn::auto::{Builder, UpgradeableConnection},
};
use pin_project_lite::pin_project;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::{
    app::Built,
    background::Runner,
    body::Body,
    detach::{Count, Detached},
    error::{BoxError, Result},
    foreign::Foreign,
    host::Peer,
    limits::Limits,
    listener::{Listener, Removing},
    log,
    mount::Layered,
    request::Source,
    respond::Respond,
    sent::{Connection, Driven, SentBody, Streams, TrackedIo, Watch},
    shutdown::{Ending, Shutdown},
};

/// After an error that does not concern one connection alone, as a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves any tower service, exactly as an [`App`](crate::App) is served.
///
/// The service registers its tasks on the [`Background`](crate::background::Background) in the
/// extensions of the request.
///
/// # Examples
///
/// ```no_run
/// use bocadillo::{Body, background::Background};
/// use http::{Request, Response};
/// use std::convert::Infallible;
///
/// # struct ServiceFn<F>(F);
/// # impl<F, Fut> tower_service::Service<Request<Body>> for ServiceFn<F>
/// # where F: FnMut(Request<Body>) -> Fut, Fut: Future<Output = Result<Response<Body>, Infallible>> {
/// #     type Response = Response<Body>; type Error = Infallible; type Future = Fut;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> { Ok(()).into() }
/// #     fn call(&mut self, req: Request<Body>) -> Fut { (self.0)(req) }
/// # }
/// # impl<F: Clone> Clone for ServiceFn<F> { fn clone(&self) -> Self { ServiceFn(self.0.clone()) } }
/// # fn service_fn<F>(f: F) -> ServiceFn<F> { ServiceFn(f) }
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
pub fn serve<L, S>(listener: L, service: S) -> Serve<L, S> {
    Serve {
        listener,
        service,
        runner: Runner::default(),
        limits: Limits::new(),
        shutdown: Shutdown::default(),
    }
}

/// A server of a tower service; awaiting it serves until it is [to end](crate::App::serve).
#[must_use = "a server does nothing until it is awaited"]
pub struct Serve<L, S> {
    listener: L,
    service: S,
    runner: Runner,
    limits: Limits,
    shutdown: Shutdown,
}

impl<L, S> Serve<L, S> {
    /// Sets the runner of background tasks.
    pub fn background(self, runner: Runner) -> Self {
        Self { runner, ..self }
    }

    /// Sets the limits. Those on bodies and detached views are for the service itself to keep.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Ends the server gracefully when `signal` is ready, in place of on SIGTERM and SIGINT.
    pub fn with_graceful_shutdown(self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        let shutdown = Shutdown::when(signal);
        Self { shutdown, ..self }
    }
}

impl<L, S, B> IntoFuture for Serve<L, S>
where
    L: Listener,
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Output = Result<()>;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

    /// # Errors
    ///
    /// The future ends with an error if the system has no thread for the server's watch.
    fn into_future(self) -> Self::IntoFuture {
        let Self {
            listener,
            service,
            runner,
            limits,
            shutdown,
        } = self;
        runner.adopt_current();
        let listener = Removing::new(listener);
        Box::pin(async move {
            let serve =
                |connection, addr| Foreign::new(service.clone(), runner.clone(), connection, addr);
            let server = Server {
                limits: &limits,
                runner: &runner,
                detached: None,
                ending: None,
            };
            server.run(listener, shutdown, serve).await
        })
    }
}

impl<L, S> fmt::Debug for Serve<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

pub(crate) async fn serve_app(
    listener: impl Listener,
    built: Built,
    limits: &Limits,
    shutdown: Shutdown,
) -> Result<()> {
    let Built { shared, layered } = built;
    let pool = shared.runner.pool_of(Handle::current());
    let server = Server {
        limits,
        runner: &shared.runner,
        detached: Some(&shared.detached),
        ending: Some(&shared.ending),
    };
    let serve = |connection, addr| {
        AppService(Arc::new(Peer {
            connection,
            addr,
            pool: Arc::clone(&pool),
            detached: Count::default(),
            shared: Arc::clone(&shared),
            layered: layered.clone().map(Layered),
        }))
    };
    server.run(listener, shutdown, serve).await
}

/// An app, for one connection.
///
/// One type with layers and without: hyper's code is compiled once for each type of service, and
/// with two of them less of it is inlined, for both.
struct AppService(Arc<Peer>);

impl hyper::service::Service<http::Request<Incoming>> for AppService {
    type Response = http::Response<SentBody<Body>>;
    type Error = Infallible;
    type Future = Respond;

    fn call(&self, request: http::Request<Incoming>) -> Respond {
        let peer = &self.0;
        let (head, body) = request.into_parts();
        let busy = peer.connection.busy(head.version);
        let body = Source::incoming(body, &busy, head.version);
        let running = peer.shared.serve(head, body, peer, busy);
        Respond::new(running, Arc::clone(peer))
    }
}

/// What a server works with, whatever it serves.
struct Server<'a> {
    limits: &'a Limits,
    runner: &'a Runner,
    detached: Option<&'a Detached>,
    ending: Option<&'a CancellationToken>,
}

impl Server<'_> {
    /// Accepts until it is to end, and ends then; each connection is a task of its own.
    async fn run<L, S, B>(
        self,
        listener: L,
        shutdown: Shutdown,
        service: impl Fn(Connection, Option<SocketAddr>) -> S,
    ) -> Result<()>
    where
        L: Listener,
        S: hyper::service::Service<http::Request<Incoming>, Response = http::Response<SentBody<B>>>
            + Send
            + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        log::init();
        if cfg!(panic = "abort") {
            tracing::warn!(
                "built with `panic = \"abort\"`: a panic of a view or a task ends the process"
            );
        }
        let limits = self.limits;
        let watch = Watch::start(limits.send_timeout, limits.header_timeout)?;
        let permits = Arc::new(Semaphore::new(limits.connections));
        let accepting = accept_all(listener, limits, &watch, &permits, service);
        // The listener is dropped with the loop, before anything is waited for.
        let _serving = tokio::select! {
            serving = shutdown.wait() => serving,
            () = accepting => None,
        };
        if let Some(ending) = self.ending {
            ending.cancel();
        }
        let ending = Ending {
            watch: &watch,
            connections: &permits,
            max_connections: limits.connections,
            detached: self.detached,
            runner: self.runner,
        };
        ending.run().await
    }
}

/// Accepts, for ever.
async fn accept_all<L, S, B>(
    mut listener: L,
    limits: &Limits,
    watch: &Watch,
    permits: &Arc<Semaphore>,
    service: impl Fn(Connection, Option<SocketAddr>) -> S,
) where
    L: Listener,
    S: hyper::service::Service<http::Request<Incoming>, Response = http::Response<SentBody<B>>>
        + Send
        + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let builder = builder(limits);
    if let Some(addr) = listener.local_addr() {
        tracing::info!("listening on {addr}");
    }
    loop {
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else {
            return;
        };
        let (io, addr) = accept(&mut listener).await;
        let (io, connection) = TrackedIo::new(io);
        watch.add(&connection);
        let service = service(connection.clone(), addr);
        let served = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
        let finish = UpgradeableConnection::graceful_shutdown;
        let driven = connection.drive_until(served.into_owned(), finish);
        tokio::spawn(Serving {
            driven,
            addr,
            _permit: permit,
            _watch: watch.clone(),
        });
    }
}

pin_project! {
    /// A connection that is served. Not an `async` block, which costs more on each of its polls.
    struct Serving<F> {
        #[pin]
        driven: Driven<F>,
        addr: Option<SocketAddr>,
        _permit: OwnedSemaphorePermit,
        // As long as there are connections, whatever becomes of the loop that accepts them.
        _watch: Watch,
    }
}

impl<F: Future<Output = Result<(), BoxError>>> Future for Serving<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let end = ready!(this.driven.poll(cx));
        log_end(end, *this.addr);
        Poll::Ready(())
    }
}

#[cold]
fn log_end(end: Option<Result<(), BoxError>>, addr: Option<SocketAddr>) {
    match end {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(error, client = ?addr, "connection lost"),
        None => tracing::debug!(client = ?addr, "connection closed: no progress"),
    }
}

async fn accept<L: Listener>(listener: &mut L) -> (L::Io, Option<SocketAddr>) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if concerns_one_connection(&error) => {
                tracing::debug!(%error, "connection lost before it was accepted");
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput};
    // `set_nodelay` of a connection that was reset meanwhile is invalid on some systems.
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput
    )
}

fn builder(limits: &Limits) -> Builder<Streams> {
    let mut builder = Builder::new(Streams::new());
    builder
        .http1()
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes);
    // More than a client may have; hyper takes it as the size of the decoded list.
    let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
    builder
        .http2()
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(header_bytes);
    builder
}
