//! Tasks that survive the death of their process.
//!
//! A plain task lives in memory: when the process dies, it is lost. A *durable* task is a function
//! with `#[task]` whose call is committed to a [`Store`] before the first byte of
//! its response leaves. When a client has its 201, the task runs at least once.
//!
//! # The way of a durable task
//!
//! 1. The view registers a [`Call`]. When the view has ended, its durable tasks are committed together,
//!    *held* by this process, with attempt 1 counted. Requests that commit at the same time share one
//!    commit. If it fails, the client gets a 503 with `Retry-After`, and there is no task.
//! 2. The response is sent, and the task starts at once, from memory, like any other.
//! 3. When it is done, its row is deleted. If it failed, it is queued again, with a growing delay; after
//!    its last attempt it is *dead*, and kept for somebody to look at.
//! 4. If the process dies meanwhile, another one with the same store takes the row over, or the next one
//!    when it starts. That counts as an attempt: a task that kills its process does not do so for ever.
//!
//! A graceful stop gives back what it cuts off, and counts no attempt. Whoever serves with the store, or
//! has a [`Worker`](crate::Worker) on it, runs what is queued.
//!
//! # At least once
//!
//! A process may die after a task has done its work, and before the store has heard of it. The task runs
//! a second time then. [`Context::task_id`](crate::background::Context::task_id) is the same each time:
//! by it the work can be made harmless to repeat.

mod call;
mod definition;
mod enqueued;
mod envelope;
mod keeper;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "sqlite")]
pub use rusqlite;

#[cfg(feature = "sqlite")]
pub use self::sqlite::Sqlite;
pub use self::{call::Call, enqueued::Enqueued, memory::Memory};
pub(crate) use self::{
    definition::Registry,
    keeper::{Begun, Keeper},
};
#[doc(hidden)]
pub use self::{
    definition::{Definition, Registered, work},
    envelope::{Args, TaskArgument, Values},
};
pub use crate::background::{
    Claimed, Counts, Due, End, KeptState, KeptTask, NewTask, Store, StoreError, StoreFuture, TaskId,
};
