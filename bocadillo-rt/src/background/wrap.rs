//! Tasks within what the user wraps around them.

use std::{
    mem,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use super::{
    Registrations, Runner, Task,
    builder::Wrapped,
    job::{self, Job},
    task::Ended,
};
use crate::guard::guarded;

impl Runner {
    /// Wraps what waits, if that is wanted.
    #[inline]
    pub(super) fn wrap_all(&self, tasks: &mut Registrations) {
        if let Some(wrap) = &self.config().wrap {
            tasks.map(|task| wrapped(task, &**wrap));
        }
    }
}

type Outcome = Arc<Mutex<Option<Ended>>>;

/// The user's wrapper knows nothing of results: the task's own goes around it.
fn wrapped(mut task: Task, wrap: &dyn Fn(Wrapped) -> Wrapped) -> Task {
    let info = mem::take(task.info_mut());
    let outcome = Outcome::default();
    let inner = Inner {
        job: task.job,
        outcome: Arc::clone(&outcome),
    };
    // It runs where the response is handed over: a panic there would cost the connection.
    let job = match guarded(|| wrap(Box::pin(inner))) {
        Ok(future) => job::boxed(Outer { future, outcome }, |known| *known = info),
        Err(panic) => job::boxed(Panics(panic), |known| *known = info),
    };
    Task::from_job(job)
}

/// What is left of a task whose wrapper panicked: it ends as if it had panicked itself.
struct Panics(String);

impl Future for Panics {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Ended> {
        resume_unwind(Box::new(mem::take(&mut self.0)));
    }
}

struct Outer {
    future: Wrapped,
    outcome: Outcome,
}

impl Future for Outer {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        self.future.as_mut().poll(cx).map(|()| {
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            // Without one the wrapper has not polled the task to its end, which is its right.
            outcome.take().unwrap_or(Ok(()))
        })
    }
}

struct Inner {
    job: Pin<Box<dyn Job>>,
    outcome: Outcome,
}

impl Future for Inner {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.job.as_mut().poll_within(cx).map(|result| {
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            *outcome = Some(result);
        })
    }
}
