//! Tasks within what the user wraps around them.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use super::{Runner, Slot, Task, config::Wrapped, task::Work};
use crate::error::BoxError;

impl Runner {
    /// Wraps what waits, if that is wanted.
    #[inline]
    pub(super) fn wrap_all(&self, slot: Slot) -> Slot {
        match &self.config().wrap {
            None => slot,
            Some(wrap) => slot.map(|task| wrapped(task, &**wrap)),
        }
    }
}

type Outcome = Arc<Mutex<Option<Result<(), BoxError>>>>;

/// The user's wrapper knows nothing of results: the task's own goes around it.
fn wrapped(task: Task, wrap: &dyn Fn(Wrapped) -> Wrapped) -> Task {
    let Task { work, info } = task;
    let outcome = Outcome::default();
    let inner = Inner {
        work,
        outcome: Arc::clone(&outcome),
    };
    // It runs where the response is handed over: a panic there would cost the connection.
    let work: Pin<Box<dyn Work>> = match catch_unwind(AssertUnwindSafe(|| wrap(Box::pin(inner)))) {
        Ok(future) => Box::pin(Outer { future, outcome }),
        Err(panic) => Box::pin(Panics(Some(panic))),
    };
    Task { work, info }
}

/// What is left of a task whose wrapper panicked: it ends as if it had panicked itself.
struct Panics(Option<Box<dyn Any + Send>>);

impl Work for Panics {
    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.0.take() {
            Some(panic) => resume_unwind(panic),
            None => Poll::Ready(Ok(())),
        }
    }
}

struct Outer {
    future: Wrapped,
    outcome: Outcome,
}

impl Work for Outer {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.future.as_mut().poll(cx).map(|()| {
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            // Without one the wrapper has not polled the task to its end, which is its right.
            outcome.take().unwrap_or(Ok(()))
        })
    }
}

struct Inner {
    work: Pin<Box<dyn Work>>,
    outcome: Outcome,
}

impl Future for Inner {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.work.as_mut().poll(cx).map(|result| {
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            *outcome = Some(result);
        })
    }
}
