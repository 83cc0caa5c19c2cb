//! Tokio tasks that run one background task after another.
//!
//! Creating and dropping a tokio task is the larger part of the cost of a short background task: tokio
//! aligns its tasks to cache lines, which is slow to allocate. So a [`Worker`] whose background task has
//! ended waits in the [`Pool`] of its runtime for the next one. Waking it is like spawning a new task: it
//! goes to the same queue, with a fresh budget. This saves about 6 % of the instructions of a POST with a
//! task. A worker has one background task at a time, and no task waits for a worker: if none is idle, a
//! new one is spawned.
//!
//! An [`Inbox`] is in its pool's list only while its worker is idle, and is taken out before it gets a
//! task. So it gets one task at a time. The worker takes that task, or the giver gets it back: a worker
//! that ends closes its inbox under the lock.

#[cfg(not(bocadillo_loom))]
use std::sync::{Mutex, MutexGuard, atomic::AtomicBool};
use std::{
    cell::Cell,
    fmt, future, mem,
    pin::Pin,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker, ready},
    thread,
};

#[cfg(bocadillo_loom)]
use loom::sync::{Mutex, MutexGuard, atomic::AtomicBool};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Upper bound on idle workers kept after a burst.
const MAX_IDLE: usize = 64;

/// Upper bound on the memory of an ended task that stays with its idle worker, in bytes. Memory that was
/// freed by another thread is slow to allocate again, so the thread that submits the next task frees it.
/// Allocators do not cache larger blocks per thread.
const MAX_SPENT: usize = 1024;

/// What a worker runs: a background task.
pub(super) trait Work: Send {
    /// Polls the task. When it is ready, it has ended and is accounted for.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    /// Accounts for a task that its runtime drops, unless it has ended.
    fn cut_off(self: Pin<&mut Self>);

    /// Drops everything that an ended task holds, for the memory alone to be kept.
    fn clear(self: Pin<&mut Self>);

    /// The pool to which the worker goes when the task has ended, if there is one.
    fn pool(self: Pin<&mut Self>) -> &mut Option<Arc<Pool>>;
}

pub(super) type BoxedWork = Pin<Box<dyn Work>>;

/// The idle workers of one runtime.
pub(crate) struct Pool {
    runtime: Handle,
    idle: Mutex<Vec<Idle>>,
    /// Tasks are submitted from threads of other runtimes.
    is_dedicated: bool,
    /// A test may have paused the clock of the runtime. Only a hint, which orders no memory.
    may_be_paused: AtomicBool,
}

impl Pool {
    /// Creates the pool of a runtime that serves requests.
    pub(crate) fn here(runtime: Handle) -> Self {
        Self::new(runtime, false)
    }

    /// Creates the pool of a dedicated runtime.
    pub(super) fn dedicated(runtime: Handle) -> Self {
        Self::new(runtime, true)
    }

    fn new(runtime: Handle, is_dedicated: bool) -> Self {
        Self {
            may_be_paused: AtomicBool::new(has_pausable_clock(&runtime)),
            runtime,
            idle: Mutex::default(),
            is_dedicated,
        }
    }

    /// Returns whether a test may have paused the clock of the runtime.
    pub(super) fn may_be_paused(&self) -> bool {
        self.may_be_paused.load(Relaxed)
    }

    /// The runtime has no timers: nothing pauses its clock.
    pub(super) fn has_no_timers(&self) {
        self.may_be_paused.store(false, Relaxed);
    }

    /// Moves the task that this thread woke last behind the tasks before it.
    ///
    /// A thread of a multi-threaded runtime keeps that task in a slot from which no other thread takes.
    /// It would wait there behind a task that computes, although another thread is idle. An empty task
    /// takes the slot instead. Other runtimes have one queue.
    pub(super) fn clear_last_woken(&self) {
        let is_here = Handle::try_current().is_ok_and(|current| current.id() == self.runtime.id());
        if is_here && self.runtime.runtime_flavor() == RuntimeFlavor::MultiThread {
            self.runtime.spawn(future::ready(()));
        }
    }

    pub(super) fn is_of(&self, runtime: &Handle) -> bool {
        self.runtime.id() == runtime.id()
    }

    /// Runs a task, on a worker that is idle if there is one.
    pub(super) fn run(self: Arc<Self>, mut work: BoxedWork) {
        let idle = self.idle().pop();
        *work.as_mut().pool() = Some(self);
        let left = match idle {
            Some(Idle { inbox, spent }) => {
                drop(spent);
                inbox.give(work)
            }
            None => Err(work),
        };
        // A worker that does not take the task is gone with its runtime. Spawning there drops the task,
        // which counts as cancelled.
        if let Err(work) = left {
            spawn(work);
        }
    }

