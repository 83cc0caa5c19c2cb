//! One account of everything that is under way.
//!
//! Tasks that wait, are ready, run, or are being told; functions on threads; views that run on
//! without their client; connections of a server: each is counted here from its first moment to its
//! last. So "is something still under way?" is one question, with one answer.
//!
//! # Invariants
//!
//! 1. One lock holds all numbers, the list of what runs, and the queues of what is ready. A number
//!    changes where its task changes its state, and both at once: the numbers add up at every
//!    instant.
//! 2. A task is pending until its end was told: [`end`](Scheduler::end) frees its place,
//!    [`told`](Scheduler::told) follows the log line and the report. A drain waits for the second.
//! 3. A successor is counted before its predecessor leaves: a view before its connection, a
//!    follow-up before its task or its function. So the count is zero only at the true end.
//! 4. Nothing of a user's is called, dropped or awaited within the lock.
//!
//! # Shares
//!
//! Several servers may share one runner. Each has a share: what its requests have registered, with
//! follow-ups. A server that ends waits for its share, and cuts off its share alone.
//!
//! # Limits
//!
//! A task that starts takes a place of `max_running`; a function takes a permit for its thread
//! first, and then the place. Who finds no room waits in a queue of its kind. Functions have a queue
//! of their own: those that wait for a thread keep no other task from its place.

use std::{
    collections::{BTreeSet, VecDeque},
    mem,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    task::Waker,
    time::Instant,
};

use slab::Slab;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::report::{State as TaskState, Unfinished};
use crate::background::sync::{AtomicBool, Mutex, MutexGuard};

/// How many tasks are in which state.
///
/// All numbers are of one instant: `registered` is the sum of all the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks whose view has ended, and follow-ups.
    pub registered: u64,
    /// Their response is on its way, or there is no room to run them yet.
    pub waiting: u64,
    /// Started and not ended.
    pub running: u64,
    /// Ran to their end.
    pub completed: u64,
    /// Returned an error.
    pub failed: u64,
    /// Panicked.
    pub panicked: u64,
    /// Ran for longer than they may.
    pub timed_out: u64,
    /// Cut off by a shutdown.
    pub cancelled: u64,
    /// A later registration took their place.
    pub replaced: u64,
    /// Their condition did not hold.
    pub skipped: u64,
    /// Over a limit.
    pub refused: u64,
}

impl Stats {
    pub(super) fn of(&mut self, state: TaskState) -> &mut u64 {
        match state {
            TaskState::Completed => &mut self.completed,
            TaskState::Failed => &mut self.failed,
            TaskState::Panicked => &mut self.panicked,
            TaskState::TimedOut => &mut self.timed_out,
            TaskState::Cancelled => &mut self.cancelled,
            TaskState::Replaced => &mut self.replaced,
            TaskState::Skipped => &mut self.skipped,
            TaskState::Refused => &mut self.refused,
        }
    }
}

/// A task that can wait in a queue.
pub(super) trait Schedule {
    /// Says what runs, for whoever asks later.
    fn describe(&self) -> Unfinished;

    /// Returns the share that the task belongs to.
    fn share(&self) -> usize;

    /// Returns whether the task is a function that needs a thread.
    fn needs_thread(&self) -> bool;
}

/// The share of whoever has none: tasks of other people's servers.
pub(super) const NO_SERVER: usize = 0;

/// Whom a question or an order is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Share(usize),
}

pub(super) struct Scheduler<T> {
    state: Mutex<State<T>>,
    max_running: u64,
    max_waiting: u64,
    permits: Arc<Semaphore>,
    /// Some share is aborted. Set within the lock, read without: a task that misses it is woken after.
    is_aborting: AtomicBool,
    /// `max_waiting` is reached. Changed within the lock, read without: a request more or less.
    is_full: AtomicBool,
    /// Something ended. Only told while somebody waits.
    changed: Notify,
}

