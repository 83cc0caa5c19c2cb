//! One account of everything that is under way.
//!
//! Tasks that wait, are ready, run, or are being reported; functions on threads; views that run on
//! without their client; connections of a server: the scheduler counts each from its first moment
//! to its last. So "is something still under way?" is one question, with one answer.
//!
//! # Invariants
//!
//! 1. One lock holds all numbers, the list of what runs, and the queues of ready tasks (see
//!    `account`). A number changes where its task changes its state, and both at once: the numbers
//!    add up at every instant.
//! 2. A task is pending until its end was reported: [`end`](Scheduler::end) frees its place,
//!    [`settle`](Scheduler::settle) follows the log line and the report. A drain waits for the
//!    second.
//! 3. A successor is counted before its predecessor leaves: a view before its connection, a
//!    follow-up before its task or its function. So the count is zero only at the true end.
//! 4. No code of the user is called, dropped or awaited within the lock.
//!
//! # Shares
//!
//! Several servers may share one runner. Each has a share: what its requests have registered, with
//! follow-ups. A server that ends waits for its share, and cuts off its share alone.
//!
//! # Limits
//!
//! A task that starts takes a place of `max_running`; a function takes a permit for its thread
//! first, and then the place. A task that finds no room waits in a queue. Functions have a queue of
//! their own, so that a function that waits for a thread keeps no other task from its place.

#[cfg(not(bocadillo_loom))]
use std::sync::{Mutex, MutexGuard, atomic::AtomicBool};
use std::{
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    task::Waker,
    time::Instant,
};

#[cfg(bocadillo_loom)]
use loom::sync::{Mutex, MutexGuard, atomic::AtomicBool};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    account::{Account, OnTurn, Place, Queued, Scope},
    report::{TaskState, Unfinished},
    stats::{Pending, Stats},
};

pub(super) struct Scheduler {
    account: Mutex<Account>,
    max_running: u64,
    max_waiting: u64,
    permits: Arc<Semaphore>,
    /// Some share is aborted. Set within the lock, read without: a task that misses it is woken after.
    is_aborting: AtomicBool,
    /// `max_waiting` is reached. Changed within the lock, read without: a request more or less.
    is_full: AtomicBool,
    /// Something ended. Notified only while somebody waits.
    changed: Notify,
}

/// Whether a task starts.
pub(super) enum Begin<'a> {
    /// It starts now.
    Starts(Place),
    /// There is no room: the caller puts it into the queue.
    Waits(Queue<'a>),
    /// The runner, or the task's server, has ended.
    Closed,
}

/// The queue that a task without room goes to. It keeps the scheduler locked, so that no end makes
/// room unnoticed.
pub(super) struct Queue<'a> {
    account: MutexGuard<'a, Account>,
    task: Unfinished,
    share: usize,
    needs_thread: bool,
}

impl Queue<'_> {
    /// Puts the task behind the others; `on_turn` is called when there is room.
    #[cold]
    pub(super) fn push(mut self, on_turn: OnTurn) {
        self.account.queue(self.needs_thread).push_back(Queued {
            task: self.task,
            share: self.share,
            on_turn,
        });
    }
}

/// What an abort found.
pub(super) struct Aborted {
    pub(super) running: Vec<Unfinished>,
    /// The tasks that waited for room. The caller cancels them.
    pub(super) ready: Vec<Queued>,
}

impl Scheduler {
    pub(super) fn new(max_running: usize, max_waiting: usize, max_blocking: usize) -> Self {
        Self {
            account: Mutex::new(Account::new()),
            max_running: max_running as u64,
            max_waiting: max_waiting as u64,
            permits: Arc::new(Semaphore::new(max_blocking)),
            is_aborting: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        self.account().stats
    }

    /// Returns whether requests are to be held back.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Relaxed)
    }