    /// Keeps an idle worker, up to the bound.
    fn keep(&self, idle: Idle) -> Result<(), Idle> {
        let mut all = self.idle();
        if all.len() >= MAX_IDLE {
            return Err(idle);
        }
        all.push(idle);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    /// Ends the idle workers.
    fn drop(&mut self) {
        let idle = mem::take(&mut *self.idle());
        for idle in idle {
            idle.inbox.end();
        }
    }
}

/// Returns whether a test may pause the clock of the runtime: tokio allows that on one flavor alone.
pub(super) fn has_pausable_clock(runtime: &Handle) -> bool {
    runtime.runtime_flavor() == RuntimeFlavor::CurrentThread
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the idle workers, whose lock would keep tasks from starting.
        f.debug_struct("Pool")
            .field("runtime", &self.runtime.id())
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// This thread has polled a task since it last parked.
    static HAS_WORKED: Cell<bool> = const { Cell::new(false) };
}

/// Gives up the processor once before the thread sleeps, if it has worked.
///
/// Waking a thread that sleeps costs the requests' thread a system call for each task. Under load the
/// next task comes soon, and a thread that is awake takes it without a call. `benches/saturation` has the
/// numbers.
pub(super) fn yield_after_work() {
    if HAS_WORKED.replace(false) {
        thread::yield_now();
    }
}

/// Runs a task on a new worker of its pool.
fn spawn(mut work: BoxedWork) {
    let pool = work.as_mut().pool().as_ref();
    if let Some(runtime) = pool.map(|pool| pool.runtime.clone()) {
        runtime.spawn(Worker::new(work));
    }
}

/// A worker that has nothing to do.
struct Idle {
    inbox: Arc<Inbox<BoxedWork>>,
    /// The memory of its last task, which the giver of the next task frees.
    spent: Option<BoxedWork>,
}

/// Where an idle worker gets its next task.
struct Inbox<T> {
    next: Mutex<Next<T>>,
    waker: Waker,
}

enum Next<T> {
    Nothing,
    Given(T),
    /// No task will come, or no worker would take it.
    Closed,
}

impl<T> Inbox<T> {
    fn new(waker: Waker) -> Self {
        let next = Mutex::new(Next::Nothing);
        Self { next, waker }
    }

    /// Gives a task to the worker and wakes it; returns the task if the worker is gone.
    fn give(&self, given: T) -> Result<(), T> {
        let mut next = self.next();
        if let Next::Closed = *next {
            return Err(given);
        }
        *next = Next::Given(given);
        drop(next);
        self.waker.wake_by_ref();
        Ok(())
    }

    fn take(&self) -> Next<T> {
        let mut next = self.next();
        match *next {
            Next::Closed => Next::Closed,
            _ => mem::replace(&mut next, Next::Nothing),
        }
    }

    /// Closes the inbox; returns its content.
    fn close(&self) -> Next<T> {
        mem::replace(&mut self.next(), Next::Closed)
    }

    /// Has the worker end.
    fn end(&self) {
        self.close();
        self.waker.wake_by_ref();
    }

    fn next(&self) -> MutexGuard<'_, Next<T>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tokio task that runs background tasks. It accounts for each of them, also when it is dropped.
pub(super) struct Worker {
    work: Option<BoxedWork>,
    /// Created when the worker is first idle.
    inbox: Option<Arc<Inbox<BoxedWork>>>,
}

impl Worker {
    pub(super) fn new(work: BoxedWork) -> Self {
        Self {
            work: Some(work),
            inbox: None,
        }
    }

    /// Waits for another task, if there is a pool that may give it one.
    fn wait(&mut self, mut spent: BoxedWork, cx: &mut Context<'_>) -> Poll<()> {
        let size = size_of_val(&*spent);
        let Some(pool) = spent.as_mut().pool().take() else {
            return Poll::Ready(());
        };
        let new = || Arc::new(Inbox::new(cx.waker().clone()));
        let inbox = Arc::clone(self.inbox.get_or_insert_with(new));
        let is_kept = pool.is_dedicated && size <= MAX_SPENT;
        if is_kept {
            spent.as_mut().clear();
        }
        let spent = is_kept.then_some(spent);
        match pool.keep(Idle { inbox, spent }) {
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        }
    }
}

impl Future for Worker {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.work.is_none() {
            match this.inbox.as_ref().map(|inbox| inbox.take()) {
                Some(Next::Given(work)) => this.work = Some(work),
                // An earlier task has left a waker behind, which was used now.
                Some(Next::Nothing) => return Poll::Pending,
                Some(Next::Closed) | None => return Poll::Ready(()),
            }
        }
        let Some(work) = &mut this.work else {
            return Poll::Ready(());
        };
        HAS_WORKED.set(true);
        ready!(work.as_mut().poll(cx));
        match this.work.take() {
            Some(work) => this.wait(work, cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Worker {
    /// A task that has not ended by then was dropped by its runtime.
    fn drop(&mut self) {
        let given = self.inbox.take().map(|inbox| inbox.close());
        if let Some(Next::Given(work)) = given {
            self.work = Some(work);
        }
        if let Some(mut work) = self.work.take() {
            work.as_mut().cut_off();
        }
    }
}

#[cfg(all(test, not(bocadillo_loom)))]
mod tests;

/// Every order of what two threads do.
#[cfg(all(test, bocadillo_loom))]
mod loom_tests {
    use super::*;

    /// Who gives while the worker ends has it back, or the worker has it.
    #[test]
    fn what_was_given_is_not_lost() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new(Waker::noop().clone()));
            let ending = Arc::clone(&inbox);
            let worker = loom::thread::spawn(move || matches!(ending.close(), Next::Given(())));
            let has_it_back = inbox.give(()).is_err();
            let has_it = worker.join().expect("no panic");
            assert!(has_it != has_it_back, "one of the two has it");
        });
    }

    /// A worker that has looked too early is woken, and looks again.
    #[test]
    fn what_was_given_is_taken_once() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new(Waker::noop().clone()));
            let giving = Arc::clone(&inbox);
            let giver = loom::thread::spawn(move || giving.give(()).is_ok());
            let early = matches!(inbox.take(), Next::Given(()));
            assert!(giver.join().expect("no panic"));
            let late = matches!(inbox.take(), Next::Given(()));
            assert!(early != late, "taken once");
        });
    }
}
