//! The end of a runner.

use std::{borrow::Cow, fmt, panic::Location, time::Duration};

use tokio::time::timeout;

use super::{Runner, Stats, ledger::Entry};

/// Of the time for draining, so much is left between the wish that tasks end and their end.
const GRACE_SHARE: u32 = 10;
const MAX_GRACE: Duration = Duration::from_secs(1);

/// How long a task that was aborted may take to notice. It is dropped where it next waits.
const NOTICE: Duration = Duration::from_millis(100);

/// What a shutdown has cut off.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DrainReport {
    /// Tasks that had not ended at the deadline, and were ended then.
    pub cut: Vec<Unfinished>,
    /// What could not be ended: tasks that have not yielded since, and functions of
    /// [`Task::blocking`](super::Task::blocking), also of tasks that had timed out before.
    pub still_running: Vec<Unfinished>,
    /// The runner's numbers in the end.
    pub stats: Stats,
}

/// A task that a shutdown did not wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// As in the task's report.
    pub id: u64,
    /// Its name.
    pub name: Cow<'static, str>,
    /// Where it was registered.
    pub location: &'static Location<'static>,
}

impl DrainReport {
    /// Returns `true` if every task had ended by itself.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.cut.is_empty() && self.still_running.is_empty()
    }
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("all background tasks have ended");
        }
        write_list(f, "cut off", &self.cut)?;
        if !self.cut.is_empty() && !self.still_running.is_empty() {
            f.write_str("; ")?;
        }
        write_list(f, "still running", &self.still_running)
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, what: &str, tasks: &[Unfinished]) -> fmt::Result {
    for (at, task) in tasks.iter().enumerate() {
        let before = if at == 0 { what } else { "," };
        write!(f, "{before} `{}` ({})", task.name, task.location)?;
    }
    Ok(())
}

impl From<Entry> for Unfinished {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            name: entry.name,
            location: entry.location,
        }
    }
}

impl Runner {
    /// Waits until no task waits or runs, follow-ups included, and then ends the runner; what has
    /// not ended after `limit` is cut off.
    ///
    /// Shortly before that the tasks are [asked](super::Context::cancelled) to end. Afterwards the
    /// runner accepts nothing: registrations are refused. An [`App`](crate::App) that serves does
    /// all of this by itself.
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
    /// let runner = Runner::current();
    /// let report = runner.drain(Duration::from_secs(10)).await;
    /// assert!(report.is_clean());
    /// # }
    /// ```
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        let grace = (limit / GRACE_SHARE).min(MAX_GRACE);
        let is_idle = timeout(limit - grace, self.idle()).await.is_ok();
        if !is_idle {
            self.cancel_all();
            let _ = timeout(grace, self.idle()).await;
        }
        self.end().await
    }

    /// Waits until no task waits or runs, and no function of one that has timed out.
    async fn idle(&self) {
        self.ledger().idle().await;
        self.blocking().idle().await;
    }

    async fn end(&self) -> DrainReport {
        let (running, ready) = self.ledger().abort();
        for ready in ready {
            self.cancel(ready);
        }
        let _ = timeout(NOTICE, self.ledger().idle()).await;
        let mut still_running: Vec<Unfinished> = self
            .ledger()
            .running()
            .into_iter()
            .map(Into::into)
            .collect();
        for call in self.blocking().calls() {
            if !still_running.contains(&call) {
                still_running.push(call);
            }
        }
        let cut = running.into_iter().map(Unfinished::from);
        let report = DrainReport {
            cut: cut.filter(|task| !still_running.contains(task)).collect(),
            still_running,
            stats: self.stats(),
        };
        if !report.is_clean() {
            tracing::error!("the time for background tasks is over: {report}");
        }
        report
    }
}
