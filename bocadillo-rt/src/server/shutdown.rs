//! How a server ends: in peace, and in time.
//!
//! | phase | ends | what happens |
//! | --- | --- | --- |
//! | not ready | after the [delay](crate::App::shutdown_delay), none by default | new requests are answered, and [`is_shutting_down`](crate::Request::is_shutting_down) says so to a view that a balancer asks; each response on HTTP/1 is the last of its connection, but for the last 200 ms |
//! | accepting | at once | what the system has accepted is taken, and the listener is dropped |
//! | requests | at half of the time | connections finish the responses that are under way; HTTP/2 says GOAWAY; one on which no request comes for 200 ms is closed. Then all are closed, which releases their tasks: a client that reads slowly cannot take the time of the tasks |
//! | the rest | a tenth, or a second, before the deadline | views without a client, tasks, follow-ups, functions and reports end by themselves |
//! | asked | at the deadline | tasks see [`cancelled`](crate::background::Context::cancelled) |
//! | cut | 100 ms later | what is left is cut off, and named |
//!
//! HTTP/1 cannot say GOAWAY on a connection that is idle, where a balancer may have sent a request that has
//! not come yet: one that is closed then loses it, and a POST is not sent again. Hence a connection
//! without a request is not closed at once, and the response to one that comes says that it is the last.
//! The delay says so too, for a balancer that has noticed it and sends to other servers. One that has not
//! noticed would open a connection for each request then, and lose those that the system accepts
//! between the last look at the listener and its end: some microseconds, but of a busy port. So the last
//! part of the delay lets it keep connections, which need no listener.
//!
//! All of it is in one account, the server's share of its [`Runner`]: see `background::scheduler`.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    background::{Deadline, DrainReport, Runner},
    error::{Error, Result},
    sent::Watch,
    server::signals::Signalled,
};

/// How long a connection without a request may take to close by itself. A client of HTTP/2 answers a
/// PING before, if it does. A balancer that keeps connections of HTTP/1 may have sent a request on one;
/// busy ones are all used, and closed with a response, in less.
const IDLE_GRACE: Duration = Duration::from_millis(200);

/// When a server is to end.
#[derive(Default)]
pub(crate) enum Shutdown {
    /// On SIGTERM or SIGINT.
    #[default]
    Signal,
    /// When this is ready.
    When(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl Shutdown {
    pub(crate) fn when(signal: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::When(Box::pin(signal))
    }

    /// Waits until it is to end; the guard keeps a second signal what it is. Signals are seen from this
    /// call on, and not from the first poll.
    pub(crate) fn wait(self) -> impl Future<Output = Option<Signalled>> {
        let (serving, signal) = match self {
            Self::Signal => (Some(Signalled::listen()), None),
            Self::When(signal) => (None, Some(signal)),
        };
        async move {
            if let Some(serving) = &serving {
                serving.signal().await;
            }
            if let Some(signal) = signal {
                signal.await;
            }
            serving
        }
    }
}

/// How far the end of an app's server has come, for its views and responses.
#[derive(Debug, Default)]
pub(crate) struct End {
    announced: CancellationToken,
    begun: CancellationToken,
}

impl End {
    /// The server is to end: it is not ready any more.
    pub(crate) fn announce(&self) {
        self.announced.cancel();
    }

    /// The server ends: a response without an end of its own ends now.
    pub(crate) fn begin(&self) {
        self.begun.cancel();
    }

    pub(crate) fn is_announced(&self) -> bool {
        self.announced.is_cancelled()
    }

    pub(crate) fn begun(&self) -> &CancellationToken {
        &self.begun
    }
}

/// What of a server there is to end.
pub(crate) struct Ending<'a> {
    pub(crate) watch: &'a Watch,
    pub(crate) runner: &'a Runner,
}

impl Ending<'_> {
    /// Ends everything that the server has begun.
    ///
    /// # Errors
    ///
    /// Returns an error that names what was cut off, and what still runs.
    pub(crate) async fn run(self) -> Result<()> {
        let limit = self.runner.drain_timeout();
        let (pending, stats) = (self.runner.pending(), self.runner.stats());
        tracing::info!(
            ?limit,
            connections = pending.connections(),
            waiting = pending.waiting(),
            running = stats.running,
            "shutting down"
        );
        let begun = Instant::now();
        let deadline = Deadline::after(limit);
        end_connections(self.watch, self.runner, limit / 2).await;
        let report = self.runner.drain_share(deadline).await;
        let stats = report.stats;
        tracing::info!(
            took = ?begun.elapsed(),
            completed = stats.completed,
            failed = stats.failed + stats.panicked + stats.timed_out,
            refused = stats.refused,
            cut_off = report.cut.len() + report.waiting,
            still_running = report.still_running.len(),
            "shut down"
        );
        result(&report)
    }
}

async fn end_connections(watch: &Watch, runner: &Runner, limit: Duration) {
    watch.finish_all();
    let idle = async {
        loop {
            sleep(IDLE_GRACE).await;
            watch.close_idle();
            watch.finish_all();
        }
    };
    let ended = async {
        tokio::select! {
            () = runner.no_connection() => {}
            () = idle => {}
        }
    };
    if timeout(limit, ended).await.is_err() {
        let connections = runner.pending().connections();
        tracing::warn!(
            connections,
            "connections closed: their responses took too long"
        );
        watch.close_all();
        let _ = timeout(Duration::from_secs(1), runner.no_connection()).await;
    }
}

fn result(report: &DrainReport) -> Result<()> {
    if report.is_clean() {
        return Ok(());
    }
    Err(Error::msg(format!("shut down, but not clean: {report}")))
}
