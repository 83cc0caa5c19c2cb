//! The report of a task.

use std::{borrow::Cow, fmt, panic::Location, sync::Arc, time::Instant};

use http::StatusCode;

use crate::sent::Delivery;

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It ran to its end.
    Completed,
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
    /// It exceeded its timeout, and was dropped.
    TimedOut,
    /// A shutdown cut it off, before its start or after it.
    Cancelled,
    /// A later registration on the same response took its place; it was not started.
    Replaced,
    /// Its [condition](super::When) did not hold; it was not started.
    Skipped,
    /// It was over a limit; it was not started.
    Refused,
}

impl TaskState {
    /// Returns `true` if the task ran to its end, even to an error or a panic.
    #[must_use]
    pub fn has_run(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Panicked)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed out",
            Self::Cancelled => "cancelled",
            Self::Replaced => "replaced",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
        })
    }
}

/// The report of one task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Unique within the process.
    pub id: u64,
    /// The name of its function, or the name that was set.
    pub name: Cow<'static, str>,
    /// Where it was registered.
    pub location: &'static Location<'static>,
    /// The path of the route whose view registered it; none outside of an app.
    pub route: Option<Arc<str>>,
    /// The status of its response, where there was one.
    pub status: Option<StatusCode>,
    /// Whether its response was sent; none if the task was discarded before that was known.
    pub delivery: Option<Delivery>,
    /// When its view ended; a follow-up, when its task spawned it.
    pub registered_at: Instant,
    /// When its response was sent or aborted.
    pub sent_at: Option<Instant>,
    /// When it was started.
    pub started_at: Option<Instant>,
    /// When it ended, or was discarded.
    pub ended_at: Instant,
    /// How it ended.
    pub outcome: TaskState,
    /// The error or the panic's message, with its causes.
    pub error: Option<String>,
}

/// A task, a function or a view that has not ended.
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