struct State<T> {
    stats: Stats,
    /// Never shorter: a share is found by its place for as long as somebody has its number.
    shares: Vec<Share>,
    /// What runs: tasks, functions, views.
    entries: Slab<Entry>,
    ready: VecDeque<T>,
    ready_functions: VecDeque<T>,
    /// When running tasks reach their timeout, with their places in `entries`.
    deadlines: BTreeSet<(Instant, usize)>,
    /// The alarm is set for this time, or earlier.
    alarm_at: Option<Instant>,
    /// No task is accepted any more.
    is_closed: bool,
    /// How many wait for a change.
    observers: usize,
}

/// What one server has under way.
#[derive(Default)]
struct Share {
    /// Everything that has not left.
    pending: usize,
    /// The connections among them.
    connections: usize,
    /// The tasks among them that have not started.
    waiting: usize,
    is_closed: bool,
    is_aborted: bool,
    cancel: CancellationToken,
    aborted: CancellationToken,
}

#[derive(Debug)]
struct Entry {
    what: Unfinished,
    share: usize,
    waker: Option<Waker>,
    deadline: Option<Instant>,
}

/// What is pending in a scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    all: usize,
    connections: usize,
    waiting: usize,
}

impl Pending {
    /// Returns how many connections are open.
    pub(crate) fn connections(self) -> usize {
        self.connections
    }

    /// Returns how many tasks wait, for their response or for room.
    pub(crate) fn waiting(self) -> usize {
        self.waiting
    }

    /// Returns whether nothing but connections is under way.
    pub(super) fn is_idle(self) -> bool {
        self.all <= self.connections
    }
}

pub(super) enum Begin<T> {
    /// It runs: its place, and the permit of a function.
    Runs(T, usize, Option<OwnedSemaphorePermit>),
    /// There is no room yet.
    Kept,
    /// The runner, or the task's server, has ended.
    Closed(T),
}

/// What an abort found.
pub(super) struct Aborted<T> {
    pub(super) running: Vec<Unfinished>,
    pub(super) ready: Vec<T>,
}

impl<T: Schedule> Scheduler<T> {
    pub(super) fn new(max_running: usize, max_waiting: usize, max_blocking: usize) -> Self {
        let state = State {
            stats: Stats::default(),
            shares: vec![Share::default()],
            entries: Slab::new(),
            ready: VecDeque::new(),
            ready_functions: VecDeque::new(),
            deadlines: BTreeSet::new(),
            alarm_at: None,
            is_closed: false,
            observers: 0,
        };
        Self {
            state: Mutex::new(state),
            max_running: max_running as u64,
            max_waiting: max_waiting as u64,
            permits: Arc::new(Semaphore::new(max_blocking)),
            is_aborting: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        self.state().stats
    }

    /// Returns whether requests are to be held back.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Relaxed)
    }

    /// Registers `wanted` tasks that wait from now on, and those that are gone already; returns how
    /// many wait. The others are refused, beyond the limit if there is one.
    ///
    /// Whatever does not wait is pending until it was [told](Self::told).
    #[inline]
    pub(super) fn register(
        &self,
        share: usize,
        wanted: usize,
        gone: impl ExactSizeIterator<Item = TaskState>,
        is_limited: bool,
    ) -> usize {
        let mut state = self.state();
        let wanted = wanted as u64;
        let room = if state.is_closed || state.shares.get(share).is_none_or(|share| share.is_closed)
        {
            0
        } else if is_limited {
            self.max_waiting.saturating_sub(state.stats.waiting)
        } else {
            wanted
        };
        let accepted = wanted.min(room);
        state.add(share, wanted as usize + gone.len());
        if let Some(share) = state.shares.get_mut(share) {
            share.waiting += accepted as usize;
        }
        let stats = &mut state.stats;
        stats.registered += wanted + gone.len() as u64;
        stats.waiting += accepted;
        stats.refused += wanted - accepted;
        for gone in gone {
            *stats.of(gone) += 1;
        }
        self.settle(state);
        accepted as usize
    }

