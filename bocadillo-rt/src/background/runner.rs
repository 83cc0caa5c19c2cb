//! The runner: its settings, its numbers, and what it tells of the tasks' ends.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use super::{
    About, Overflow, Report, State, Stats,
    blocking::Blocking,
    config::{Config, Wrapped},
    home::Home,
    info::{Info, now},
    job::Job,
    ledger::Ledger,
    metrics,
    run::End,
    slot::Gone,
    worker::Pool,
};

/// Runs background tasks: isolated from requests, limited, counted.
///
/// A cheap handle: clones share their tasks and numbers, and several apps may share one. A method
/// that sets something returns *another* runner with that setting, and numbers of its own: set all
/// before you clone.
///
/// # Defaults
///
/// | setting | default | why that much, and what happens beyond |
/// | --- | --- | --- |
/// | where | [`dedicated`](Self::dedicated), half of the processors | a task that blocks or computes does not keep requests waiting |
/// | [`max_running`](Self::max_running) | 1024 | more than a mail server or a database takes at once; the next ones wait |
/// | [`max_waiting`](Self::max_waiting) | 16 384 | sixteen for each that runs: seconds of a burst, and with captures of a few KiB some ten MiB |
/// | [`overflow`](Self::overflow) | [`Refuse`](Overflow::Refuse) | clients get their responses; each refusal is a warning and a report |
/// | [`timeout`](Self::timeout) | 10 min | longer than sending a mail with its retries takes; a task that hangs for ever gives its place back |
/// | [`max_blocking`](Self::max_blocking) | 16 | functions of [`Task::blocking`](super::Task::blocking) at a time: threads are what they cost |
/// | [`drain_timeout`](Self::drain_timeout) | 30 s | what container platforms give between SIGTERM and SIGKILL |
/// | [`blocking_threshold`](Self::blocking_threshold) | 100 ms | a poll of such a length is felt by users; it is logged |
///
/// # Examples
///
/// ```
/// use bocadillo::{App, background::Runner};
/// use std::time::Duration;
///
/// let runner = Runner::dedicated(2).timeout(Duration::from_secs(60)).max_running(100);
/// let app = App::new().background(runner.clone());
/// assert_eq!(runner.stats().registered, 0);
/// # drop(app);
/// ```
#[derive(Clone)]
pub struct Runner {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    home: Home,
    ledger: Ledger,
    blocking: Blocking,
    cancel: CancellationToken,
    /// When a poll that took too long was last logged, in seconds since the process began to log
    /// such. Only a number: nothing is synchronised by it.
    blocked_at: AtomicU64,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(super) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Relaxed)
}

impl Runner {
    /// Creates a runner with a runtime of its own, of so many threads (at least one).
    ///
    /// The runtime is started with the first task. What a task of its needs from the requests'
    /// runtime, as a connection pool that was opened there, works from here too: it is woken across.
    #[must_use]
    pub fn dedicated(threads: usize) -> Self {
        Self::build(Config::default(), Home::dedicated(threads))
    }

    /// Creates a runner whose tasks run on the runtime that serves their requests.
    ///
    /// A task starts some microseconds earlier than on a runtime of its own. But one that blocks its
    /// thread, or computes for long, keeps requests waiting.
    #[must_use]
    pub fn current() -> Self {
        Self::build(Config::default(), Home::current())
    }

