//! Shuts a server down gracefully, within a time limit.
//!
//! | phase | ends | what happens |
//! | --- | --- | --- |
//! | not ready | after the [delay](crate::App::shutdown_delay), none by default | new requests are answered. [`is_shutting_down`](crate::Request::is_shutting_down) is true for the view that a balancer asks. Each HTTP/1 response closes its connection, except in the last 200 ms |
//! | accepting | at once | the connections that the system has accepted are taken. The listener is dropped |
//! | requests | at half of the time | connections finish the responses that are under way. HTTP/2 sends GOAWAY. A connection without a request is closed after 200 ms. At the end of the phase all connections are closed, which releases their tasks: a client that reads slowly cannot use up the time of the tasks |
//! | the rest | a tenth of the time, or a second, before the deadline | views without a client, tasks, follow-ups and callbacks end by themselves |
//! | asked | at the deadline | tasks see [`cancelled`](crate::background::Context::cancelled) |
//! | aborted | 100 ms later | whatever still runs is aborted and named |
//!
//! An idle HTTP/1 connection cannot say GOAWAY, and a balancer may have sent a request on it that
//! has not arrived. If the server closed it at once, that request would be lost, and a balancer
//! does not send a POST twice. So the server waits 200 ms, and answers a request that arrives with
//! `Connection: close`.
//!
//! During the delay the server closes connections as well, so that a balancer that has noticed the
//! shutdown moves to other servers. A balancer that has not noticed it would open a new connection
//! for each request. The system could accept one between the last `accept` and the end of the
//! listener, and that request would be lost. So in the last part of the delay connections are kept
//! again.
//!
//! One account covers all of it: the server's share of its [`Runner`]. See `background::scheduler`.

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

/// How long a connection without a request may stay open. An HTTP/2 client answers a PING in this
/// time. An HTTP/1 balancer may have sent a request that arrives in this time. The balancer uses
/// its busy connections more often than that, and they close with a response.
const IDLE_GRACE: Duration = Duration::from_millis(200);

/// How long the resets of HTTP/2 streams may take to be written, before their connection is closed.
const RESETTING: Duration = Duration::from_millis(500);

/// How long connections that were closed may take to end. A view that blocks its thread may keep one.
const CLOSING: Duration = Duration::from_secs(1);

/// The event at which a server shuts down.
#[derive(Default)]
pub(crate) enum Shutdown {
    /// On SIGTERM or SIGINT.
    #[default]
    Signal,
    /// When this future is ready.
    When(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl Shutdown {
    pub(crate) fn when(signal: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::When(Box::pin(signal))
    }

    /// Waits for the shutdown. The returned guard makes the next signal the second one. The signal
    /// handler is installed by this call, and not by the first poll.
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

/// The state of the shutdown of an app's server, for its views and responses.
#[derive(Debug, Default)]
pub(crate) struct End {
    announced: CancellationToken,
    begun: CancellationToken,
}

impl End {
    /// Announces the shutdown: the server is not ready any more.
    pub(crate) fn announce(&self) {
        self.announced.cancel();
    }

    /// Begins the shutdown: responses without an end of their own, such as event streams, end now.
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

/// The parts of a server that a shutdown ends.
pub(crate) struct Ending<'a> {
    pub(crate) watch: &'a Watch,
    pub(crate) runner: &'a Runner,
}

impl Ending<'_> {
    /// Ends everything that the server has begun.
    ///
    /// # Errors
    ///
    /// Returns an error that names what was aborted and what still runs.
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
        watch.reset_all();
        let _ = timeout(RESETTING, runner.no_connection()).await;
        watch.close_all();
        let _ = timeout(CLOSING, runner.no_connection()).await;
    }
}

/// Converts into what a server or a worker returns.
///
/// # Errors
///
/// Returns an error that names what was cut off, and what still runs.
pub(crate) fn result(report: &DrainReport) -> Result<()> {
    if report.is_clean() {
        return Ok(());
    }
    Err(Error::msg(format!("the shutdown was not clean: {report}")))
}
