//! A durable task as its process holds it.
//!
//! The task has an [`Entry`] beside its future. The door commits the entries of a response before
//! it hands the response over: from then on this process *holds* the task, with attempt 1 counted,
//! and the task starts like any other, from memory.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use scoped_tls::scoped_thread_local;

use super::{
    runner::Runner,
    store::{Due, End, NewTask, Store},
    store_error::StoreError,
    task_id::TaskId,
};
use crate::error::Chain;

scoped_thread_local! {
    /// The durable attempt that is polled on this thread.
    static CURRENT: Number
}

/// Calls `f` within a durable attempt.
pub(super) fn enter<R>(number: Number, f: impl FnOnce() -> R) -> R {
    CURRENT.set(&number, f)
}

/// A durable task and its attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) id: TaskId,
    pub(super) attempt: u32,
}

/// Returns the durable attempt that is polled on this thread.
pub(super) fn current() -> Option<Number> {
    CURRENT.is_set().then(|| CURRENT.with(|number| *number))
}

/// A durable task's row, and who holds it.
pub(crate) struct Entry {
    pub(super) task: NewTask,
    /// Why there can be no such row.
    pub(super) fault: Option<String>,
    /// Set when the commit begins, or by the claim.
    pub(super) store: OnceLock<Arc<dyn Store>>,
    /// Set when the commit has ended, or by the claim: from then on this process holds a task that is
    /// [`Due::Held`].
    pub(super) hold: OnceLock<Hold>,
}

pub(super) struct Hold {
    pub(super) runner: Runner,
    pub(super) attempt: u32,
}

impl Entry {
    /// An entry that is to be committed.
    pub(crate) fn new(task: NewTask) -> Self {
        Self {
            task,
            fault: None,
            store: OnceLock::new(),
            hold: OnceLock::new(),
        }
    }

    /// An entry that this process holds.
    pub(crate) fn held(task: NewTask, store: Arc<dyn Store>, runner: Runner, attempt: u32) -> Self {
        Self {
            task,
            fault: None,
            store: OnceLock::from(store),
            hold: OnceLock::from(Hold { runner, attempt }),
        }
    }

    /// An entry that cannot be committed.
    pub(crate) fn faulty(name: &'static str, fault: &StoreError) -> Self {
        let mut entry = Self::new(NewTask::new(name, Vec::new(), Due::Held));
        entry.fault = Some(Chain(fault).to_string());
        entry
    }

    pub(super) fn is_held(&self) -> bool {
        self.hold.get().is_some()
    }

    pub(super) fn end(&self, end: End) {
        if let (Some(store), Some(hold)) = (self.store.get(), self.hold.get()) {
            store.end(self.task.id, hold.attempt, end);
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        let hold = self.hold.get();
        hold.is_some_and(|hold| hold.runner.is_cancelled())
    }
}

impl Drop for Entry {
    /// A commit that was dropped before its end may have reached the store, and nobody runs the task.
    fn drop(&mut self) {
        if let (Some(store), false) = (self.store.get(), self.is_held()) {
            store.end(self.task.id, 1, End::Done);
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.task.id)
            .field("name", &self.task.name)
            .finish_non_exhaustive()
    }
}
