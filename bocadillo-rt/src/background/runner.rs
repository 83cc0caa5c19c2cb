//! Starts the tasks when told, and counts what becomes of them.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::runtime::Handle;

use super::{
    Context, Group, Report, Slot, State, Task,
    context::Shared,
    run::{Counted, Run},
};
use crate::sent::Delivery;

/// Runs background tasks, and counts them.
///
/// A cheap handle: clones share their numbers.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, background::Runner};
///
/// let runner = Runner::current();
/// let app = App::new().background(runner.clone());
/// assert_eq!(runner.stats().registered, 0);
/// # drop(app);
/// ```
#[derive(Clone)]
pub struct Runner {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    counters: Counters,
    /// The runtime that is used where there is no current one.
    home: OnceLock<Handle>,
}

/// Each is counted where it happens; none is computed from others. Nothing is synchronised by
/// them, so all are relaxed.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) registered: AtomicU64,
    pub(super) waiting: AtomicUsize,
    pub(super) running: AtomicUsize,
    pub(super) completed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) panicked: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) replaced: AtomicU64,
    pub(super) refused: AtomicU64,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Runner {
    /// Creates a runner whose tasks run on the runtime that serves their requests.
    ///
    /// A task that blocks its thread, or computes for long, then keeps requests waiting.
    #[must_use]
    pub fn current() -> Self {
        Self {
            inner: Arc::default(),
        }
    }

    /// Returns how many tasks are in which state.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = &self.inner.counters;
        Stats {
            registered: counters.registered.load(Relaxed),
            waiting: counters.waiting.load(Relaxed),
            running: counters.running.load(Relaxed),
            completed: counters.completed.load(Relaxed),
            failed: counters.failed.load(Relaxed),
            panicked: counters.panicked.load(Relaxed),
            cancelled: counters.cancelled.load(Relaxed),
            replaced: counters.replaced.load(Relaxed),
            refused: counters.refused.load(Relaxed),
        }
    }

    /// Remembers the current runtime, for tasks that are released outside of any.
    pub(crate) fn adopt_current(&self) {
        if let Ok(handle) = Handle::try_current() {
            let _ = self.inner.home.set(handle);
        }
    }

    /// Takes what a view has registered: from now on it is waiting for its response.
    pub(crate) fn accept(&self, slot: Slot, group: Option<Arc<Group>>) -> Waiting {
        let counters = &self.inner.counters;
        let (replaced, refused) = (u64::from(slot.replaced()), u64::from(slot.refused()));
        counters
            .registered
            .fetch_add(slot.len() as u64 + replaced + refused, Relaxed);
        counters.waiting.fetch_add(slot.len(), Relaxed);
        if replaced + refused > 0 {
            counters.replaced.fetch_add(replaced, Relaxed);
            counters.refused.fetch_add(refused, Relaxed);
        }
        Waiting {
            slot,
            runner: self.clone(),
            group,
            runtime: None,
            is_follow_up: false,
        }
    }

    /// Starts a follow-up.
    pub(super) fn start_one(&self, task: Task, delivery: Delivery, group: Option<Arc<Group>>) {
        let mut waiting = self.accept(task.into(), group);
        waiting.is_follow_up = true;
        waiting.start_all(delivery);
    }

    fn start(
        &self,
        task: Task,
        delivery: Delivery,
        group: Option<Arc<Group>>,
        runtime: Option<&Handle>,
    ) {
        let counters = &self.inner.counters;
        let context = Context::new(Shared {
            id: NEXT_ID.fetch_add(1, Relaxed),
            name: task.name,
            location: task.location,
            delivery,
            runner: self.clone(),
            group,
        });
        if let Some(group) = &context.shared().group {
            group.started(context.id(), context.shared().name.clone());
        }
        counters.running.fetch_add(1, Relaxed);
        counters.waiting.fetch_sub(1, Relaxed);
        // From here on `Counted` accounts for it, also if no runtime ever polls it.
        let run = Run::new(task.future, Counted::new(context));
        if let Some(runtime) = runtime {
            runtime.spawn(run);
        } else if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(run);
        } else if let Some(home) = self.inner.home.get() {
            home.spawn(run);
        }
    }

    /// Counts, logs and reports the end of a task.
    pub(super) fn ended(&self, context: &Context, outcome: State, error: Option<String>) {
        let counters = &self.inner.counters;
        match outcome {
            State::Completed => counters.completed.fetch_add(1, Relaxed),
            State::Failed => counters.failed.fetch_add(1, Relaxed),
            State::Panicked => counters.panicked.fetch_add(1, Relaxed),
            State::Cancelled => counters.cancelled.fetch_add(1, Relaxed),
            State::Replaced => counters.replaced.fetch_add(1, Relaxed),
        };
        counters.running.fetch_sub(1, Relaxed);
        if let Some(error) = &error {
            log_failure(context, outcome, error);
        }
        if let Some(group) = &context.shared().group {
            group.ended(Report::new(context, outcome, error));
        }
    }
}

/// A failure is never invisible: without a subscriber it goes to stderr.
fn log_failure(context: &Context, outcome: State, error: &str) {
    let (task, location) = (context.name(), context.location());
    let what = match outcome {
        State::Panicked => "panicked",
        State::Cancelled => "was cancelled",
        State::Completed | State::Failed | State::Replaced => "failed",
    };
    if tracing::dispatcher::has_been_set() {
        tracing::error!(task, %location, error, "background task {what}");
    } else {
        eprintln!("background task {what}: task={task} location={location} error={error}");
    }
}

/// Tasks that wait for their response. Dropping it starts them all the same: a task is never lost.
#[derive(Debug)]
pub(crate) struct Waiting {
    slot: Slot,
    runner: Runner,
    group: Option<Arc<Group>>,
    /// Where it is known, to ask for it costs more than the rest of the start.
    runtime: Option<Handle>,
    /// Its response's own tasks may not all have been started.
    is_follow_up: bool,
}

impl Waiting {
    /// Lets the tasks run on this runtime.
    pub(crate) fn run_on(&mut self, runtime: &Handle) {
        self.runtime = Some(runtime.clone());
    }

    /// Starts all, in the order of their registration.
    pub(crate) fn start_all(mut self, delivery: Delivery) {
        self.start_rest(delivery);
    }

    fn start_rest(&mut self, delivery: Delivery) {
        let (first, more) = self.slot.take_tasks();
        if let Some(task) = first {
            self.start(task, delivery);
        }
        for task in more {
            self.start(task, delivery);
        }
        if let Some(group) = self.group.take()
            && !self.is_follow_up
        {
            group.released();
        }
    }
}

impl Waiting {
    fn start(&self, task: Task, delivery: Delivery) {
        let (group, runtime) = (self.group.clone(), self.runtime.as_ref());
        self.runner.start(task, delivery, group, runtime);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.start_rest(Delivery::Aborted { bytes: 0 });
    }
}

/// How many tasks are in which state.
///
/// Each number is read on its own: `registered` is the sum of all others when nothing changes while
/// they are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks whose view has ended, and follow-ups.
    pub registered: u64,
    /// Their response is on its way.
    pub waiting: usize,
    /// Started and not ended.
    pub running: usize,
    /// Ran to their end.
    pub completed: u64,
    /// Returned an error.
    pub failed: u64,
    /// Panicked.
    pub panicked: u64,
    /// Dropped by a runtime that was shut down.
    pub cancelled: u64,
    /// A later registration took their place.
    pub replaced: u64,
    /// Over the limit of 64 on one response.
    pub refused: u64,
}

impl Default for Runner {
    fn default() -> Self {
        Self::current()
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