    /// Lets a waiting task run, or keeps it until there is room.
    #[inline]
    pub(super) fn begin(&self, task: T) -> Begin<T> {
        let mut state = self.state();
        let share = task.share();
        if state.is_closed || state.shares.get(share).is_none_or(|share| share.is_closed) {
            state.leave(share, TaskState::Cancelled);
            self.settle(state);
            return Begin::Closed(task);
        }
        if task.needs_thread() {
            return self.begin_function(state, task);
        }
        // While some are ready, somebody is about to start them: nobody overtakes.
        if state.stats.running >= self.max_running || !state.ready.is_empty() {
            state.ready.push_back(task);
            return Begin::Kept;
        }
        let key = state.enter(&task);
        self.settle(state);
        Begin::Runs(task, key, None)
    }

    #[cold]
    fn begin_function(&self, mut state: MutexGuard<'_, State<T>>, task: T) -> Begin<T> {
        let has_place = state.stats.running < self.max_running && state.ready_functions.is_empty();
        let permit = if has_place { self.try_permit() } else { None };
        let Some(permit) = permit else {
            state.ready_functions.push_back(task);
            return Begin::Kept;
        };
        let key = state.enter(&task);
        self.settle(state);
        Begin::Runs(task, key, Some(permit))
    }

    /// Returns the next task that is ready, if there is room.
    pub(super) fn next(&self) -> Option<(T, usize, Option<OwnedSemaphorePermit>)> {
        let mut state = self.state();
        if state.stats.running >= self.max_running {
            return None;
        }
        let permit = if state.ready_functions.is_empty() {
            None
        } else {
            self.try_permit()
        };
        let task = match &permit {
            Some(_) => state.ready_functions.pop_front(),
            None => state.ready.pop_front(),
        }?;
        let key = state.enter(&task);
        self.settle(state);
        Some((task, key, permit))
    }

    /// Who releases a permit looks at the queue afterwards, so that none waits beside a free one.
    fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Waits for a permit to block a thread, for a function within another task.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// A waiting task will not run; it is pending until that was told.
    pub(super) fn leave(&self, share: usize, end: TaskState) {
        let mut state = self.state();
        state.leave(share, end);
        self.settle(state);
    }

    /// A running task has ended; returns whether others are ready. Its place is free from now on;
    /// unless `is_told`, it is pending until that was told.
    pub(super) fn end(&self, key: usize, end: TaskState, is_told: bool) -> bool {
        let mut state = self.state();
        let entry = state.remove(key);
        if let Some(entry) = &entry {
            state.stats.running -= 1;
            *state.stats.of(end) += 1;
            if is_told {
                state.subtract(entry.share, 1);
            }
        }
        let has_ready = state.has_ready();
        self.settle(state);
        // Its name and its waker are dropped outside of the lock.
        drop(entry);
        has_ready
    }

    /// The ends of tasks were told: nothing of them is under way any more.
    pub(super) fn told(&self, share: usize, tasks: usize) {
        let mut state = self.state();
        state.subtract(share, tasks);
        self.settle(state);
    }

    /// Enters what is neither counted as a task nor limited: a function on its thread, or a view
    /// without its client.
    pub(super) fn enter(&self, share: usize, what: Unfinished) -> usize {
        let mut state = self.state();
        state.add(share, 1);
        state.entries.insert(Entry {
            what,
            share,
            waker: None,
            deadline: None,
        })
    }

    /// What was [entered](Self::enter) has ended; returns whether tasks are ready.
    pub(super) fn exit(&self, key: usize) -> bool {
        let mut state = self.state();
        let entry = state.remove(key);
        if let Some(entry) = &entry {
            state.subtract(entry.share, 1);
        }
        let has_ready = state.has_ready();
        self.settle(state);
        drop(entry);
        has_ready
    }

    /// A connection was accepted.
    pub(super) fn connect(&self, share: usize) {
        let mut state = self.state();
        state.add(share, 1);
        if let Some(share) = state.shares.get_mut(share) {
            share.connections += 1;
        }
    }

    /// A connection has ended, and all that it has led to is counted.
    pub(super) fn disconnect(&self, share: usize) {
        let mut state = self.state();
        state.subtract(share, 1);
        if let Some(share) = state.shares.get_mut(share) {
            share.connections -= 1;
        }
        self.settle(state);
    }

