//! The settings of a runner.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::report::Report;

/// What happens to registrations beyond [`max_waiting`](Builder::max_waiting).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// The tasks are refused: dropped, counted, logged and reported.
    #[default]
    Refuse,
    /// The tasks are accepted, and the server (of an [`App`](crate::App), or of [`serve`](crate::serve))
    /// answers new requests by 503 with `Retry-After` until there is room. Requests under way, which
    /// register the excess, never fail for it.
    ///
    /// All new requests are held back, also those whose views would register nothing: the server cannot
    /// know that before a view runs. Follow-ups beyond the limit are refused, since holding back requests
    /// would not help.
    HoldBack,
}

type OnReport = Arc<dyn Fn(&Report) + Send + Sync>;

/// The future of a task, as a wrapper takes and returns it.
pub(super) type Wrapped = Pin<Box<dyn Future<Output = ()> + Send>>;

type Wrap = Arc<dyn Fn(Wrapped) -> Wrapped + Send + Sync>;

/// Builds a [`Runner`](super::Runner): by [`Runner::builder`](super::Runner::builder),
/// [`Runner::dedicated`](super::Runner::dedicated) or [`Runner::current`](super::Runner::current).
///
/// # Settings
///
/// | setting | default | reason, and what happens beyond |
/// | --- | --- | --- |
/// | where | [`dedicated`](Self::dedicated), half of the processors | a task that blocks or computes does not keep requests waiting |
/// | [`max_running`](Self::max_running) | 1024 | more than a mail server or a database takes at once; the next ones wait |
/// | [`max_waiting`](Self::max_waiting) | 16 384 | sixteen for each that runs: seconds of a burst. It counts tasks and not bytes: what a task captured on the heap, nobody sees. With captures of a few KiB these are some ten MiB; with captures of 1 MiB, set it to what your memory holds |
/// | [`overflow`](Self::overflow) | [`Refuse`](Overflow::Refuse) | clients get their responses; each refusal is counted and reported, and logged |
/// | [`timeout`](Self::timeout) | 10 min | longer than sending a mail with its retries takes; a task that hangs for ever gives its place back |
/// | [`max_blocking`](Self::max_blocking) | 16 | functions of [`Task::blocking`](super::Task::blocking) at a time: threads are what they cost. A function takes its thread first and then its place of `max_running`, so functions that wait keep no other task from running |
/// | [`drain_timeout`](Self::drain_timeout) | 25 s | container platforms give 30 s between SIGTERM and SIGKILL: what was cut off is named before |
/// | [`blocking_threshold`](Self::blocking_threshold) | 100 ms | a poll of such a length is felt by users; it is logged |
///
/// Extreme values: a `max_running` or `max_blocking` of 0 counts as 1. With a `max_waiting` of 0 no task
/// can wait, so every task is refused. The greatest number and the longest duration are no limit.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, Runner};
/// use std::time::Duration;
///
/// let runner = Runner::dedicated(2).timeout(Duration::from_secs(60)).max_running(100).build();
/// let app = App::new().background(runner.clone());
/// assert_eq!(runner.stats().registered, 0);
/// # drop(app);
/// ```
#[must_use = "a builder does nothing until it is built: `.build()`"]
pub struct Builder {
    pub(super) placement: Placement,
    pub(super) max_running: usize,
    pub(super) max_waiting: usize,
    pub(super) max_blocking: usize,
    pub(super) overflow: Overflow,
    pub(super) timeout: Option<Duration>,
    pub(super) drain_timeout: Duration,
    pub(super) blocking_threshold: Duration,
    pub(super) on_report: Option<OnReport>,
    pub(super) wrap: Option<Wrap>,
    #[cfg(feature = "durable")]
    pub(super) store: Option<Arc<dyn super::store::Store>>,
    #[cfg(feature = "durable")]
    pub(super) states: super::states::States,
}

/// Where tasks run.
#[derive(Debug)]
pub(super) enum Placement {
    /// On a runtime of their own, with half of the processors.
    Default,
    /// On a runtime of their own, with so many threads.
    Dedicated(usize),
    /// On the runtime of the requests.
    Current,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            placement: Placement::Default,
            max_running: 1024,
            max_waiting: 16 * 1024,
            max_blocking: 16,
            overflow: Overflow::default(),
            timeout: Some(Duration::from_secs(600)),
            drain_timeout: Duration::from_secs(25),
            blocking_threshold: Duration::from_millis(100),
            on_report: None,
            wrap: None,
            #[cfg(feature = "durable")]
            store: None,
            #[cfg(feature = "durable")]
            states: super::states::States::default(),
        }
    }
}

