//! What a running task knows of itself.

use std::{borrow::Cow, cell::RefCell, fmt, panic::Location, sync::Arc};

use super::{Group, IntoTask, Runner};
use crate::sent::Delivery;

thread_local! {
    /// The task that is polled on this thread.
    static CURRENT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// Returns the context of the task that calls this.
///
/// # Panics
///
/// Panics outside of a background task; [`try_current`] does not.
#[must_use]
#[track_caller]
pub fn current() -> Context {
    try_current().expect(
        "`background::current()` was called outside of a background task; \
         call it in the task's own body, or use `try_current()`",
    )
}

/// Returns the context of the task that calls this, or `None` outside of one.
///
/// What a task gives to `tokio::spawn` or to another thread is outside: use [`Context::spawn`].
#[must_use]
pub fn try_current() -> Option<Context> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}

/// A running task: its name, its response, and what it leaves behind.
#[derive(Clone)]
pub struct Context(Shared);

#[derive(Clone)]
pub(super) struct Shared {
    pub(super) id: u64,
    pub(super) name: Cow<'static, str>,
    pub(super) location: &'static Location<'static>,
    pub(super) delivery: Delivery,
    pub(super) runner: Runner,
    pub(super) group: Option<Arc<Group>>,
}

impl Context {
    pub(super) fn new(shared: Shared) -> Self {
        Self(shared)
    }

    /// Returns the task's number: unique within the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Returns the task's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns where the task was registered.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// Returns what became of the response that the task belongs to.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// Starts a task that this one leaves behind: counted and reported like itself.
    #[track_caller]
    pub fn spawn(&self, task: impl IntoTask) {
        let Shared {
            runner,
            group,
            delivery,
            ..
        } = &self.0;
        runner.start_one(task.into_task(), *delivery, group.clone());
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    /// Calls `poll` with this as the current context.
    ///
    /// It is moved there and back: no allocation, no reference count.
    pub(super) fn enter<R>(slot: &mut Option<Self>, poll: impl FnOnce() -> R) -> R {
        let outer = CURRENT.replace(slot.take());
        let _restore = Restore { slot, outer };
        poll()
    }
}

/// Restores both when the poll returns or unwinds.
struct Restore<'a> {
    slot: &'a mut Option<Context>,
    outer: Option<Context>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        *self.slot = CURRENT.replace(self.outer.take());
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.0.id)
            .field("name", &self.0.name)
            .field("delivery", &self.0.delivery)
            .finish_non_exhaustive()
    }
}
