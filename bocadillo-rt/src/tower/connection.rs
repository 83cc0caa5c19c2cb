//! A tower service on one connection of hyper. If hyper drops a call, the service runs on.

use std::{
    fmt,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http_body::Body as HttpBody;
use hyper::body::Incoming;
use tower_service::Service;

use crate::{
    background::{Peer, Runner},
    error::BoxError,
    message::body::Body,
    sent::{Connection, SentBody},
    server::{
        detach::{self, Begun, Count, Detached, Running},
        limits::Limits,
    },
    tower::{answer::OrEmpty, service::TrackedService},
};

/// A tower service for one connection of hyper. Use it if you accept connections yourself; it does
/// what [`serve`](crate::serve) does with each request.
///
/// It gives each request its [`Background`](crate::background::Background), and answers panics. A
/// handler whose client has left runs to its end. When the [`Connection`] reports that a response
/// was sent, its tasks go to the runner. At the end of the program, [`Runner::drain`] waits for
/// them.
///
/// # Examples
///
/// ```no_run
/// use bocadillo::{
///     Body, HyperService, Runner,
///     sent::{Streams, TrackedIo},
///     service_fn,
/// };
/// use http::{Request, Response};
/// use hyper_util::{rt::TokioIo, server::conn::auto::Builder};
/// use std::convert::Infallible;
///
/// async fn hello(_req: Request<Body>) -> Result<Response<Body>, Infallible> {
///     Ok(Response::new(Body::from("hello")))
/// }
///
/// # #[tokio::main] async fn main() -> bocadillo::Result<()> {
/// let runner = Runner::default();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     let (io, connection) = TrackedIo::new(stream);
///     let service = HyperService::new(service_fn(hello), &connection, &runner);
///     let served = Builder::new(Streams::new())
///         .serve_connection_with_upgrades(TokioIo::new(io), service)
///         .into_owned();
///     tokio::spawn(connection.drive(served));
/// }
/// # }
/// ```
pub struct HyperService<S> {
    tracked: TrackedService<S>,
    host: Arc<Host>,
}

/// The limits and the count of handlers whose client has left.
struct Host {
    runner: Runner,
    detached: Arc<Detached>,
    of_connection: Arc<Count>,
    location: &'static Location<'static>,
}

impl<S> HyperService<S> {
    /// Creates the service of `connection`. Its tasks run on `runner`.
    ///
    /// The limits for handlers without a client are those of [`Limits::new`].
    #[must_use]
    #[track_caller]
    pub fn new(service: S, connection: &Connection, runner: &Runner) -> Self {
        runner.adopt_current();
        let peer = Peer {
            connection: connection.clone(),
            addr: None,
        };
        let tracked = TrackedService::new(service, runner.clone(), Arc::new(peer));
        let detached = Arc::new(Detached::new(&Limits::new()));
        Self::of(tracked, runner.clone(), detached, Location::caller())
    }

    pub(super) fn of(
        tracked: TrackedService<S>,
        runner: Runner,
        detached: Arc<Detached>,
        location: &'static Location<'static>,
    ) -> Self {
        let host = Host {
            runner,
            detached,
            of_connection: Arc::default(),
            location,
        };
        Self {
            tracked,
            host: Arc::new(host),
        }
    }
}

type Answer<B> = Result<http::Response<SentBody<OrEmpty<B>>>, BoxError>;

impl<S, B> hyper::service::Service<http::Request<Incoming>> for HyperService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<SentBody<OrEmpty<B>>>;
    type Error = BoxError;
    type Future = HyperFuture<B>;

    fn call(&self, request: http::Request<Incoming>) -> HyperFuture<B> {
        let answering = self.tracked.begin_incoming(request);
        // The error of the service need not be `Send`, so it is boxed at once.
        let future = Box::pin(async move { answering.await.map_err(Into::into) });
        let running = Running::new(future, "service", self.host.location);
        HyperFuture {
            begun: Begun::new(running),
            host: Arc::clone(&self.host),
        }
    }
}

impl<S> fmt::Debug for HyperService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperService").finish_non_exhaustive()
    }
}

/// Response future of [`HyperService`].
pub struct HyperFuture<B: Send + 'static> {
    begun: Begun<Answer<B>>,
    host: Arc<Host>,
}

impl<B: Send + 'static> Future for HyperFuture<B> {
    type Output = Answer<B>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<B>> {
        self.begun.poll(cx)
    }
}

impl<B: Send + 'static> Drop for HyperFuture<B> {
    fn drop(&mut self) {
        let Some(running) = self.begun.take_running() else {
            return;
        };
        let Host {
            runner,
            detached,
            of_connection,
            ..
        } = &*self.host;
        detach::detach(running, |running| {
            detached.permit(Some(of_connection), runner, running)
        });
    }
}

impl<B: Send + 'static> fmt::Debug for HyperFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperFuture").finish_non_exhaustive()
    }
}
