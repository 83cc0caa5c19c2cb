//! What a runner puts up with.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use super::Report;

/// What becomes of registrations beyond [`Runner::max_waiting`](super::Runner::max_waiting).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// They are refused: dropped, counted, logged and reported.
    #[default]
    Refuse,
    /// They are accepted, and the server (of an [`App`](crate::App), or of [`serve`](crate::serve))
    /// answers new requests by 503 with `Retry-After` until there is room. Requests under way, whose
    /// tasks are the excess, are never failed for it.
    HoldBack,
}

type OnReport = Arc<dyn Fn(&Report) + Send + Sync>;

/// A task's future, as a wrapper gets it and gives it back.
pub(super) type Wrapped = Pin<Box<dyn Future<Output = ()> + Send>>;

type Wrap = Arc<dyn Fn(Wrapped) -> Wrapped + Send + Sync>;

#[derive(Clone)]
pub(super) struct Config {
    pub(super) max_running: usize,
    pub(super) max_waiting: usize,
    pub(super) max_blocking: usize,
    pub(super) overflow: Overflow,
    pub(super) timeout: Option<Duration>,
    pub(super) drain_timeout: Duration,
    pub(super) blocking_threshold: Duration,
    pub(super) on_report: Option<OnReport>,
    pub(super) wrap: Option<Wrap>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_running: 1024,
            max_waiting: 16 * 1024,
            max_blocking: 16,
            overflow: Overflow::default(),
            timeout: Some(Duration::from_secs(600)),
            drain_timeout: Duration::from_secs(30),
            blocking_threshold: Duration::from_millis(100),
            on_report: None,
            wrap: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("max_running", &self.max_running)
            .field("max_waiting", &self.max_waiting)
            .field("max_blocking", &self.max_blocking)
            .field("overflow", &self.overflow)
            .field("timeout", &self.timeout)
            .field("drain_timeout", &self.drain_timeout)
            .field("blocking_threshold", &self.blocking_threshold)
            .finish_non_exhaustive()
    }
}
