//! Functions that block, as tasks.

use std::{
    panic,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use slab::Slab;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use super::{Context, Outcome, Unfinished, context};
use crate::error::BoxError;

/// What a runner knows of functions that block: how many may run, and which do. Nothing can end
/// one, so one may run on when its task has timed out or was cut off.
#[derive(Debug)]
pub(super) struct Blocking {
    permits: Arc<Semaphore>,
    calls: Mutex<Slab<Unfinished>>,
    /// One has returned.
    returned: Notify,
}

impl Blocking {
    pub(super) fn new(max: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(max)),
            calls: Mutex::default(),
            returned: Notify::new(),
        }
    }

    /// The tasks whose functions run now.
    pub(super) fn calls(&self) -> Vec<Unfinished> {
        self.locked().iter().map(|(_, call)| call.clone()).collect()
    }

    /// Waits until none runs.
    pub(super) async fn idle(&self) {
        loop {
            // Before the look, so that no return between the two is missed.
            let mut returned = pin!(self.returned.notified());
            returned.as_mut().enable();
            if self.locked().is_empty() {
                return;
            }
            returned.await;
        }
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    fn locked(&self) -> MutexGuard<'_, Slab<Unfinished>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A function that runs.
struct Call<'a> {
    blocking: &'a Blocking,
    key: usize,
}

impl<'a> Call<'a> {
    fn new(blocking: &'a Blocking, context: &Context) -> Self {
        let key = blocking.locked().insert(context.unfinished());
        Self { blocking, key }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let call = self.blocking.locked().try_remove(self.key);
        // Its name is dropped outside of the lock.
        drop(call);
        self.blocking.returned.notify_waiters();
    }
}

/// Calls `function` on a thread for that, when one of the runner's permits is free.
///
/// Until then the task's time does not run: what was never called has not timed out. The permit goes
/// with the function and not with the task: a task that timed out has left its function behind, which
/// still takes its thread.
pub(super) async fn run<F, T>(function: F) -> Result<(), BoxError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Outcome + 'static,
{
    let context = context::current();
    let runner = context.runner().cloned();
    let permit = match &runner {
        Some(runner) => {
            context::set_queued(true);
            let permit = runner.blocking().permit().await;
            context::set_queued(false);
            permit
        }
        None => None,
    };
    let called = spawn_blocking(move || {
        let _permit = permit;
        let _call = runner
            .as_ref()
            .map(|runner| Call::new(runner.blocking(), &context));
        context.scope(|| function().into_result())
    });
    match called.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            Err(error) => Err(error.into()),
        },
    }
}