    /// Registers `wanted` tasks that wait from now on, and tasks that will not start; returns how
    /// many wait. The others are refused, beyond the limit if there is one.
    ///
    /// A task that does not wait is pending until it is [settled](Self::settle).
    #[inline]
    pub(super) fn register(
        &self,
        share: usize,
        wanted: usize,
        unstarted: impl ExactSizeIterator<Item = TaskState>,
        is_limited: bool,
    ) -> usize {
        let mut account = self.account();
        let wanted = wanted as u64;
        let room = if account.is_closed(share) {
            0
        } else if is_limited {
            self.max_waiting.saturating_sub(account.stats.waiting)
        } else {
            wanted
        };
        let accepted = wanted.min(room);
        account.register(share, wanted, accepted, unstarted);
        self.publish(account);
        accepted as usize
    }

    /// Starts a waiting task, if there is room.
    #[inline]
    pub(super) fn begin(&self, share: usize, task: Unfinished, needs_thread: bool) -> Begin<'_> {
        let mut account = self.account();
        if account.is_closed(share) {
            account.leave(share, TaskState::Cancelled);
            self.publish(account);
            return Begin::Closed;
        }
        // While some are ready, another thread is about to start them: nobody overtakes.
        let is_next = account.queue(needs_thread).is_empty();
        let mut has_room = is_next && account.stats.running < self.max_running;
        let mut permit = None;
        if needs_thread && has_room {
            permit = self.try_permit();
            has_room = permit.is_some();
        }
        if !has_room {
            return Begin::Waits(Queue {
                account,
                task,
                share,
                needs_thread,
            });
        }
        let key = account.start(share, task);
        self.publish(account);
        Begin::Starts(Place { key, permit })
    }

    /// Starts the next task that is ready, if there is room.
    pub(super) fn next(&self) -> Option<(OnTurn, Place)> {
        let mut account = self.account();
        if account.stats.running >= self.max_running {
            return None;
        }
        let has_function = !account.queue(true).is_empty();
        let permit = if has_function {
            self.try_permit()
        } else {
            None
        };
        let next = account.queue(permit.is_some()).pop_front()?;
        let key = account.start(next.share, next.task);
        self.publish(account);
        Some((next.on_turn, Place { key, permit }))
    }

    /// The thread that releases a permit looks at the queue afterwards, so that no function waits
    /// beside a free permit.
    fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Waits for a permit to block a thread, for a function within another task.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// A waiting task will not run; it is pending until it is [settled](Self::settle).
    pub(super) fn leave(&self, share: usize, state: TaskState) {
        let mut account = self.account();
        account.leave(share, state);
        self.publish(account);
    }

    /// A running task has ended; returns whether others are ready. Its place is free from now on.
    /// Unless it `is_reported` already, it is pending until it is [settled](Self::settle).
    pub(super) fn end(&self, key: usize, state: TaskState, is_reported: bool) -> bool {
        let mut account = self.account();
        let entry = account.end(key, state, is_reported);
        let has_ready = account.has_ready();
        self.publish(account);
        // Its name and its waker are dropped outside of the lock.
        drop(entry);
        has_ready
    }

    /// The ends of tasks were reported: nothing of these tasks is under way any more.
    pub(super) fn settle(&self, share: usize, tasks: usize) {
        let mut account = self.account();
        account.settle(share, tasks);
        self.publish(account);
    }

    /// Enters a function on its thread, or a view without its client: neither counts as a task.
    pub(super) fn enter(&self, share: usize, what: Unfinished) -> usize {
        self.account().enter(share, what)
    }

    /// What was [entered](Self::enter) has ended; returns whether tasks are ready.
    pub(super) fn exit(&self, key: usize) -> bool {
        let mut account = self.account();
        let entry = account.exit(key);
        let has_ready = account.has_ready();
        self.publish(account);
        drop(entry);
        has_ready
    }

    /// A connection was accepted.
    pub(super) fn connect(&self, share: usize) {
        self.account().connect(share);
    }

    /// A connection has ended, and everything that it led to is counted.
    pub(super) fn disconnect(&self, share: usize) {
        let mut account = self.account();
        account.disconnect(share);
        self.publish(account);
    }

    /// Ends a change: publishes what others read without the lock, and wakes those who wait.
    #[inline]
    fn publish(&self, account: MutexGuard<'_, Account>) {
        // With a limit of 0, one task that waits is too much, and none is not.
        let is_full = account.stats.waiting >= self.max_waiting.max(1);
        self.is_full.store(is_full, Relaxed);
        let is_observed = account.observers > 0;
        drop(account);
        if is_observed {
            self.changed.notify_waiters();
        }
    }

    /// A running task waits: remembers its waker and its deadline. Returns the time for which the
    /// caller has to set the alarm, if that is earlier than all times so far.
    pub(super) fn wait(
        &self,
        key: usize,
        waker: Waker,
        deadline: Option<Instant>,
    ) -> Option<Instant> {
        let mut account = self.account();
        let old_waker = account.wait(key, waker, deadline);
        let alarm_at = account.earlier_alarm(deadline);
        drop(account);
        drop(old_waker);
        // An abort sets this first, and then takes the wakers.
        if self.is_aborting.load(Relaxed) {
            self.wake_aborted();
        }
        alarm_at
    }

    /// Wakes the tasks whose time is over; returns when to look again.
    pub(super) fn expire(&self, now: Instant) -> Option<Instant> {
        let (wakers, next) = self.account().expire(now);
        wakers.into_iter().for_each(Waker::wake);
        next
    }

    /// Opens the share of a server.
    pub(super) fn open_share(&self) -> usize {
        self.account().open_share()
    }

    /// The end of a server is over: tasks look for an abort only while something of it is left.
    pub(super) fn finish_share(&self) {
        let account = self.account();
        self.is_aborting.store(account.is_aborting(), Relaxed);
    }

    /// Returns the tokens of a share, as [`Account::tokens`].
    pub(super) fn tokens(&self, share: usize) -> Option<(CancellationToken, CancellationToken)> {
        self.account().tokens(share)
    }

    /// Asks everything that is under way to end.
    pub(super) fn cancel(&self, scope: Scope) {
        let tokens = self.account().cancel_tokens(scope);
        tokens.iter().for_each(CancellationToken::cancel);
    }

    /// Returns whether a task of this share is to end now.
    #[inline]
    pub(super) fn is_aborted(&self, share: usize) -> bool {
        self.is_aborting.load(Relaxed) && self.account().is_aborted(share)
    }

    /// Ends what runs, and accepts nothing more.
    pub(super) fn abort(&self, scope: Scope) -> Aborted {
        let mut account = self.account();
        let tokens = account.abort(scope);
        self.is_aborting.store(true, Relaxed);
        let running = account.running(scope);
        let ready = account.cancel_ready(scope);
        self.publish(account);
        self.wake_aborted();
        tokens.iter().for_each(CancellationToken::cancel);
        Aborted { running, ready }
    }

    #[cold]
    fn wake_aborted(&self) {
        let wakers = self.account().take_aborted_wakers();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Returns what runs, in the order of the starts.
    pub(super) fn running(&self, scope: Scope) -> Vec<Unfinished> {
        self.account().running(scope)
    }

    /// Returns how much is under way.
    pub(super) fn pending(&self, scope: Scope) -> Pending {
        self.account().pending(scope)
    }

    /// Waits until `is_enough` holds for what is pending. Cancel safe.
    pub(super) async fn wait_until(&self, scope: Scope, is_enough: impl Fn(Pending) -> bool) {
        let _observer = Observer::new(self);
        loop {
            // Enabled before the look, so that no change between the two is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if is_enough(self.pending(scope)) {
                return;
            }
            changed.await;
        }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits for a change.
struct Observer<'a>(&'a Scheduler);

impl<'a> Observer<'a> {
    fn new(scheduler: &'a Scheduler) -> Self {
        scheduler.account().observers += 1;
        Self(scheduler)
    }
}

impl Drop for Observer<'_> {
    fn drop(&mut self) {
        self.0.account().observers -= 1;
    }
}

#[cfg(all(test, bocadillo_loom))]
mod loom_tests;
