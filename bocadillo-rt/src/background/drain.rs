//! The end: of a runner, or of one server's share of it.
//!
//! 1. What is under way ends by itself: views without a client, tasks, follow-ups, functions, and
//!    the telling of all those.
//! 2. Shortly before the deadline tasks are asked to end: [`Context::cancelled`](super::Context).
//! 3. At the deadline what is left is cut off, and named.
//!
//! One account has all of this (see `scheduler`), so each step is one wait for one number.

use std::{fmt, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{
    account::Scope,
    events,
    report::Unfinished,
    runner::Runner,
    stats::{Pending, Stats},
};

/// Of the time for draining, one part in so many is left between the request to end and the end.
const GRACE_SHARE: u32 = 10;
const MAX_GRACE: Duration = Duration::from_secs(1);

/// How long a task that was aborted may take to notice. It is dropped where it next waits.
const NOTICE: Duration = Duration::from_millis(100);

/// What a shutdown has cut off.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DrainReport {
    /// Tasks that had not ended at the deadline, or had found no room to start, and views without a
    /// client: they were ended then.
    pub cut: Vec<Unfinished>,
    /// What could not be ended: tasks that have not yielded since, and functions of
    /// [`Task::blocking`](super::Task::blocking), also of tasks that had timed out before.
    pub still_running: Vec<Unfinished>,
    /// How many tasks waited for their response: they are cancelled when that ends.
    pub waiting: usize,
    /// The runner's numbers in the end.
    pub stats: Stats,
}

impl DrainReport {
    /// Returns `true` if everything had ended by itself.
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
    /// Waits until nothing waits or runs, follow-ups included, and then ends the runner; what has
    /// not ended after `limit` is cut off.
    ///
    /// Shortly before that the tasks are [asked](super::Context::cancelled) to end. Afterwards the
    /// runner accepts nothing: registrations are refused. An [`App`](crate::App) that serves drains
    /// what its own requests have registered, by itself.
    ///
    /// # Cancel safety
    ///
    /// A drain that is dropped has asked the tasks to end if it was near its end, and changed
    /// nothing else.
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
        events::cut_off("cut off by the shutdown", &report.cut);
        events::cut_off("still running after the shutdown", &report.still_running);
        report
    }

    async fn is_idle_before(&self, scope: Scope, at: Instant) -> bool {
        let idle = self.scheduler().wait_until(scope, Pending::is_idle);
        timeout_at(at, idle).await.is_ok()
    }
}

/// When a shutdown asks, and when it cuts off.
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

/// Far enough, where tokio's own clock ends.
fn later(limit: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
    Instant::now() + limit.min(FAR)
}
