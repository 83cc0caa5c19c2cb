//! The handle of what runs tasks.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::OwnedSemaphorePermit};

use super::{
    Builder, Overflow, Report, Stats, Task,
    builder::Config,
    events,
    executor::Executor,
    meta::{Info, Meta, now},
    metrics,
    registrations::Unstarted,
    report::Unfinished,
    scheduler::{NO_SERVER, Scheduler},
    timer::{self, Expire},
    worker::Pool,
};
use crate::guard::guarded;

/// Runs background tasks: isolated from requests, limited, counted.
///
/// A cheap handle: clones share their tasks, limits and numbers, and several apps may share one. The
/// settings are those of its [`Builder`].
///
/// # Examples
///
/// ```
/// use bocadillo::{App, Runner};
///
/// let runner = Runner::dedicated(2).max_running(100).build();
/// let app = App::new().background(runner.clone());
/// assert_eq!(runner.stats().registered, 0);
/// # drop(app);
/// ```
#[derive(Clone)]
pub struct Runner {
    inner: Arc<Inner>,
    /// The server whose requests register by this handle.
    share: usize,
}

struct Inner {
    config: Config,
    executor: Executor,
    scheduler: Scheduler<Task>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(super) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Relaxed)
}

impl Runner {
    /// Begins a runner with the default settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Begins a runner with a [runtime of its own](Builder::dedicated), of so many threads.
    pub fn dedicated(threads: usize) -> Builder {
        Self::builder().dedicated(threads)
    }

    /// Begins a runner whose tasks run [where their requests do](Builder::current).
    pub fn current() -> Builder {
        Self::builder().current()
    }

    pub(super) fn new(config: Config, executor: Executor) -> Self {
        // The runtime where it was made serves what is registered outside of any.
        executor.adopt_current();
        let scheduler = Scheduler::new(config.max_running, config.max_waiting, config.max_blocking);
        let inner = Inner {
            config,
            executor,
            scheduler,
        };
        Self {
            inner: Arc::new(inner),
            share: NO_SERVER,
        }
    }

    /// Returns how many tasks are in which state, at one instant.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.scheduler.stats()
    }

    /// Returns a handle of a server: what its requests register counts as its share.
    pub(crate) fn of_server(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            share: self.inner.scheduler.open_share(),
        }
    }

    pub(super) fn share(&self) -> usize {
        self.share
    }

    pub(super) fn scheduler(&self) -> &Scheduler<Task> {
        &self.inner.scheduler
    }

    pub(super) fn executor(&self) -> &Executor {
        &self.inner.executor
    }

    pub(super) fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Remembers the current runtime, for tasks of which nothing else is known.
    pub(crate) fn adopt_current(&self) {
        self.inner.executor.adopt_current();
    }

    /// Returns whether tasks run where the requests do.
    pub(crate) fn is_current(&self) -> bool {
        matches!(self.inner.executor, Executor::Current { .. })
    }

    /// Returns what runs tasks on a runtime that serves requests.
    pub(crate) fn pool_of(&self, runtime: Handle) -> Arc<Pool> {
        self.inner.executor.pool_of(runtime)
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        self.inner.config.drain_timeout
    }

    /// Returns whether new requests are to be answered by 503.
    #[inline]
    pub(crate) fn holds_back(&self) -> bool {
        self.inner.scheduler.is_full() && self.inner.config.overflow == Overflow::HoldBack
    }

    /// Returns whether `max_waiting` refuses registrations.
    pub(super) fn is_limited(&self) -> bool {
        self.inner.config.overflow == Overflow::Refuse
    }

    /// Waits until the tasks of this share are asked to end.
    pub(super) async fn cancelled(&self) {
        match self.inner.scheduler.tokens(self.share) {
            Some((cancel, _)) => cancel.cancelled_owned().await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        let tokens = self.inner.scheduler.tokens(self.share);
        tokens.is_some_and(|(cancel, _)| cancel.is_cancelled())
    }

    /// Waits until what is under way in this share is cut off.
    pub(crate) async fn aborted(&self) {
        match self.inner.scheduler.tokens(self.share) {
            Some((_, aborted)) => aborted.cancelled_owned().await,
            None => std::future::pending().await,
        }
    }

    #[inline]
    pub(super) fn is_aborted(&self) -> bool {
        self.inner.scheduler.is_aborted(self.share)
    }

    /// A task waits for the first time: remembers how to wake it, and when.
    pub(super) fn wait(&self, key: usize, waker: Waker, deadline: Option<Instant>) {
        if let Some(at) = self.inner.scheduler.wait(key, waker, deadline) {
            let expire: Arc<dyn Expire> = Arc::clone(&self.inner) as _;
            timer::set(at, Arc::downgrade(&expire));
        }
    }

    /// Waits for a permit to block a thread.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.scheduler.permit().await
    }

    /// Enters a function on its thread, or a view without its client, until it [exits](Self::exit).
    pub(super) fn enter(&self, what: Unfinished) -> usize {
        self.inner.scheduler.enter(self.share, what)
    }

    pub(super) fn exit(&self, key: usize) {
        if self.inner.scheduler.exit(key) {
            self.start_ready();
        }
    }
}

impl Expire for Inner {
    fn expire(&self, now: Instant) -> Option<Instant> {
        self.scheduler.expire(now)
    }
}

/// What is told of tasks.
impl Runner {
    /// Returns whether anybody wants to know when what happened to this task.
    #[inline]
    pub(super) fn tells(&self, info: &Info) -> bool {
        self.has_listener(&info.meta) || info.trace.is_listened_to()
    }

    /// Returns whether anybody wants the report of this task.
    #[inline]
    pub(super) fn has_listener(&self, meta: &Meta) -> bool {
        self.reports() || meta.group.is_some()
    }

    /// Returns whether anybody wants the reports of all tasks.
    #[inline]
    pub(crate) fn reports(&self) -> bool {
        metrics::ARE_ON || self.inner.config.on_report.is_some()
    }

    /// Tells of tasks that never started; from now on they are not under way.
    pub(super) fn report_unstarted(&self, unstarted: Vec<Unstarted>, meta: &Meta) {
        let count = unstarted.len();
        if self.has_listener(meta) {
            for Unstarted {
                name,
                location,
                state,
            } in unstarted
            {
                let mut report = Report::of_unstarted(meta, state, now());
                report.name = name;
                report.location = location;
                if report.id == 0 {
                    report.id = next_id();
                }
                self.report(meta, report);
            }
        }
        self.inner.scheduler.told(self.share, count);
    }

    pub(super) fn report(&self, meta: &Meta, report: Report) {
        metrics::reported(&report);
        if let Some(on_report) = &self.inner.config.on_report {
            if let Err(panic) = guarded(|| on_report(&report)) {
                events::callback_panicked("`on_report`", &panic);
            }
        }
        if let Some(group) = &meta.group {
            group.ended(report);
        }
    }
}

/// On a runtime of its own, of as many threads as leave half of the processors to the requests.
impl Default for Runner {
    fn default() -> Self {
        Builder::default().build()
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("config", &self.inner.config)
            .field("executor", &self.inner.executor)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