    /// Ends a change, and tells what follows from it outside of the lock.
    #[inline]
    fn settle(&self, state: MutexGuard<'_, State<T>>) {
        // With a limit of nothing, one that waits is too much, and not none.
        self.is_full
            .store(state.stats.waiting >= self.max_waiting.max(1), Relaxed);
        let is_observed = state.observers > 0;
        drop(state);
        if is_observed {
            self.changed.notify_waiters();
        }
    }

    /// A running task waits: remembers how it is woken, and when it has to end. Returns the time for
    /// which the alarm is to be set, if that is earlier than all times so far.
    pub(super) fn wait(
        &self,
        key: usize,
        waker: Waker,
        deadline: Option<Instant>,
    ) -> Option<Instant> {
        let mut state = self.state();
        let mut alarm_at = None;
        let old = state.entries.get_mut(key).and_then(|entry| {
            entry.deadline = deadline;
            entry.waker.replace(waker)
        });
        if let Some(deadline) = deadline {
            state.deadlines.insert((deadline, key));
            if state.alarm_at.is_none_or(|at| deadline < at) {
                state.alarm_at = Some(deadline);
                alarm_at = Some(deadline);
            }
        }
        drop(state);
        drop(old);
        // Whoever aborts sets this first, then takes the wakers.
        if self.is_aborting.load(Relaxed) {
            self.wake_aborted();
        }
        alarm_at
    }

