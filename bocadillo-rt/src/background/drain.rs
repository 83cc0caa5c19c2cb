//! Ends a runner, or one server's share of it.
//!
//! 1. Views without a client, tasks, follow-ups and functions end by themselves and are reported.
//! 2. Shortly before the deadline the drain asks tasks to end: [`Context::cancelled`](super::Context).
//! 3. At the deadline the drain cuts off everything that is left, and names it.
//!
//! One account counts all of these (see `scheduler`), so each step waits for one number.

use std::{fmt, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{
    account::Scope,
    events,
    report::Unfinished,
    runner::Runner,
    stats::{Pending, Stats},
};

/// The request to end comes when this fraction of the time is left: a tenth.
const GRACE_SHARE: u32 = 10;
const MAX_GRACE: Duration = Duration::from_secs(1);

/// How long an aborted task may take to end. It is dropped when it next waits.
const NOTICE: Duration = Duration::from_millis(100);

/// What a shutdown has cut off.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DrainReport {
    /// Tasks that had not ended at the deadline, tasks that had found no room to start, and views without
    /// a client. They were ended at the deadline.
    pub cut: Vec<Unfinished>,
    /// Tasks that did not yield and could not be ended, and functions of
    /// [`Task::blocking`](super::Task::blocking), also those whose task had timed out before.
    pub still_running: Vec<Unfinished>,
    /// How many tasks waited for their response. They are cancelled when the response ends.
    pub waiting: usize,
    /// The runner's numbers in the end.
    pub stats: Stats,
}

impl DrainReport {
    /// Returns `true` if everything ended by itself.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.cut.is_empty() && self.still_running.is_empty() && self.waiting == 0
    }
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("all background tasks have ended");
        }
        let mut parts = Vec::new();
        parts.extend(list("cut off", &self.cut));
        parts.extend(list("still running", &self.still_running));
        if self.waiting > 0 {
            parts.push(format!("{} waiting for their response", self.waiting));
        }
        f.write_str(&parts.join("; "))
    }
}

fn list(what: &str, unfinished: &[Unfinished]) -> Option<String> {
    let names = unfinished
        .iter()
        .map(|Unfinished { name, location, .. }| format!("`{name}` ({location})"));
    let names: Vec<_> = names.collect();
    (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
}

impl Runner {
    /// Waits until no task waits or runs, follow-ups included, and then ends the runner. Tasks that have
    /// not ended after `limit` are cut off.
    ///
    /// Shortly before `limit` the tasks are [asked](super::Context::cancelled) to end. Afterwards the
    /// runner refuses all registrations. An [`App`](crate::App) that serves drains the tasks of its own
    /// requests by itself.
    ///
    /// # Cancel safety
    ///
    /// A dropped drain may have asked the tasks to end. It has changed nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::Runner;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let runner = Runner::current().build();
    /// let report = runner.drain(Duration::from_secs(10)).await;
    /// assert!(report.is_clean());
    /// # }
    /// ```
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        self.drain_until(Scope::All, Deadline::after(limit)).await
    }

    /// Drains the share of a server.
    pub(crate) async fn drain_share(&self, deadline: Deadline) -> DrainReport {
        let report = self.drain_until(Scope::Share(self.share()), deadline).await;
        self.scheduler().finish_share();
        report
    }

    async fn drain_until(&self, scope: Scope, deadline: Deadline) -> DrainReport {
        if !self.is_idle_before(scope, deadline.ask).await {
            self.scheduler().cancel(scope);
            self.is_idle_before(scope, deadline.cut).await;
        }
        let mut cut = self.abort(scope);
        self.is_idle_before(scope, later(NOTICE)).await;
        let still_running = self.scheduler().running(scope);
        cut.retain(|what| !still_running.contains(what));
        let report = DrainReport {
            waiting: self.scheduler().pending(scope).waiting(),
            cut,
            still_running,
            stats: self.stats(),
        };
        #[cfg(feature = "durable")]
        self.flush().await;
        events::cut_off("cut off by the shutdown", &report.cut);
        events::cut_off("still running after the shutdown", &report.still_running);
        report
    }

    /// Waits until nothing waits or runs; what comes later is not waited for.
    #[cfg(feature = "durable")]
    pub(crate) async fn idle(&self) {
        self.scheduler()
            .wait_until(Scope::All, Pending::is_idle)
            .await;
    }

    async fn is_idle_before(&self, scope: Scope, at: Instant) -> bool {
        let idle = self.scheduler().wait_until(scope, Pending::is_idle);
        timeout_at(at, idle).await.is_ok()
    }
}

/// When a drain asks tasks to end, and when it cuts them off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    ask: Instant,
    cut: Instant,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        let grace = (limit / GRACE_SHARE).min(MAX_GRACE);
        Self {
            ask: later(limit - grace),
            cut: later(limit),
        }
    }
}

/// Returns a later instant, bounded because tokio's clock is.
fn later(limit: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
    Instant::now() + limit.min(FAR)
}