impl Builder {
    /// Runs tasks on a runtime of their own, of so many threads (at least one).
    ///
    /// The first task starts the runtime. A task may use resources of the requests' runtime, such as a
    /// connection pool: wake-ups work across runtimes.
    pub fn dedicated(mut self, threads: usize) -> Self {
        self.placement = Placement::Dedicated(threads);
        self
    }

    /// Runs tasks on the runtime that serves their requests.
    ///
    /// A task starts some microseconds earlier than on a runtime of its own. But a task that blocks its
    /// thread, or computes for long, keeps requests waiting.
    pub fn current(mut self) -> Self {
        self.placement = Placement::Current;
        self
    }

    /// Sets how many tasks run at a time, at least one; the next ones wait for their turn.
    pub fn max_running(mut self, tasks: usize) -> Self {
        self.max_running = tasks.max(1);
        self
    }

    /// Sets how many tasks may wait, for their response or for their turn.
    pub fn max_waiting(mut self, tasks: usize) -> Self {
        self.max_waiting = tasks;
        self
    }

    /// Sets how many functions of [`Task::blocking`](super::Task::blocking) run at a time, at least
    /// one.
    pub fn max_blocking(mut self, functions: usize) -> Self {
        self.max_blocking = functions.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sets what happens to registrations beyond [`max_waiting`](Self::max_waiting).
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Sets how long a task may run unless it has a timeout of its own; `None` is no limit.
    ///
    /// A task that has reached its limit is dropped when it next waits.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Sets how long a shutdown waits for tasks.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Sets how long a single poll of a task may take: a longer poll has blocked its thread, and is
    /// logged.
    pub fn blocking_threshold(mut self, threshold: Duration) -> Self {
        self.blocking_threshold = threshold;
        self
    }

    /// Sets a callback for the report of every task. It is called where the task ends, so it must not
    /// block. A panic of the callback is logged.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Runner, background::TaskState};
    ///
    /// let runner = Runner::builder().on_report(|report| {
    ///     if report.outcome == TaskState::Failed {
    ///         eprintln!("{} failed: {:?}", report.name, report.error);
    ///     }
    /// });
    /// # drop(runner);
    /// ```
    pub fn on_report(mut self, on_report: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.on_report = Some(Arc::new(on_report));
        self
    }

    /// Sets a function that wraps the future of every task, for example to pass on task-locals of the
    /// request. It is called when the view has ended, within the middleware around the app.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::Runner;
    ///
    /// tokio::task_local! { static TENANT: String; }
    ///
    /// let runner = Runner::builder().wrap(|task| {
    ///     match TENANT.try_with(Clone::clone) {
    ///         Ok(tenant) => Box::pin(TENANT.scope(tenant, task)),
    ///         Err(_) => task,
    ///     }
    /// });
    /// # drop(runner);
    /// ```
    pub fn wrap(mut self, wrap: impl Fn(Wrapped) -> Wrapped + Send + Sync + 'static) -> Self {
        self.wrap = Some(Arc::new(wrap));
        self
    }

    /// Sets where durable tasks are kept.
    ///
    /// A server with this runner commits the durable tasks of a response before its first byte, and
    /// runs what the store has for it: retries, delayed tasks, and those of processes that have died.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Runner, durable::Memory};
    ///
    /// let runner = Runner::builder().store(Memory::new()).build();
    /// # drop(runner);
    /// ```
    #[cfg(feature = "durable")]
    pub fn store(mut self, store: impl super::store::Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Shares a value with all tasks, by its type: [`Context::state`](super::Context::state). The
    /// values of an [`App`](crate::App::state) with this runner need not be given here.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::Runner;
    ///
    /// struct Mailer;
    ///
    /// let runner = Runner::builder().state(Mailer).build();
    /// # drop(runner);
    /// ```
    #[cfg(feature = "durable")]
    pub fn state<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.states.insert(Arc::new(value));
        self
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("placement", &self.placement)
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