    /// Wakes the tasks whose time is over; returns when to look again.
    pub(super) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut wakers = Vec::new();
        let mut state = self.state();
        while let Some(&(deadline, key)) = state.deadlines.first() {
            if deadline > now {
                break;
            }
            state.deadlines.pop_first();
            if let Some(entry) = state.entries.get_mut(key) {
                entry.deadline = None;
                wakers.extend(entry.waker.clone());
            }
        }
        let next = state.deadlines.first().map(|(deadline, _)| *deadline);
        state.alarm_at = next;
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        next
    }

    /// Opens the share of a server.
    pub(super) fn open_share(&self) -> usize {
        let mut state = self.state();
        state.shares.push(Share::default());
        state.shares.len() - 1
    }

    /// The end of a server is over: tasks look for an abort only while something of it is left.
    pub(super) fn finish_share(&self) {
        let state = self.state();
        let is_left = |share: &Share| share.is_aborted && share.pending > 0;
        let is_aborting = state.is_closed || state.shares.iter().any(is_left);
        self.is_aborting.store(is_aborting, Relaxed);
    }

    /// Returns the tokens of a share: cancelled when its tasks are asked to end, and when they are
    /// aborted.
    pub(super) fn tokens(&self, share: usize) -> Option<(CancellationToken, CancellationToken)> {
        let state = self.state();
        let share = state.shares.get(share)?;
        Some((share.cancel.clone(), share.aborted.clone()))
    }

    /// Asks what is under way to end.
    pub(super) fn cancel(&self, scope: Scope) {
        let state = self.state();
        let tokens: Vec<_> = state
            .shares_of(scope)
            .map(|share| share.cancel.clone())
            .collect();
        drop(state);
        for token in tokens {
            token.cancel();
        }
    }

    /// Returns whether a task of this share is to end now.
    #[inline]
    pub(super) fn is_aborted(&self, share: usize) -> bool {
        self.is_aborting.load(Relaxed)
            && self
                .state()
                .shares
                .get(share)
                .is_some_and(|share| share.is_aborted)
    }

    /// Ends what runs, and accepts nothing more.
    pub(super) fn abort(&self, scope: Scope) -> Aborted<T> {
        let mut state = self.state();
        if scope == Scope::All {
            state.is_closed = true;
        }
        let mut tokens = Vec::new();
        for (key, share) in state.shares.iter_mut().enumerate() {
            if scope.includes(key) {
                share.is_closed = true;
                share.is_aborted = true;
                tokens.push(share.aborted.clone());
            }
        }
        self.is_aborting.store(true, Relaxed);
        let running = state.running(scope);
        let ready = state.take_ready(scope);
        for task in &ready {
            state.leave(task.share(), TaskState::Cancelled);
        }
        self.settle(state);
        self.wake_aborted();
        for token in tokens {
            token.cancel();
        }
        Aborted { running, ready }
    }

    #[cold]
    fn wake_aborted(&self) {
        let mut state = self.state();
        let State {
            entries, shares, ..
        } = &mut *state;
        let aborted = entries.iter_mut().filter(|(_, entry)| {
            shares
                .get(entry.share)
                .is_some_and(|share| share.is_aborted)
        });
        let wakers: Vec<_> = aborted
            .filter_map(|(_, entry)| entry.waker.take())
            .collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Returns what runs, in the order of the starts.
    pub(super) fn running(&self, scope: Scope) -> Vec<Unfinished> {
        self.state().running(scope)
    }

    /// Returns how much is under way.
    pub(super) fn pending(&self, scope: Scope) -> Pending {
        let state = self.state();
        let mut pending = Pending::default();
        for share in state.shares_of(scope) {
            pending.all += share.pending;
            pending.connections += share.connections;
            pending.waiting += share.waiting;
        }
        pending
    }

    /// Waits until `is_enough` holds for what is pending.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn wait_until(&self, scope: Scope, is_enough: impl Fn(Pending) -> bool) {
        let _observer = Observer::new(self);
        loop {
            // Before the look, so that no change between the two is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if is_enough(self.pending(scope)) {
                return;
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Schedule> State<T> {
    fn add(&mut self, share: usize, tokens: usize) {
        if let Some(share) = self.shares.get_mut(share) {
            share.pending += tokens;
        }
    }

    fn subtract(&mut self, share: usize, tokens: usize) {
        if let Some(share) = self.shares.get_mut(share) {
            share.pending = share.pending.saturating_sub(tokens);
        }
    }

    #[inline]
    fn enter(&mut self, task: &T) -> usize {
        self.stats.waiting -= 1;
        self.stats.running += 1;
        if let Some(share) = self.shares.get_mut(task.share()) {
            share.waiting -= 1;
        }
        self.entries.insert(Entry {
            what: task.describe(),
            share: task.share(),
            waker: None,
            deadline: None,
        })
    }

    fn leave(&mut self, share: usize, end: TaskState) {
        self.stats.waiting -= 1;
        if let Some(share) = self.shares.get_mut(share) {
            share.waiting -= 1;
        }
        *self.stats.of(end) += 1;
    }

    fn remove(&mut self, key: usize) -> Option<Entry> {
        let entry = self.entries.try_remove(key)?;
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        Some(entry)
    }

    fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.ready_functions.is_empty()
    }

    fn shares_of(&self, scope: Scope) -> impl Iterator<Item = &Share> {
        let shares = self.shares.iter().enumerate();
        shares.filter_map(move |(key, share)| scope.includes(key).then_some(share))
    }

    fn running(&self, scope: Scope) -> Vec<Unfinished> {
        let entries = self.entries.iter().map(|(_, entry)| entry);
        let mut running: Vec<_> = entries
            .filter(|entry| scope.includes(entry.share))
            .map(|entry| entry.what.clone())
            .collect();
        running.sort_unstable_by_key(|what| what.id);
        // A function runs within its task: one name is enough.
        running.dedup();
        running
    }

    fn take_ready(&mut self, scope: Scope) -> Vec<T> {
        let mut taken = Vec::new();
        for queue in [&mut self.ready, &mut self.ready_functions] {
            for task in mem::take(queue) {
                if scope.includes(task.share()) {
                    taken.push(task);
                } else {
                    queue.push_back(task);
                }
            }
        }
        taken
    }
}

impl Scope {
    fn includes(self, share: usize) -> bool {
        match self {
            Self::All => true,
            Self::Share(only) => only == share,
        }
    }
}

/// Somebody who waits for a change.
struct Observer<'a, T: Schedule>(&'a Scheduler<T>);

impl<'a, T: Schedule> Observer<'a, T> {
    fn new(scheduler: &'a Scheduler<T>) -> Self {
        scheduler.state().observers += 1;
        Self(scheduler)
    }
}

impl<T: Schedule> Drop for Observer<'_, T> {
    fn drop(&mut self) {
        self.0.state().observers -= 1;
    }
}

#[cfg(all(test, bocadillo_loom))]
mod loom_tests;
