//! The accept loop of a server, and one task for each connection.

use std::{
    future::{pending, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper_util::{rt::TokioIo, server::conn::auto::UpgradeableConnection};
use pin_project_lite::pin_project;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

#[cfg(feature = "durable")]
use crate::durable::Keeper;
use crate::{
    background::{Connected, Runner},
    error::{BoxError, Result},
    sent::{Closed, Connection, Driven, SentBody, Settings, Streams, Times, TrackedIo, Watch},
    server::{
        accept::Accepting,
        limits::Limits,
        listener::Listener,
        log, protocols,
        shutdown::{End, Ending},
        signals::Signalled,
        socket::Socket,
    },
};

/// The last part of the delay before a shutdown, in which connections are kept again.
const KEEPING: Duration = Duration::from_millis(200);

/// The parts of a server, whatever it serves.
pub(crate) struct Server<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) runner: &'a Runner,
    pub(crate) end: Option<&'a End>,
    pub(crate) shutdown_delay: Duration,
}

impl Server<'_> {
    /// Accepts connections until the shutdown, and then shuts down. Each connection is a task of
    /// its own.
    pub(crate) async fn run<L, S, B>(
        self,
        listener: L,
        stopped: impl Future<Output = Option<Signalled>>,
        service: impl Fn(&L::Io, Connection, Option<SocketAddr>) -> S,
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
        #[cfg(feature = "durable")]
        let keeper = Keeper::start(self.runner)?;
        let limits = self.limits;
        let watch = Watch::with(times(limits))?;
        let permits = Arc::new(Semaphore::new(limits.connections));
        let accept = Accept {
            limits,
            runner: self.runner,
            watch: &watch,
            permits,
        };
        let serve = |io, addr, permit| accept.serve::<L, _, _>(io, addr, permit, &service);
        let mut listener = Accepting::new(listener);
        let mut accepting = Box::pin(accept.all(&mut listener, &serve));
        let signalled = tokio::select! {
            signalled = stopped => signalled,
            () = &mut accepting => None,
        };
        // From now on a signal is the second one. It names the tasks that it ends.
        let signalled = signalled.unwrap_or_else(Signalled::elsewhere);
        let _names = signalled.names(self.runner.clone());
        if let Some(end) = self.end {
            end.announce();
        }
        tokio::select! {
            () = delay(&watch, self.shutdown_delay) => {}
            () = &mut accepting => {}
        }
        watch.announce_end(true);
        last_look(accepting.as_mut()).await;
        drop(accepting);
        // The listener is closed before the server waits for anything.
        accept.close(listener, serve);
        if let Some(end) = self.end {
            end.begin();
        }
        #[cfg(feature = "durable")]
        if let Some(keeper) = keeper {
            keeper.stop().await;
        }
        let ending = Ending {
            watch: &watch,
            runner: self.runner,
        };
        ending.run().await
    }
}

/// Waits for the delay, during which a balancer can notice that this server is not ready. Responses
/// close their connections until the last part of the delay. A balancer that has not noticed the
/// shutdown keeps its connections in that last part, and opens few new ones while the listener
/// closes.
async fn delay(watch: &Watch, delay: Duration) {
    if delay.is_zero() {
        return;
    }
    tracing::info!(
        ?delay,
        "shutdown announced; the server is not ready any more"
    );
    let parting = delay.saturating_sub(KEEPING);
    if !parting.is_zero() {
        watch.announce_end(true);
        sleep(parting).await;
        watch.announce_end(false);
    }
    sleep(delay.saturating_sub(parting)).await;
}

/// Accepts the connections that the runtime knows of. They would be reset with the listener.
async fn last_look(mut accepting: Pin<&mut impl Future<Output = ()>>) {
    tokio::task::yield_now().await;
    poll_fn(|cx| {
        let _ = accepting.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
}

/// The parts that accepting a connection needs.
struct Accept<'a> {
    limits: &'a Limits,
    runner: &'a Runner,
    watch: &'a Watch,
    permits: Arc<Semaphore>,
}

impl Accept<'_> {
    /// Accepts connections for ever.
    async fn all<L: Listener>(
        &self,
        listener: &mut Accepting<L>,
        serve: impl Fn(L::Io, Option<SocketAddr>, OwnedSemaphorePermit),
    ) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                return pending().await;
            };
            let (io, addr) = listener.next().await;
            serve(io, addr, permit);
        }
    }

    /// Accepts the connections that the system has accepted already.
    fn close<L: Listener>(
        &self,
        listener: Accepting<L>,
        serve: impl Fn(L::Io, Option<SocketAddr>, OwnedSemaphorePermit),
    ) {
        for (io, addr) in listener.close() {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                return;
            };
            serve(io, addr, permit);
        }
    }

    /// Serves a connection by a task of its own.
    fn serve<L, S, B>(
        &self,
        io: L::Io,
        addr: Option<SocketAddr>,
        permit: OwnedSemaphorePermit,
        service: &impl Fn(&L::Io, Connection, Option<SocketAddr>) -> S,
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
        let seat: Arc<dyn Send + Sync> = Arc::new(Seat {
            _permit: permit,
            _connected: self.runner.connected(),
            _watch: self.watch.clone(),
        });
        let (mut io, connection) = track::<L>(io, self.limits);
        io.keep(Arc::clone(&seat));
        self.watch.add(&connection);
        let service = service(io.get_ref(), connection.clone(), addr);
        let streams = Streams::with_guard(seat);
        let builder = protocols::builder(self.limits, self.watch.clock(), streams);
        let served = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
        let finish = UpgradeableConnection::graceful_shutdown;
        let driven = connection.drive_until(served.into_owned(), finish);
        tokio::spawn(Serving { driven, addr });
    }
}

/// The place of a connection in two counts: that of the connections at a time, and that of those
/// for which a shutdown waits. The IO of the connection holds it, because an upgrade may take the
/// IO, and so do the tasks of its streams.
struct Seat {
    _permit: OwnedSemaphorePermit,
    _connected: Connected,
    /// The watch lives as long as there are connections, even after the accept loop.
    _watch: Watch,
}

pin_project! {
    /// A connection that is served. It is no `async` block, which would make each poll dearer.
    struct Serving<F> {
        #[pin]
        driven: Driven<F>,
        addr: Option<SocketAddr>,
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

fn times(limits: &Limits) -> Times {
    Times {
        send: limits.send_timeout,
        head: limits.header_timeout,
        idle: limits.idle(),
        left: limits.detached_timeout,
        linger: limits.linger_timeout,
        probe: limits
            .probes()
            .map_or(Duration::MAX, |(silence, _)| silence),
    }
}

fn track<L: Listener>(io: L::Io, limits: &Limits) -> (TrackedIo<L::Io>, Connection) {
    if let (Some(socket), Some(probes)) = (L::socket(&io), limits.probes()) {
        if let Err(error) = socket.set_keep_alive(probes) {
            // In most cases the connection is lost already.
            tracing::debug!(%error, "cannot set keep-alive on a connection");
        }
    }
    let settings = Settings {
        closed: |io| L::socket(io).map_or(Closed::Nothing, Socket::closed),
        half_close: limits.half_close,
        linger_bytes: limits.linger_bytes,
    };
    TrackedIo::with(io, settings)
}
