//! Accounts for every task, in exactly one state at every instant.
//!
//! One lock holds all numbers, the list of what runs, and the queue of what is ready to: a number is
//! changed where its task changes its state, and both at once. So a look at them always adds up.
//! Nothing of a user's is called, dropped or awaited within the lock.

use std::{
    borrow::Cow,
    collections::VecDeque,
    mem,
    panic::Location,
    sync::{PoisonError, atomic::Ordering::Relaxed},
    task::Waker,
};

use slab::Slab;
use tokio::sync::Notify;

use super::{State, launch::Ready, slot::Gone};
use crate::sync::{AtomicBool, Mutex, MutexGuard};

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
    /// A later registration took their place, or another response that of theirs.
    pub replaced: u64,
    /// Their condition did not hold.
    pub skipped: u64,
    /// Over a limit.
    pub refused: u64,
}

impl Stats {
    pub(super) fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Completed => &mut self.completed,
            State::Failed => &mut self.failed,
            State::Panicked => &mut self.panicked,
            State::TimedOut => &mut self.timed_out,
            State::Cancelled => &mut self.cancelled,
            State::Replaced => &mut self.replaced,
            State::Skipped => &mut self.skipped,
            State::Refused => &mut self.refused,
        }
    }
}

#[derive(Debug)]
pub(super) struct Ledger {
    book: Mutex<Book>,
    max_running: usize,
    max_waiting: u64,
    /// What runs is to end. Set within the lock, read without: a task that misses it is woken after.
    is_aborting: AtomicBool,
    /// `max_waiting` is reached. Changed within the lock, read without: a request more or less.
    is_full: AtomicBool,
    /// Nothing waits or runs. Only told while somebody asks.
    idle: Notify,
}

#[derive(Debug, Default)]
struct Book {
    stats: Stats,
    running: Slab<Entry>,
    ready: VecDeque<Ready>,
    /// No task is accepted any more.
    is_closed: bool,
    /// How many wait for idleness.
    asking: usize,
}

/// A task that runs.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) name: Cow<'static, str>,
    pub(super) location: &'static Location<'static>,
    pub(super) waker: Option<Waker>,
}

impl Ledger {
    pub(super) fn new(max_running: usize, max_waiting: usize) -> Self {
        Self {
            book: Mutex::default(),
            max_running,
            max_waiting: max_waiting as u64,
            is_aborting: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            idle: Notify::new(),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        self.book().stats
    }

    /// Registers `wanted` tasks that wait from now on, and those that are gone already. Returns how
    /// many wait; the others are refused, beyond the limit if there is one.
    #[inline(always)]
    pub(super) fn register(&self, wanted: usize, gone: &[Gone], is_limited: bool) -> usize {
        let mut book = self.book();
        let wanted = wanted as u64;
        let room = if book.is_closed {
            0
        } else if is_limited {
            self.max_waiting.saturating_sub(book.stats.waiting)
        } else {
            wanted
        };
        let accepted = wanted.min(room);
        let stats = &mut book.stats;
        stats.registered += wanted + gone.len() as u64;
        stats.waiting += accepted;
        stats.refused += wanted - accepted;
        for gone in gone {
            *stats.of(gone.state) += 1;
        }
        self.settle(book);
        accepted as usize
    }

    /// Whether requests are to be held back.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Relaxed)
    }

    /// Lets a waiting task run, or keeps it until there is room.
    #[inline(always)]
    pub(super) fn begin(&self, ready: Ready) -> Begin {
        let mut book = self.book();
        if book.is_closed {
            book.leave(State::Cancelled);
            self.settle(book);
            return Begin::Closed(ready);
        }
        // Where some are ready, somebody is about to start them, as far as there is room: nobody overtakes.
        if book.running.len() >= self.max_running || !book.ready.is_empty() {
            book.ready.push_back(ready);
            return Begin::Kept;
        }
        let key = book.enter(&ready);
        self.settle(book);
        Begin::Runs(ready, key)
    }

    /// The next that is ready, if there is room.
    pub(super) fn next(&self) -> Option<(Ready, usize)> {
        let mut book = self.book();
        if book.running.len() >= self.max_running {
            return None;
        }
        let ready = book.ready.pop_front()?;
        let key = book.enter(&ready);
        self.settle(book);
        Some((ready, key))
    }

    /// A waiting task will not run.
    pub(super) fn leave(&self, state: State) {
        let mut book = self.book();
        book.leave(state);
        self.settle(book);
    }

    /// A running task has ended; whether others are ready.
    pub(super) fn end(&self, key: usize, state: State) -> bool {
        let mut book = self.book();
        let entry = book.running.try_remove(key);
        if entry.is_some() {
            book.stats.running -= 1;
            *book.stats.of(state) += 1;
        }
        let has_ready = !book.ready.is_empty();
        self.settle(book);
        // Its name and its waker are dropped outside of the lock.
        drop(entry);
        has_ready
    }

    /// Ends a change, and tells what follows from it outside of the lock.
    #[inline]
    fn settle(&self, book: MutexGuard<'_, Book>) {
        let waiting = book.stats.waiting;
        // With a limit of nothing, one that waits is too much, and not none.
        self.is_full
            .store(waiting >= self.max_waiting.max(1), Relaxed);
        let is_idle = book.asking > 0 && waiting + book.stats.running == 0;
        drop(book);
        if is_idle {
            self.idle.notify_waiters();
        }
    }

    /// How a running task is woken when it is to end.
    pub(super) fn keep_waker(&self, key: usize, waker: Waker) {
        if let Some(entry) = self.book().running.get_mut(key) {
            entry.waker = Some(waker);
        }
        // Whoever aborts sets this first, then takes the wakers.
        if self.is_aborting() {
            self.wake_all();
        }
    }

