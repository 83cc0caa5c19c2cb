//! Where durable tasks are kept: the trait, and what goes through it.

use std::{borrow::Cow, fmt, pin::Pin, sync::Arc, time::Duration};

use super::{store_error::StoreError, task_id::TaskId};

/// What a [`Store`] returns.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps tasks until they have ended, also while no process lives.
///
/// A store has one *holder* for each opened handle: usually one a process. A task is **queued**, or
/// **held** by one holder who runs it, or **dead** after its last attempt. A task that has ended is
/// gone.
///
/// # Laws
///
/// 1. **Acknowledged is kept.** When [`put`](Self::put) returns `Ok`, all of its tasks survive the
///    death of the process. When it returns an error, none of them exists, and none will.
/// 2. **Born held.** A task that was put with [`Due::Held`] is held by this holder, with attempt 1
///    counted. No other call returns it while this holder lives.
/// 3. **Counted before it runs.** [`claim`](Self::claim) makes a queued task held and counts the
///    attempt, and both are committed before it returns. Two claims never return the same attempt.
/// 4. **Proof of death.** The tasks of a holder that has died become queued, by themselves and soon.
///    The tasks of a holder that lives never do, however long they run. What proves the death is the
///    store's own affair: a lock that the kernel releases, or a lease that the store itself renews.
/// 5. **Only the holder ends.** [`end`](Self::end) changes a task only if this holder holds exactly
///    this attempt. A task that was lost to another holder does not count twice.
/// 6. **An end is not awaited.** [`end`](Self::end) returns at once and never fails; the store writes
///    it soon, and repeats a write that failed. [`flush`](Self::flush) waits for the ends before it.
/// 7. **Unknown names stay.** `claim` returns tasks of the given names alone.
/// 8. **Bounded.** `put` answers within about ten seconds, also while the store is locked or gone.
///
/// A dropped future of `put` means that nobody wants the tasks: they are taken out again.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Commits tasks: all or none.
    fn put(&self, tasks: Vec<NewTask>) -> StoreFuture<'_, ()>;

    /// Takes up to `max` tasks of these names that are queued and due, those due longest first.
    fn claim(&self, names: &[&str], max: usize) -> StoreFuture<'_, Vec<Claimed>>;

    /// Ends an attempt.
    fn end(&self, id: TaskId, attempt: u32, end: End);

    /// Waits until every [`end`](Self::end) before this call was written.
    fn flush(&self) -> StoreFuture<'_, ()>;

    /// Waits until something may have become claimable: a task was put or given back, its time has
    /// come, or a holder has died. Changes count from this call on, and not from the first poll. It
    /// may return too often, and never too late by more than a second.
    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Counts the tasks by name and state.
    fn counts(&self) -> StoreFuture<'_, Vec<Counts>>;

    /// Returns up to `limit` tasks in this state, the oldest first.
    fn list(&self, state: KeptState, limit: usize) -> StoreFuture<'_, Vec<KeptTask>>;

    /// Queues a dead or a delayed task to run now, with its attempts counted from the start; returns
    /// whether there was one.
    fn retry(&self, id: TaskId) -> StoreFuture<'_, bool>;

    /// Deletes a task that is not held; returns whether there was one.
    fn discard(&self, id: TaskId) -> StoreFuture<'_, bool>;
}

/// A shared store, of any kind.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn put(&self, tasks: Vec<NewTask>) -> StoreFuture<'_, ()> {
        (**self).put(tasks)
    }

    fn claim(&self, names: &[&str], max: usize) -> StoreFuture<'_, Vec<Claimed>> {
        (**self).claim(names, max)
    }

    fn end(&self, id: TaskId, attempt: u32, end: End) {
        (**self).end(id, attempt, end);
    }

    fn flush(&self) -> StoreFuture<'_, ()> {
        (**self).flush()
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        (**self).changed()
    }

    fn counts(&self) -> StoreFuture<'_, Vec<Counts>> {
        (**self).counts()
    }

    fn list(&self, state: KeptState, limit: usize) -> StoreFuture<'_, Vec<KeptTask>> {
        (**self).list(state, limit)
    }

    fn retry(&self, id: TaskId) -> StoreFuture<'_, bool> {
        (**self).retry(id)
    }

    fn discard(&self, id: TaskId) -> StoreFuture<'_, bool> {
        (**self).discard(id)
    }
}