    fn build(config: Config, home: Home) -> Self {
        let inner = Inner {
            ledger: Ledger::new(config.max_running, config.max_waiting),
            blocking: Blocking::new(config.max_blocking),
            cancel: CancellationToken::new(),
            blocked_at: AtomicU64::new(0),
            config,
            home,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    fn with(&self, set: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.inner.config.clone();
        set(&mut config);
        Self::build(config, self.inner.home.again())
    }

    /// Sets how many tasks run at a time, at least one; the next ones wait for their turn.
    #[must_use]
    pub fn max_running(self, tasks: usize) -> Self {
        self.with(|config| config.max_running = tasks.max(1))
    }

    /// Sets how many tasks may wait, for their response or for their turn.
    #[must_use]
    pub fn max_waiting(self, tasks: usize) -> Self {
        self.with(|config| config.max_waiting = tasks)
    }

    /// Sets how many functions of [`Task::blocking`](super::Task::blocking) run at a time, at least
    /// one.
    #[must_use]
    pub fn max_blocking(self, tasks: usize) -> Self {
        self.with(|config| config.max_blocking = tasks.clamp(1, Semaphore::MAX_PERMITS))
    }

    /// Sets what becomes of registrations beyond [`max_waiting`](Self::max_waiting).
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Self {
        self.with(|config| config.overflow = overflow)
    }

    /// Sets how long a task may run that says nothing else itself; `None` for ever.
    ///
    /// A task that has reached its limit is dropped where it next waits.
    #[must_use]
    pub fn timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with(|config| config.timeout = timeout.into())
    }

    /// Sets how long a shutdown waits for tasks.
    #[must_use]
    pub fn drain_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.drain_timeout = timeout)
    }

    /// Sets from which length on a single poll of a task is logged: it has blocked its thread.
    #[must_use]
    pub fn blocking_threshold(self, threshold: Duration) -> Self {
        self.with(|config| config.blocking_threshold = threshold)
    }

    /// Has this called with the report of every task, where the task ends: it must not block. If it
    /// panics, that is logged.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::background::{Runner, State};
    ///
    /// let runner = Runner::current().on_report(|report| {
    ///     if report.outcome == State::Failed {
    ///         eprintln!("{} failed: {:?}", report.name, report.error);
    ///     }
    /// });
    /// # drop(runner);
    /// ```
    #[must_use]
    pub fn on_report(self, on_report: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.with(|config| config.on_report = Some(Arc::new(on_report)))
    }

    /// Wraps the future of every task, to give it what is local to the request: called where the
    /// view has ended, within whatever the middleware around the app has set.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::background::Runner;
    ///
    /// tokio::task_local! { static TENANT: String; }
    ///
    /// let runner = Runner::dedicated(2).wrap(|task| {
    ///     match TENANT.try_with(Clone::clone) {
    ///         Ok(tenant) => Box::pin(TENANT.scope(tenant, task)),
    ///         Err(_) => task,
    ///     }
    /// });
    /// # drop(runner);
    /// ```
    #[must_use]
    pub fn wrap(self, wrap: impl Fn(Wrapped) -> Wrapped + Send + Sync + 'static) -> Self {
        self.with(|config| config.wrap = Some(Arc::new(wrap)))
    }

    /// Returns how many tasks are in which state, at one instant.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.ledger.stats()
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    pub(super) fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Remembers the current runtime, for tasks of which nothing else is known.
    pub(crate) fn adopt_current(&self) {
        self.inner.home.adopt_current();
    }

    /// Whether tasks run where the requests do.
    pub(crate) fn is_current(&self) -> bool {
        matches!(self.inner.home, Home::Current { .. })
    }

    /// What runs tasks on a runtime that serves requests.
    pub(crate) fn pool_of(&self, runtime: Handle) -> Arc<Pool> {
        self.inner.home.pool_of(runtime)
    }

    pub(crate) fn configured_drain_timeout(&self) -> Duration {
        self.inner.config.drain_timeout
    }

    /// Whether new requests are to be answered by 503.
    #[inline]
    pub(crate) fn holds_back(&self) -> bool {
        self.inner.ledger.is_full() && self.inner.config.overflow == Overflow::HoldBack
    }

    /// Whether `max_waiting` refuses registrations.
    pub(super) fn is_limited(&self) -> bool {
        self.inner.config.overflow == Overflow::Refuse
    }

    pub(super) fn run(&self, job: Pin<Box<dyn Job>>, known: Option<Arc<Pool>>) {
        self.inner.home.run(job, known);
    }

    pub(super) fn blocking(&self) -> &Blocking {
        &self.inner.blocking
    }

    pub(super) async fn cancelled(&self) {
        self.inner.cancel.cancelled().await;
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.inner.cancel.is_cancelled()
    }

    pub(super) fn cancel_all(&self) {
        self.inner.cancel.cancel();
    }
}

/// What is told of tasks.
impl Runner {
    /// Whether anybody wants to know when what happened to this task.
    #[inline]
    pub(super) fn tells(&self, info: &Info) -> bool {
        self.has_listener(&info.shared.about) || info.origin.is_listened_to()
    }

    /// A started task has ended.
    pub(super) fn ended(info: &Info, end: End) {
        let Some(runner) = &info.shared.runner else {
            return;
        };
        let has_ready = runner.inner.ledger.end(info.key, end.state);
        metrics::ended();
        if has_ready {
            runner.start_ready();
        }
        if info.origin.is_listened_to() || end.error.is_some() {
            info.origin.within(|| log_end(info, &end));
        }
        if runner.has_listener(&info.shared.about) {
            runner.report_end(info, end);
        }
    }