    pub(super) fn is_aborting(&self) -> bool {
        self.is_aborting.load(Relaxed)
    }

    /// Ends what runs, and accepts nothing more; returns what ran, and what was ready.
    pub(super) fn abort(&self) -> (Vec<Entry>, VecDeque<Ready>) {
        let mut book = self.book();
        book.is_closed = true;
        self.is_aborting.store(true, Relaxed);
        let running = book.running();
        let ready = mem::take(&mut book.ready);
        for _ in &ready {
            book.leave(State::Cancelled);
        }
        self.settle(book);
        self.wake_all();
        (running, ready)
    }

    fn wake_all(&self) {
        let wakers: Vec<_> = {
            let mut book = self.book();
            let entries = book.running.iter_mut();
            entries
                .filter_map(|(_, entry)| entry.waker.take())
                .collect()
        };
        for waker in wakers {
            waker.wake();
        }
    }

    /// What runs, in the order of the starts.
    pub(super) fn running(&self) -> Vec<Entry> {
        self.book().running()
    }

    /// Waits until nothing waits or runs.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn idle(&self) {
        let _asking = Asking::new(self);
        loop {
            // Before the look, so that no change between the two is missed.
            let mut idle = std::pin::pin!(self.idle.notified());
            idle.as_mut().enable();
            let stats = self.stats();
            if stats.waiting + stats.running == 0 {
                return;
            }
            idle.await;
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn running(&self) -> Vec<Entry> {
        let entries = self.running.iter();
        let mut running: Vec<_> = entries.map(|(_, entry)| entry.clone()).collect();
        running.sort_unstable_by_key(|entry| entry.id);
        running
    }

    #[inline(always)]
    fn enter(&mut self, ready: &Ready) -> usize {
        self.stats.waiting -= 1;
        self.stats.running += 1;
        self.running.insert(ready.entry())
    }

    fn leave(&mut self, state: State) {
        self.stats.waiting -= 1;
        *self.stats.of(state) += 1;
    }
}

pub(super) enum Begin {
    Runs(Ready, usize),
    Kept,
    Closed(Ready),
}

/// Somebody who waits for idleness.
struct Asking<'a>(&'a Ledger);

impl<'a> Asking<'a> {
    fn new(ledger: &'a Ledger) -> Self {
        ledger.book().asking += 1;
        Self(ledger)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.book().asking -= 1;
    }
}

/// Every order of what two threads do.
#[cfg(all(test, bocadillo_loom))]
mod loom_tests {
    use std::{sync::Arc, task::Wake};

    use super::*;
    use crate::background::Task;

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    fn start(ledger: &Ledger) -> Option<usize> {
        ledger.register(1, &[], true);
        match ledger.begin(Ready::of(Task::new(async {}))) {
            Begin::Runs(_, key) => Some(key),
            Begin::Kept | Begin::Closed(_) => None,
        }
    }

    fn sum(stats: Stats) -> u64 {
        stats.waiting + stats.running + stats.completed + stats.cancelled + stats.refused
    }

    /// A task that waits while the runner is aborted is woken, or has seen it.
    #[test]
    fn no_task_sleeps_through_an_abort() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new(2, 2));
            let aborting = Arc::clone(&ledger);
            let abort = loom::thread::spawn(move || drop(aborting.abort()));
            if let Some(key) = start(&ledger) {
                let woken = Arc::new(Woken(AtomicBool::new(false)));
                // As `Run::poll` does: look, and then wait.
                let has_seen = ledger.is_aborting();
                if !has_seen {
                    ledger.keep_waker(key, Arc::clone(&woken).into());
                }
                abort.join().expect("no panic");
                assert!(has_seen || woken.0.load(Relaxed), "it sleeps for ever");
            } else {
                abort.join().expect("no panic");
            }
            assert_eq!(sum(ledger.stats()), ledger.stats().registered);
        });
    }

    /// The limit holds, whoever registers, and the numbers add up whenever somebody looks.
    #[test]
    fn the_limit_holds_and_the_numbers_add_up() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new(1, 1));
            let other = Arc::clone(&ledger);
            let thread = loom::thread::spawn(move || other.register(1, &[], true));
            let mine = ledger.register(1, &[], true);
            let stats = ledger.stats();
            assert_eq!(sum(stats), stats.registered);
            let others = thread.join().expect("no panic");
            assert_eq!(mine + others, 1, "one of two is refused");
            assert!(ledger.is_full());
        });
    }

    /// Who comes while an end makes room is behind what was ready before.
    #[test]
    fn nobody_overtakes() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new(1, 3));
            let key = start(&ledger).expect("there is room");
            assert!(start(&ledger).is_none(), "there is none");
            let ending = Arc::clone(&ledger);
            let thread = loom::thread::spawn(move || {
                let has_ready = ending.end(key, State::Completed);
                has_ready && ending.next().is_some()
            });
            assert!(start(&ledger).is_none(), "another is before it");
            assert!(thread.join().expect("no panic"));
            assert_eq!(ledger.stats().running, 1);
        });
    }

    /// An end makes room for what is ready, although both come at once.
    #[test]
    fn what_is_ready_is_not_forgotten() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new(1, 2));
            let key = start(&ledger).expect("there is room");
            let ending = Arc::clone(&ledger);
            let thread = loom::thread::spawn(move || {
                let has_ready = ending.end(key, State::Completed);
                has_ready && ending.next().is_some()
            });
            let runs = start(&ledger).is_some();
            let started_later = thread.join().expect("no panic");
            assert!(runs != started_later, "started once, by one of the two");
            assert_eq!(ledger.stats().running, 1);
        });
    }
}
