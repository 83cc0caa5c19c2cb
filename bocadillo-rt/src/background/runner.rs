//! The handle of a runner: its settings, its scheduler, and where its tasks run.

use std::{
    cell::Cell,
    fmt,
    panic::Location,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::OwnedSemaphorePermit};

use super::{
    account::{NO_SERVER, Scope, Turn},
    builder::{Builder, Overflow, Placement},
    executor::Executor,
    report::Unfinished,
    scheduler::{Aborted, Scheduler},
    stats::{Pending, Stats},
    timer::{self, Expire},
    worker::Pool,
};

/// Runs background tasks: isolated from requests, limited, counted.
///
/// A cheap handle: clones share their tasks, limits and numbers, and several apps may share one runner.
/// Its [`Builder`] has the settings.
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
    /// The share of the server whose requests register by this handle.
    share: usize,
}

struct Inner {
    settings: Builder,
    executor: Executor,
    scheduler: Scheduler,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(super) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Relaxed)
}

impl Builder {
    /// Builds the runner.
    #[must_use]
    pub fn build(self) -> Runner {
        let executor = match self.placement {
            Placement::Default => Executor::dedicated(Executor::default_threads()),
            Placement::Dedicated(threads) => Executor::dedicated(threads),
            Placement::Current => Executor::current(),
        };
        // This runtime also serves tasks that are registered outside of any runtime.
        executor.adopt_current();
        let scheduler = Scheduler::new(self.max_running, self.max_waiting, self.max_blocking);
        let inner = Inner {
            settings: self,
            executor,
            scheduler,
        };
        Runner {
            inner: Arc::new(inner),
            share: NO_SERVER,
        }
    }
}

impl From<Builder> for Runner {
    fn from(builder: Builder) -> Self {
        builder.build()
    }
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

    /// Returns how many tasks are in which state, at one instant.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.scheduler.stats()
    }

    /// Returns the handle of a server, with a share of its own.
    pub(crate) fn of_server(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            share: self.inner.scheduler.open_share(),
        }
    }

    pub(super) fn share(&self) -> usize {
        self.share
    }

    pub(super) fn scheduler(&self) -> &Scheduler {
        &self.inner.scheduler
    }

    pub(super) fn executor(&self) -> &Executor {
        &self.inner.executor
    }

    pub(super) fn settings(&self) -> &Builder {
        &self.inner.settings
    }

    /// Remembers the current runtime, for tasks whose runtime is not known.
    pub(crate) fn adopt_current(&self) {
        self.inner.executor.adopt_current();
    }

    /// Returns whether tasks run where the requests do.
    pub(crate) fn is_current(&self) -> bool {
        matches!(self.inner.executor, Executor::Current { .. })
    }

    /// Returns the workers of a runtime that serves requests.
    pub(crate) fn pool_of(&self, runtime: Handle) -> Arc<Pool> {
        self.inner.executor.pool_of(runtime)
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        self.inner.settings.drain_timeout
    }

    /// Returns whether the server answers new requests by 503.
    #[inline]
    pub(crate) fn holds_back(&self) -> bool {
        self.inner.scheduler.is_full() && self.inner.settings.overflow == Overflow::HoldBack
    }

    /// Returns whether registrations beyond `max_waiting` are refused.
    pub(super) fn refuses_overflow(&self) -> bool {
        self.inner.settings.overflow == Overflow::Refuse
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

    /// Waits until this share is cut off.
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

    /// A task waits for the first time: remembers its waker, and sets the alarm for its deadline.
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

    /// Counts a function on its thread, or a view without its client, until the token is dropped.
    pub(super) fn enter(&self, what: Unfinished) -> Active {
        Active {
            key: self.inner.scheduler.enter(self.share, what),
            runner: self.clone(),
        }
    }

    /// Counts a view that has lost its client and runs on, until the token is dropped.
    pub(crate) fn detached(
        &self,
        name: &'static str,
        location: &'static Location<'static>,
    ) -> Active {
        self.enter(Unfinished {
            id: next_id(),
            name: name.into(),
            location,
        })
    }

    /// Counts a connection that was accepted, until the token is dropped.
    pub(crate) fn connected(&self) -> Connected {
        self.inner.scheduler.connect(self.share);
        Connected(self.clone())
    }

    /// Waits until no connection of this server is left.
    pub(crate) async fn no_connection(&self) {
        let is_enough = |pending: Pending| pending.connections() == 0;
        let scope = Scope::Share(self.share);
        self.inner.scheduler.wait_until(scope, is_enough).await;
    }

    /// Returns what is under way in this server's share.
    pub(crate) fn pending(&self) -> Pending {
        self.inner.scheduler.pending(Scope::Share(self.share))
    }

    /// Returns the names of what runs in this server's share.
    pub(crate) fn unfinished(&self) -> Vec<Unfinished> {
        self.inner.scheduler.running(Scope::Share(self.share))
    }

    /// Starts the tasks that the end of others has made room for.
    ///
    /// A call within itself returns at once: a runtime that is gone drops what it is given, which
    /// ends the task.
    pub(super) fn start_ready(&self) {
        let scheduler: *const Scheduler = self.scheduler();
        let outer = STARTING.replace(scheduler);
        // Also if something unwinds.
        let _restore = Restore(outer);
        if ptr::eq(outer, scheduler) {
            return;
        }
        while let Some((on_turn, place)) = self.scheduler().next() {
            on_turn(Turn::Starts(place));
        }
    }

    /// Aborts what is under way; returns what ran, and what was ready.
    pub(super) fn abort(&self, scope: Scope) -> Vec<Unfinished> {
        let Aborted { mut running, ready } = self.scheduler().abort(scope);
        for queued in ready {
            running.push(queued.task);
            (queued.on_turn)(Turn::Cancelled);
        }
        running
    }
}

/// The token of a connection: also of its streams, and of the IO that an upgrade took over.
#[derive(Debug)]
pub(crate) struct Connected(Runner);

/// The token of a function on its thread, or of a view that runs on without its client.
#[derive(Debug)]
pub(crate) struct Active {
    runner: Runner,
    key: usize,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.inner.scheduler.disconnect(self.0.share);
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        if self.runner.inner.scheduler.exit(self.key) {
            self.runner.start_ready();
        }
    }
}

thread_local! {
    /// The scheduler whose ready tasks this thread starts. Only compared, never followed.
    static STARTING: Cell<*const Scheduler> = const { Cell::new(ptr::null()) };
}

struct Restore(*const Scheduler);

impl Drop for Restore {
    fn drop(&mut self) {
        STARTING.set(self.0);
    }
}

impl Expire for Inner {
    fn expire(&self, now: Instant) -> Option<Instant> {
        self.scheduler.expire(now)
    }
}

/// A runner with the default settings: a runtime of its own, with half of the processors.
impl Default for Runner {
    fn default() -> Self {
        Builder::default().build()
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("settings", &self.inner.settings)
            .field("executor", &self.inner.executor)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