    /// Whether anybody wants reports.
    #[inline]
    fn has_listener(&self, about: &About) -> bool {
        self.reports() || about.group.is_some()
    }

    /// Whether anybody wants those of every task.
    #[inline]
    pub(crate) fn reports(&self) -> bool {
        metrics::ARE_ON || self.inner.config.on_report.is_some()
    }

    fn report_end(&self, info: &Info, end: End) {
        let shared = &info.shared;
        let about = &shared.about;
        let report = Report {
            id: shared.id,
            name: shared.name.clone(),
            location: shared.location,
            route: about.route.clone(),
            status: about.status,
            delivery: about.delivery,
            registered_at: about.times.registered_at.unwrap_or(end.at),
            sent_at: about.times.sent_at,
            started_at: info.started_at.get(),
            ended_at: end.at,
            outcome: end.state,
            error: end.error,
        };
        self.tell(&report);
        if let Some(group) = &about.group {
            group.ended(report);
        }
    }

    /// A task was let go that never started; `id` if it had one already.
    pub(super) fn report_gone(&self, gone: Gone, about: &About, id: Option<u64>) {
        if !self.has_listener(about) {
            return;
        }
        let ended_at = now();
        let report = Report {
            id: id.unwrap_or_else(next_id),
            name: gone.name,
            location: gone.location,
            route: about.route.clone(),
            status: about.status,
            delivery: about.delivery,
            registered_at: about.times.registered_at.unwrap_or(ended_at),
            sent_at: about.times.sent_at,
            started_at: None,
            ended_at,
            outcome: gone.state,
            error: None,
        };
        self.tell(&report);
        if let Some(group) = &about.group {
            group.ended(report);
        }
    }

    fn tell(&self, report: &Report) {
        metrics::reported(report);
        let Some(on_report) = &self.inner.config.on_report else {
            return;
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| on_report(report))) {
            let panic = super::message(&*panic);
            tracing::error!(task = &*report.name, panic, "`on_report` panicked");
        }
    }

    /// A task has blocked its thread. At most one line a second.
    #[cold]
    pub(super) fn log_blocked(&self, info: &Info, took: Duration) {
        let seconds = since_start().as_secs() + 1;
        if self.inner.blocked_at.swap(seconds, Relaxed) == seconds {
            return;
        }
        let (task, location) = (info.name(), info.location());
        tracing::warn!(
            task, %location, ?took,
            "background task blocked its thread; move the work to `Task::blocking`"
        );
    }
}

fn since_start() -> Duration {
    use std::{sync::OnceLock, time::Instant};
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// A failure is never invisible: without a subscriber it goes to stderr.
fn log_end(info: &Info, end: &End) {
    let (task, location) = (info.name(), info.location());
    let times = info.shared.about.times;
    if let Some(registered_at) = times.registered_at {
        let after = |at: std::time::Instant| {
            let after = at.saturating_duration_since(registered_at);
            u64::try_from(after.as_micros()).unwrap_or(u64::MAX)
        };
        let points = [
            ("sent_us", times.sent_at),
            ("started_us", info.started_at.get()),
            ("ended_us", Some(end.at)),
        ];
        for (field, at) in points {
            if let Some(at) = at {
                info.origin.record(field, after(at));
            }
        }
    }
    let (state, error) = (end.state, end.error.as_deref().unwrap_or_default());
    let status = info.shared.about.status.map(|status| status.as_u16());
    if LevelFilter::current() == LevelFilter::OFF && !tracing::dispatcher::has_been_set() {
        if state != State::Completed {
            eprintln!("background task {state}: task={task} location={location} error={error}");
        }
        return;
    }
    match state {
        State::Completed => tracing::debug!(task, %location, "background task completed"),
        State::Cancelled => {
            tracing::warn!(task, %location, status, error, "background task cancelled");
        }
        _ => tracing::error!(task, %location, status, error, "background task {state}"),
    }
}

/// On a runtime of its own, of as many threads as leave half of the processors to the requests.
impl Default for Runner {
    fn default() -> Self {
        Self::dedicated(Home::default_threads())
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("config", &self.inner.config)
            .field("home", &self.inner.home)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
