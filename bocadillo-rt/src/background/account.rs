//! What a scheduler counts and lists, within its lock.
//!
//! Each method is one transition: it changes every number that the transition concerns. A method
//! returns wakers and names that are no longer needed, so that the caller drops them outside of
//! the lock.

use std::{
    collections::{BTreeSet, VecDeque},
    mem,
    task::Waker,
    time::Instant,
};

use slab::Slab;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{
    report::{TaskState, Unfinished},
    stats::{Pending, Stats},
};

/// The share of tasks that belong to no server of ours.
pub(super) const NO_SERVER: usize = 0;

/// The shares that a question or an order concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Share(usize),
}

impl Scope {
    fn includes(self, share: usize) -> bool {
        match self {
            Self::All => true,
            Self::Share(only) => only == share,
        }
    }
}

/// The place of a task that runs.
pub(super) struct Place {
    pub(super) key: usize,
    /// The permit of a function, for its thread.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// What becomes of a task that waited for room.
pub(super) enum Turn {
    Starts(Place),
    /// The runner, or the task's server, has ended.
    Cancelled,
}

/// Called once, outside of the lock, when a task that waited for room has its turn.
pub(super) type OnTurn = Box<dyn FnOnce(Turn) + Send>;

/// A task that waits for room.
pub(super) struct Queued {
    pub(super) task: Unfinished,
    pub(super) share: usize,
    pub(super) on_turn: OnTurn,
}

pub(super) struct Account {
    pub(super) stats: Stats,
    /// Never shorter: the number of a share stays valid for as long as a handle has it.
    shares: Vec<Share>,
    /// What runs: tasks, functions, views.
    entries: Slab<Entry>,
    ready: VecDeque<Queued>,
    ready_functions: VecDeque<Queued>,
    /// When running tasks reach their timeout, with their keys in `entries`.
    deadlines: BTreeSet<(Instant, usize)>,
    /// The alarm is set for this time, or earlier.
    alarm_at: Option<Instant>,
    /// No task is accepted any more.
    pub(super) is_closed: bool,
    /// How many callers wait for a change.
    pub(super) observers: usize,
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

/// Something that runs.
#[derive(Debug)]
pub(super) struct Entry {
    what: Unfinished,
    share: usize,
    waker: Option<Waker>,
    deadline: Option<Instant>,
}

impl Account {
    pub(super) fn new() -> Self {
        Self {
            stats: Stats::default(),
            shares: vec![Share::default()],
            entries: Slab::new(),
            ready: VecDeque::new(),
            ready_functions: VecDeque::new(),
            deadlines: BTreeSet::new(),
            alarm_at: None,
            is_closed: false,
            observers: 0,
        }
    }

    /// Returns whether no task of this share is accepted or started any more.
    pub(super) fn is_closed(&self, share: usize) -> bool {
        self.is_closed || self.shares.get(share).is_none_or(|share| share.is_closed)
    }

    /// Counts `wanted` tasks, of which `accepted` wait and the others are refused, and the tasks
    /// that will not start.
    pub(super) fn register(
        &mut self,
        share: usize,
        wanted: u64,
        accepted: u64,
        unstarted: impl ExactSizeIterator<Item = TaskState>,
    ) {
        if let Some(share) = self.shares.get_mut(share) {
            share.pending += wanted as usize + unstarted.len();
            share.waiting += accepted as usize;
        }
        let stats = &mut self.stats;
        stats.registered += wanted + unstarted.len() as u64;
        stats.waiting += accepted;
        stats.refused += wanted - accepted;
        for state in unstarted {
            *stats.of(state) += 1;
        }
    }

    /// A waiting task starts; returns its key.
    #[inline]
    pub(super) fn start(&mut self, share: usize, task: Unfinished) -> usize {
        self.stats.waiting -= 1;
        self.stats.running += 1;
        if let Some(share) = self.shares.get_mut(share) {
            share.waiting -= 1;
        }
        self.insert(share, task)
    }

    /// A waiting task will not start.
    pub(super) fn leave(&mut self, share: usize, state: TaskState) {
        self.stats.waiting -= 1;
        if let Some(share) = self.shares.get_mut(share) {
            share.waiting -= 1;
        }
        *self.stats.of(state) += 1;
    }

    /// A running task has ended. It stays pending unless it `is_reported`.
    pub(super) fn end(&mut self, key: usize, state: TaskState, is_reported: bool) -> Option<Entry> {
        let entry = self.remove(key)?;
        self.stats.running -= 1;
        *self.stats.of(state) += 1;
        if is_reported {
            self.settle(entry.share, 1);
        }
        Some(entry)
    }

    /// Tasks that have ended, or will not start, are pending no longer.
    pub(super) fn settle(&mut self, share: usize, tasks: usize) {
        if let Some(share) = self.shares.get_mut(share) {
            share.pending = share.pending.saturating_sub(tasks);
        }
    }

    /// A function or a view begins, which counts as no task.
    pub(super) fn enter(&mut self, share: usize, what: Unfinished) -> usize {
        if let Some(share) = self.shares.get_mut(share) {
            share.pending += 1;
        }
        self.insert(share, what)
    }

    /// The function or view has ended.
    pub(super) fn exit(&mut self, key: usize) -> Option<Entry> {
        let entry = self.remove(key)?;
        self.settle(entry.share, 1);
        Some(entry)
    }

    pub(super) fn connect(&mut self, share: usize) {
        if let Some(share) = self.shares.get_mut(share) {
            share.pending += 1;
            share.connections += 1;
        }
    }

