//! Serves any tower service on our own server.

use std::{fmt, pin::Pin, time::Duration};

use http_body::Body as HttpBody;
use tower_service::Service;

use crate::{
    background::Runner,
    error::{BoxError, Result},
    message::body::Body,
    server::{
        limits::Limits,
        listener::{Listener, Removing},
        run::Server,
        shutdown::Shutdown,
    },
    tower::service::Foreign,
};

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
pub fn serve<L, S: Served>(listener: L, service: S) -> Serve<L, S> {
    Serve {
        listener,
        service,
        runner: Runner::default(),
        limits: Limits::new(),
        shutdown: Shutdown::default(),
        shutdown_delay: Duration::ZERO,
    }
}

/// A tower service of HTTP, which [`serve`] takes: what else it is given, is an error at the call.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served",
    label = "expected a tower service of HTTP requests and responses",
    note = "pass the router itself, not `router.into_make_service()`"
)]
pub trait Served {}

#[diagnostic::do_not_recommend]
impl<S, B> Served for S where S: Service<http::Request<Body>, Response = http::Response<B>> {}

/// A server of a tower service; awaiting it serves until it is [to end](crate::App::serve).
#[must_use = "a server does nothing until it is awaited"]
pub struct Serve<L, S> {
    listener: L,
    service: S,
    runner: Runner,
    limits: Limits,
    shutdown: Shutdown,
    shutdown_delay: Duration,
}

impl<L, S> Serve<L, S> {
    /// Sets the runner of background tasks.
    pub fn background(self, runner: impl Into<Runner>) -> Self {
        let runner = runner.into();
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

    /// Goes on accepting for so long after the signal, as [`App::shutdown_delay`](crate::App::shutdown_delay).
    pub fn shutdown_delay(self, shutdown_delay: Duration) -> Self {
        Self {
            shutdown_delay,
            ..self
        }
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
    type IntoFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

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
            shutdown_delay,
        } = self;
        runner.adopt_current();
        let runner = runner.of_server();
        let listener = Removing::new(listener);
        Box::pin(async move {
            let serve =
                |connection, addr| Foreign::new(service.clone(), runner.clone(), connection, addr);
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

impl<L, S> fmt::Debug for Serve<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
