//! `BackgroundLayer`: the layer for servers that are not ours.

use std::{
    fmt, mem,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    background::{Background, Runner},
    sent::Handed,
    server::{
        detach::{self, Begun, Detached, Running},
        limits::Limits,
    },
    tower::{answer::OrEmpty, handed},
};

/// A layer that gives each request its [`Background`], for servers of other crates: `axum::serve`,
/// hyper-util, tonic's `Server`, warp.
///
/// Such a server does not report when it has sent a response. So the guarantee is weaker than that
/// of [`serve`](crate::serve):
///
/// * A task starts when the response was **handed to the transport**: when the server has dropped
///   the body of the response. hyper drops the body when it has copied or queued the last chunk. Its
///   buffers may still hold many bytes. Of a body in one chunk they hold all bytes: if a client does
///   not read 20 MB, the task starts after a few milliseconds, and `serve` would wait until the
///   kernel has taken the bytes or the client is gone. Of a stream they hold about 400 KB on HTTP/1,
///   and one window on HTTP/2 (64 KiB, unless the client allows more).
/// * The delivery is [`Unknown`](crate::sent::Delivery::Unknown), or
///   [`Aborted`](crate::sent::Delivery::Aborted) if the body was dropped before its end. A task with
///   `when = "delivered"` is refused, with a line in the log.
/// * A task that blocks the thread of [`Runner::current`] may delay its own response.
///
/// The other promises are the same. A handler's panic is answered by a 500, or by `INTERNAL` if the
/// request is gRPC. A handler whose client leaves runs to its end, within the
/// [limits](Self::limits). Each task runs exactly once. At the end of the program,
/// [`Runner::drain`] waits for the tasks.
///
/// Put this layer outside of layers that answer in place of a handler, such as a timeout. Within
/// `serve`, and within another layer of this type, it does nothing.
///
/// # Examples
///
/// ```no_run
/// use axum::{Extension, Router, routing::get};
/// use bocadillo::{BackgroundLayer, Runner, background::Background};
/// use std::time::Duration;
///
/// async fn hello(Extension(res): Extension<Background>) -> &'static str {
///     res.background(async { println!("handed over") });
///     "hello"
/// }
///
/// # #[tokio::main] async fn main() -> bocadillo::Result<()> {
/// let runner = Runner::default();
/// let router = Router::new()
///     .route("/", get(hello))
///     .layer(BackgroundLayer::new(runner.clone()));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
/// axum::serve(listener, router).await?;
/// runner.drain(Duration::from_secs(10)).await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct BackgroundLayer {
    host: Arc<Host>,
}

/// The limits and the count of handlers whose client has left.
struct Host {
    runner: Runner,
    detached: Detached,
    location: &'static Location<'static>,
}

impl BackgroundLayer {
    /// Creates a layer whose tasks run on `runner`.
    #[must_use]
    #[track_caller]
    pub fn new(runner: impl Into<Runner>) -> Self {
        Self::of(runner.into(), &Limits::new(), Location::caller())
    }

    /// Sets how many handlers may run on without their client, and for how long. The server keeps
    /// the other limits. Services that the layer has created before keep their limits.
    #[must_use]
    pub fn limits(self, limits: &Limits) -> Self {
        Self::of(self.host.runner.clone(), limits, self.host.location)
    }

    fn of(runner: Runner, limits: &Limits, location: &'static Location<'static>) -> Self {
        let detached = Detached::new(limits);
        let host = Host {
            runner,
            detached,
            location,
        };
        Self {
            host: Arc::new(host),
        }
    }
}

impl<S> Layer<S> for BackgroundLayer {
    type Service = BackgroundService<S>;

    fn layer(&self, service: S) -> BackgroundService<S> {
        BackgroundService {
            service,
            host: Arc::clone(&self.host),
        }
    }
}

impl fmt::Debug for BackgroundLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundLayer").finish_non_exhaustive()
    }
}

/// The service of [`BackgroundLayer`].
#[derive(Clone)]
pub struct BackgroundService<S> {
    service: S,
    host: Arc<Host>,
}

impl<S, ReqB, B> Service<http::Request<ReqB>> for BackgroundService<S>
where
    S: Service<http::Request<ReqB>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqB: Send + 'static,
    B: HttpBody + Send + 'static,
{
    type Response = http::Response<LayerBody<B>>;
    type Error = S::Error;
    type Future = LayerFuture<B, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<ReqB>) -> Self::Future {
        // The clone need not be ready, so the original is called.
        let next = self.service.clone();
        let mut service = mem::replace(&mut self.service, next);
        if request.extensions().get::<Background>().is_some() {
            let answering = service.call(request);
            let answering = async { answering.await.map(|response| response.map(plain)) };
            return LayerFuture(Kind::Passive(Box::pin(answering)));
        }
        let answering = handed::answer(service, request, self.host.runner.clone());
        let answering = async { answering.await.map(|response| response.map(handed_over)) };
        let running = Running::new(Box::pin(answering), "service", self.host.location);
        LayerFuture(Kind::Active {
            begun: Begun::new(running),
            host: Arc::clone(&self.host),
        })
    }
}

impl<S> fmt::Debug for BackgroundService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundService").finish_non_exhaustive()
    }
}

type Answer<B, E> = Result<http::Response<LayerBody<B>>, E>;

/// Response future of [`BackgroundService`].
pub struct LayerFuture<B: Send + 'static, E: Send + 'static>(Kind<Answer<B, E>>);

enum Kind<T: 'static> {
    /// Another `serve` or layer is around, and does the work.
    Passive(Pin<Box<dyn Future<Output = T> + Send>>),
    Active {
        begun: Begun<T>,
        host: Arc<Host>,
    },
}

impl<B: Send + 'static, E: Send + 'static> Future for LayerFuture<B, E> {
    type Output = Answer<B, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<B, E>> {
        match &mut self.0 {
            Kind::Passive(answering) => answering.as_mut().poll(cx),
            Kind::Active { begun, .. } => begun.poll(cx),
        }
    }
}

impl<B: Send + 'static, E: Send + 'static> Drop for LayerFuture<B, E> {
    /// Lets the handler run on if the client has left.
    fn drop(&mut self) {
        let Kind::Active { begun, host } = &mut self.0 else {
            return;
        };
        if let Some(running) = begun.take_running() {
            detach::detach(running, |running| {
                host.detached.permit(None, &host.runner, running)
            });
        }
    }
}

impl<B: Send + 'static, E: Send + 'static> fmt::Debug for LayerFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// Response body of [`BackgroundService`].
    #[derive(Debug)]
    pub struct LayerBody<B> {
        #[pin]
        body: Handed<OrEmpty<B>>,
    }
}

fn plain<B: HttpBody>(body: B) -> LayerBody<B> {
    handed_over(Handed::plain(OrEmpty::Body { body }))
}

fn handed_over<B>(body: Handed<OrEmpty<B>>) -> LayerBody<B> {
    LayerBody { body }
}

impl<B: HttpBody> HttpBody for LayerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
