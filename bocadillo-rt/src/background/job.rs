//! A task in its box: its data, and the trait of its future.

use std::{
    borrow::Cow,
    cell::Cell,
    fmt,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::StatusCode;
use scoped_tls::scoped_thread_local;
use tokio::{sync::OwnedSemaphorePermit, time::Sleep};

use super::{
    group::Group,
    report::{Report, TaskState, Unfinished},
    runner::Runner,
    trace::TraceContext,
    worker::{BoxedWork, Pool},
};
use crate::{
    error::BoxError,
    sent::{Delivery, OnDone},
};

/// When a task runs, and when it is skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum When {
    /// Whatever became of the view and of its response.
    #[default]
    Always,
    /// If the view returned `Ok` (or `()`), with a status below 400.
    Success,
    /// If every byte of the response was sent.
    Delivered,
}

/// The result of a task's future.
pub(super) type Ended = Result<(), BoxError>;

/// The box behind a [`Task`](super::Task): one allocation, from the registration to the end.
pub(super) trait Job: Send {
    fn info(&self) -> &Info;

    fn info_mut(self: Pin<&mut Self>) -> &mut Info;

    /// Polls the future within the task's context and span. A future that has ended is dropped
    /// there too.
    ///
    /// # Errors
    ///
    /// Returns the message of a panic, of the future or of its destructor.
    fn poll_in_context(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<Poll<Ended>, String>;

    /// Drops the future within the task's context and span.
    ///
    /// # Errors
    ///
    /// Returns the message of a panic of its destructor.
    fn drop_future(self: Pin<&mut Self>) -> Result<(), String>;

    /// Polls the future within the context of the caller: as a part of another task.
    fn poll_future(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended>;

    /// Converts into the callback of a response.
    fn into_done(self: Pin<Box<Self>>) -> OnDone;

    /// Converts into what a worker runs.
    fn into_work(self: Pin<Box<Self>>) -> BoxedWork;
}

pub(super) type BoxedJob = Pin<Box<dyn Job>>;

/// What a task can ask about itself, and what logs and reports say of it.
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
    /// The runtime that runs the task. Before the start it is set only where the caller knows the
    /// runtime: that of the requests, or of the test.
    pub(crate) pool: Option<Arc<Pool>>,
    pub(super) delivery: Option<Delivery>,
    /// Set only where a report or a span needs the times: reading the clock is not free.
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

    /// Copies the description of the response.
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

    /// Returns the report of a task that never started.
    pub(super) fn report(&self, state: TaskState, at: Instant) -> Report {
        Report {
            id: self.id,
            name: self.name.clone(),
            location: self.location,
            route: self.route.clone(),
            status: self.status,
            delivery: self.delivery,
            registered_at: self.registered_at.unwrap_or(at),
            sent_at: self.sent_at,
            started_at: None,
            ended_at: at,
            outcome: state,
            error: None,
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
    /// The task's key in the scheduler, while it runs.
    pub(super) key: Option<usize>,
    /// When the task times out. Set when it waits for the first time: most tasks never do.
    pub(super) deadline: Option<Instant>,
    /// The scheduler knows how to wake the task.
    pub(super) is_wakeable: bool,
    /// Set where tokio's clock may be paused.
    pub(super) sleep: Option<Pin<Box<Sleep>>>,
    /// The task is a function that needs a thread.
    pub(super) needs_thread: bool,
    /// The permit of that function, until it is called.
    pub(super) permit: Cell<Option<OwnedSemaphorePermit>>,
    /// A poll that took too long is logged once.
    pub(super) has_blocked: bool,
}

impl Info {
    pub(super) fn name(&self) -> &str {
        &self.meta.name
    }

    pub(super) fn location(&self) -> &'static Location<'static> {
        self.meta.location
    }

    /// Returns the report of a task that was started.
    pub(super) fn report(&self, end: End) -> Report {
        Report {
            started_at: self.started_at,
            error: end.error,
            ..self.meta.report(end.state, end.at)
        }
    }
}

/// The info of no task.
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
            key: None,
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

/// How a task that was started has ended.
pub(super) struct End {
    pub(super) state: TaskState,
    pub(super) error: Option<String>,
    pub(super) at: Instant,
}

impl End {
    pub(super) fn new(state: TaskState, error: Option<String>) -> Self {
        Self {
            state,
            error,
            at: now(),
        }
    }
}

scoped_thread_local! {
    /// The task that this thread polls.
    static CURRENT: Info
}

/// Calls `f` with this as the current task. A task that was not accepted is never current: no
/// runner would run its follow-ups.
#[inline]
pub(super) fn enter<R>(info: &Info, f: impl FnOnce() -> R) -> R {
    if info.meta.runner.is_none() {
        return f();
    }
    CURRENT.set(info, f)
}

/// Calls `f` with the current task, if there is one.
pub(super) fn with_current<R>(f: impl FnOnce(&Info) -> R) -> Option<R> {
    CURRENT.is_set().then(|| CURRENT.with(f))
}

/// Returns whether a response of this status is a failure, as [`When::Success`] sees it.
pub(crate) fn is_failure(status: StatusCode) -> bool {
    status.as_u16() >= 400
}

/// Returns the present, as tokio tells it: a test may have paused it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
