//! Everything that is known of a task, from its registration to its end.

use std::{
    borrow::Cow,
    cell::Cell,
    fmt,
    panic::Location,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::{sync::OwnedSemaphorePermit, time::Sleep};

use super::{Group, Runner, When, report::Unfinished, trace::TraceContext, worker::Pool};
use crate::sent::Delivery;

/// What a task can ask, and others be told.
#[derive(Clone)]
pub(crate) struct Meta {
    pub(super) id: u64,
    pub(super) name: Cow<'static, str>,
    pub(super) location: &'static Location<'static>,
    /// Set when the view has ended.
    pub(super) runner: Option<Runner>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) route: Option<Arc<str>>,
    /// The view returned an error or panicked, or its status is 400 or above.
    pub(crate) has_failed: bool,
    /// Set by the test kit.
    pub(crate) group: Option<Arc<Group>>,
    /// The runtime that runs the task, where that is known: the requests' own, until the start.
    pub(crate) pool: Option<Arc<Pool>>,
    pub(super) delivery: Option<Delivery>,
    /// Set only where a report or a span tells the times: elsewhere nobody looks at the clock.
    pub(super) registered_at: Option<Instant>,
    pub(super) sent_at: Option<Instant>,
}

impl Meta {
    #[track_caller]
    pub(super) fn new() -> Self {
        Self {
            id: 0,
            name: Cow::Borrowed(""),
            location: Location::caller(),
            runner: None,
            status: None,
            route: None,
            has_failed: false,
            group: None,
            pool: None,
            delivery: None,
            registered_at: None,
            sent_at: None,
        }
    }

    /// Copies what is known of the response.
    pub(super) fn describe_response(&mut self, of: &Self) {
        self.runner.clone_from(&of.runner);
        self.status = of.status;
        self.route.clone_from(&of.route);
        self.has_failed = of.has_failed;
        self.group.clone_from(&of.group);
        self.pool.clone_from(&of.pool);
        self.registered_at = of.registered_at;
    }

    pub(super) fn unfinished(&self) -> Unfinished {
        Unfinished {
            id: self.id,
            name: self.name.clone(),
            location: self.location,
        }
    }
}

/// A task's own state, beside its future.
pub(super) struct Info {
    pub(super) meta: Meta,
    pub(super) timeout: Option<Duration>,
    pub(super) when: When,
    pub(super) trace: TraceContext,
    pub(super) started_at: Option<Instant>,
    /// The place in the scheduler, from the start on.
    pub(super) key: usize,
    /// When the task times out. Set when it waits for the first time: most tasks never do.
    pub(super) deadline: Option<Instant>,
    /// The scheduler knows how to wake the task.
    pub(super) is_wakeable: bool,
    /// Where tokio's clock may be paused.
    pub(super) sleep: Option<Pin<Box<Sleep>>>,
    /// A function that needs a thread.
    pub(super) needs_thread: bool,
    /// The permit of that function, until it is called.
    pub(super) permit: Cell<Option<OwnedSemaphorePermit>>,
    /// A poll that took too long is logged once.
    pub(super) has_blocked: bool,
}

impl Info {
    /// Gives back what a task that has ended holds.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn name(&self) -> &str {
        &self.meta.name
    }

    pub(super) fn location(&self) -> &'static Location<'static> {
        self.meta.location
    }
}

/// Of no task.
impl Default for Info {
    #[inline]
    #[track_caller]
    fn default() -> Self {
        Self {
            meta: Meta::new(),
            timeout: None,
            when: When::Always,
            trace: TraceContext::default(),
            started_at: None,
            key: 0,
            deadline: None,
            is_wakeable: false,
            sleep: None,
            needs_thread: false,
            permit: Cell::new(None),
            has_blocked: false,
        }
    }
}

impl fmt::Debug for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Info")
            .field("id", &self.meta.id)
            .field("name", &self.meta.name)
            .finish_non_exhaustive()
    }
}

/// Returns whether a response of this status is a failure, as [`When::Success`] sees it.
pub(crate) fn is_failure(status: StatusCode) -> bool {
    status.as_u16() >= 400
}

/// Returns the present, as tokio tells it: a test may have paused it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