/// A task to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewTask {
    /// Its number.
    pub id: TaskId,
    /// The name of its `#[task]`.
    pub name: Cow<'static, str>,
    /// Its envelope, as JSON.
    pub payload: Vec<u8>,
    /// Who runs it, and when.
    pub due: Due,
}

impl NewTask {
    /// Creates a task with a new id.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, payload: Vec<u8>, due: Due) -> Self {
        Self {
            id: TaskId::new(),
            name: name.into(),
            payload,
            due,
        }
    }
}

/// When a new task is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Due {
    /// The holder that puts it runs it: it is held, and its first attempt is counted.
    Held,
    /// It is queued, and may be claimed after this time.
    After(Duration),
}

/// A task that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claimed {
    /// Its number.
    pub id: TaskId,
    /// The name that it was put with.
    pub name: String,
    /// Its envelope, as JSON.
    pub payload: Vec<u8>,
    /// This attempt: the first is 1.
    pub attempt: u32,
}

impl Claimed {
    /// Creates what [`Store::claim`] returns.
    #[must_use]
    pub fn new(id: TaskId, name: String, payload: Vec<u8>, attempt: u32) -> Self {
        Self {
            id,
            name,
            payload,
            attempt,
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The task is done: it is deleted.
    Done,
    /// It failed, and runs again after this time.
    Retry {
        /// The time until the next attempt.
        after: Duration,
        /// Why it failed.
        error: String,
    },
    /// It failed for the last time, and is kept for somebody to look at.
    Dead {
        /// Why it failed.
        error: String,
    },
    /// It was not run to its end, which is not its fault: the attempt does not count.
    GiveBack {
        /// The time until it may be claimed.
        after: Duration,
    },
}

/// The state of a task that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeptState {
    /// It waits for its time, or for somebody to claim it.
    Queued,
    /// A holder runs it.
    Held,
    /// Its last attempt has failed.
    Dead,
}

/// A task as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptTask {
    /// Its number.
    pub id: TaskId,
    /// The name that it was put with.
    pub name: String,
    /// Its envelope, as JSON.
    pub payload: Vec<u8>,
    /// How many attempts were counted.
    pub attempts: u32,
    /// Why the latest attempt failed, if one has.
    pub error: Option<String>,
    /// How long it is there.
    pub age: Duration,
}

impl KeptTask {
    /// Creates what [`Store::list`] returns, without an error.
    #[must_use]
    pub fn new(id: TaskId, name: String, payload: Vec<u8>, attempts: u32, age: Duration) -> Self {
        Self {
            id,
            name,
            payload,
            attempts,
            error: None,
            age,
        }
    }
}

/// How many tasks of one name there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// The name that they were put with.
    pub name: String,
    /// Those that wait for their time, or for somebody to claim them.
    pub queued: u64,
    /// Those that a holder runs.
    pub held: u64,
    /// Those whose last attempt has failed.
    pub dead: u64,
    /// The age of the oldest that is not dead.
    pub oldest: Option<Duration>,
}

impl Counts {
    /// Creates counts of nothing.
    #[must_use]
    pub fn of(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Counts a task of this state and age.
    pub fn add(&mut self, state: KeptState, age: Duration) {
        match state {
            KeptState::Queued => self.queued += 1,
            KeptState::Held => self.held += 1,
            KeptState::Dead => self.dead += 1,
        }
        if state != KeptState::Dead {
            self.oldest = self.oldest.max(Some(age));
        }
    }
}