    pub(super) fn disconnect(&mut self, share: usize) {
        self.settle(share, 1);
        if let Some(share) = self.shares.get_mut(share) {
            share.connections -= 1;
        }
    }

    fn insert(&mut self, share: usize, what: Unfinished) -> usize {
        self.entries.insert(Entry {
            what,
            share,
            waker: None,
            deadline: None,
        })
    }

    fn remove(&mut self, key: usize) -> Option<Entry> {
        let entry = self.entries.try_remove(key)?;
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        Some(entry)
    }

    /// Remembers the waker of a running task; returns the waker before it.
    pub(super) fn wait(
        &mut self,
        key: usize,
        waker: Waker,
        deadline: Option<Instant>,
    ) -> Option<Waker> {
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, key));
        }
        let entry = self.entries.get_mut(key)?;
        entry.deadline = deadline;
        entry.waker.replace(waker)
    }

    /// Returns the deadline if the alarm has to be set for it, and notes that it is.
    pub(super) fn earlier_alarm(&mut self, deadline: Option<Instant>) -> Option<Instant> {
        let deadline = deadline?;
        if self.alarm_at.is_some_and(|at| at <= deadline) {
            return None;
        }
        self.alarm_at = Some(deadline);
        Some(deadline)
    }

    /// Returns the wakers of the tasks whose deadline has passed, and the next deadline.
    pub(super) fn expire(&mut self, now: Instant) -> (Vec<Waker>, Option<Instant>) {
        let mut wakers = Vec::new();
        while let Some(&(deadline, key)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            self.deadlines.pop_first();
            if let Some(entry) = self.entries.get_mut(key) {
                entry.deadline = None;
                wakers.extend(entry.waker.clone());
            }
        }
        self.alarm_at = self.deadlines.first().map(|(deadline, _)| *deadline);
        (wakers, self.alarm_at)
    }

    /// Returns the queue of tasks that wait for room: that of functions, which need a thread, or
    /// that of all others.
    #[inline]
    pub(super) fn queue(&mut self, needs_thread: bool) -> &mut VecDeque<Queued> {
        if needs_thread {
            &mut self.ready_functions
        } else {
            &mut self.ready
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.ready_functions.is_empty()
    }

    /// Opens a share; returns its number.
    pub(super) fn open_share(&mut self) -> usize {
        self.shares.push(Share::default());
        self.shares.len() - 1
    }

    /// Returns the tokens of a share: cancelled when its tasks are asked to end, and when they are
    /// aborted.
    pub(super) fn tokens(&self, share: usize) -> Option<(CancellationToken, CancellationToken)> {
        let share = self.shares.get(share)?;
        Some((share.cancel.clone(), share.aborted.clone()))
    }

    pub(super) fn cancel_tokens(&self, scope: Scope) -> Vec<CancellationToken> {
        let shares = self.shares_of(scope);
        shares.map(|share| share.cancel.clone()).collect()
    }

    pub(super) fn is_aborted(&self, share: usize) -> bool {
        self.shares.get(share).is_some_and(|share| share.is_aborted)
    }

    /// Returns whether something of an aborted share is left.
    pub(super) fn is_aborting(&self) -> bool {
        let is_left = |share: &Share| share.is_aborted && share.pending > 0;
        self.is_closed || self.shares.iter().any(is_left)
    }

    /// Aborts the shares; returns their tokens.
    pub(super) fn abort(&mut self, scope: Scope) -> Vec<CancellationToken> {
        self.is_closed |= scope == Scope::All;
        let shares = self.shares.iter_mut().enumerate();
        let aborted = shares.filter(|(key, _)| scope.includes(*key));
        aborted
            .map(|(_, share)| {
                share.is_closed = true;
                share.is_aborted = true;
                share.aborted.clone()
            })
            .collect()
    }

    /// Takes the wakers of what runs in aborted shares.
    pub(super) fn take_aborted_wakers(&mut self) -> Vec<Waker> {
        let shares = &self.shares;
        let is_aborted = |share: usize| shares.get(share).is_some_and(|share| share.is_aborted);
        let entries = self.entries.iter_mut().map(|(_, entry)| entry);
        entries
            .filter(|entry| is_aborted(entry.share))
            .filter_map(|entry| entry.waker.take())
            .collect()
    }

    /// Takes the tasks that wait for room; they count as cancelled.
    pub(super) fn cancel_ready(&mut self, scope: Scope) -> Vec<Queued> {
        let mut taken = Vec::new();
        for queue in [&mut self.ready, &mut self.ready_functions] {
            for task in mem::take(queue) {
                if scope.includes(task.share) {
                    taken.push(task);
                } else {
                    queue.push_back(task);
                }
            }
        }
        for task in &taken {
            self.leave(task.share, TaskState::Cancelled);
        }
        taken
    }

    /// Returns what runs, in the order of the starts.
    pub(super) fn running(&self, scope: Scope) -> Vec<Unfinished> {
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

    pub(super) fn pending(&self, scope: Scope) -> Pending {
        let mut pending = Pending::default();
        for share in self.shares_of(scope) {
            pending.all += share.pending;
            pending.connections += share.connections;
            pending.waiting += share.waiting;
        }
        pending
    }

    fn shares_of(&self, scope: Scope) -> impl Iterator<Item = &Share> {
        let shares = self.shares.iter().enumerate();
        shares.filter_map(move |(key, share)| scope.includes(key).then_some(share))
    }
}
