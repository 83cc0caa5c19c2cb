//! How a server ends: in peace, and in time.
//!
//! 1. It stops to accept: the listener is dropped.
//! 2. Connections end after the responses that are under way; whose response is sent, its tasks
//!    start. Half of the time is for this at most: then they are closed, which releases their tasks
//!    too, so that a client that reads slowly cannot take the time of the tasks.
//! 3. Views that run on without their client end, and what they register.
//! 4. Tasks end, follow-ups included, until the deadline: see [`Runner::drain`].

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, time::timeout};

use crate::{
    background::{DrainReport, Runner},
    detach::Detached,
    error::{Error, Result},
    sent::Watch,
    signals::Serving,
};

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
    pub(crate) fn wait(self) -> impl Future<Output = Option<Serving>> {
        let (serving, signal) = match self {
            Self::Signal => (Some(Serving::new()), None),
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

/// What of a server there is to end.
pub(crate) struct Ending<'a> {
    pub(crate) watch: &'a Watch,
    /// One permit for each connection.
    pub(crate) connections: &'a Semaphore,
    pub(crate) max_connections: usize,
    pub(crate) detached: Option<&'a Detached>,
    pub(crate) runner: &'a Runner,
}

impl Ending<'_> {
    /// Ends everything that the server has begun.
    ///
    /// # Errors
    ///
    /// Returns an error that names the tasks that still run.
    pub(crate) async fn run(self) -> Result<()> {
        let limit = self.runner.configured_drain_timeout();
        let stats = self.runner.stats();
        let tasks = stats.waiting + stats.running;
        tracing::info!(?limit, tasks, "shutting down");
        let begun = Instant::now();
        self.end_connections(limit / 2).await;
        if let Some(detached) = self.detached {
            let left = limit.saturating_sub(begun.elapsed());
            let _ = timeout(left, detached.idle()).await;
        }
        let left = limit.saturating_sub(begun.elapsed());
        let report = self.runner.drain(left).await;
        tracing::info!(took = ?begun.elapsed(), "shut down");
        result(&report)
    }

    async fn end_connections(&self, limit: Duration) {
        self.watch.finish_all();
        if timeout(limit, self.no_connection()).await.is_err() {
            tracing::warn!("connections closed: their responses took too long");
            self.watch.close_all();
            let _ = timeout(Duration::from_secs(1), self.no_connection()).await;
        }
    }

    async fn no_connection(&self) {
        let all = u32::try_from(self.max_connections).unwrap_or(u32::MAX);
        // It is never closed.
        let _ = self.connections.acquire_many(all).await;
    }
}

fn result(report: &DrainReport) -> Result<()> {
    if report.still_running.is_empty() {
        return Ok(());
    }
    Err(Error::msg(format!("shut down, but not clean: {report}")))
}
