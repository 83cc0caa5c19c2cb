//! Functions that block, as tasks.
//!
//! A function's permit is taken before its task starts, so that the task's time is the function's. The
//! function keeps the permit, not the task: a running function cannot be stopped, and keeps its thread
//! after its task has timed out. A function that was not called before its task ended is never called.

use std::{
    panic::Location,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking};

use super::{
    context,
    job::{Ended, with_current},
    outcome::Outcome,
    task::{Task, name_of},
};

impl Task {
    /// Creates a task of a function that blocks or computes. It runs on a thread of its own; at most
    /// [`max_blocking`](super::Builder::max_blocking) such functions run at a time.
    ///
    /// A function that runs cannot be stopped: after its timeout, or at shutdown, the task is
    /// reported, and the function goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Request, Response, Task};
    ///
    /// async fn view(_req: &mut Request, res: &mut Response) {
    ///     let numbers = vec![3, 1, 2];
    ///     res.background(Task::blocking(move || println!("{}", numbers.iter().sum::<i32>())));
    /// }
    /// ```
    #[track_caller]
    pub fn blocking<F, T>(function: F) -> Self
    where
        F: FnOnce() -> T + Send + 'static,
        T: Outcome + 'static,
    {
        Self::blocking_named(name_of::<F>(), Location::caller(), function)
    }

    pub(crate) fn blocking_named<F, T>(
        name: &'static str,
        location: &'static Location<'static>,
        function: F,
    ) -> Self
    where
        F: FnOnce() -> T + Send + 'static,
        T: Outcome + 'static,
    {
        let mut task = Self::named(name, location, run(function));
        task.info_mut().needs_thread = true;
        task
    }
}

/// Calls `function` on a thread that may block, with a permit of the runner's.
async fn run<F, T>(function: F) -> Ended
where
    F: FnOnce() -> T + Send + 'static,
    T: Outcome + 'static,
{
    let context = context::current();
    let runner = context.runner().cloned();
    let permit = match (with_current(|info| info.permit.take()).flatten(), &runner) {
        (None, Some(runner)) => runner.permit().await,
        (permit, _) => permit,
    };
    let place = Arc::new(Mutex::new(Some((function, permit))));
    let thread = Arc::clone(&place);
    let uncalled = Uncalled(place);
    let trace = with_current(|info| info.trace.clone()).unwrap_or_default();
    let called = spawn_blocking(move || {
        let (function, permit) = take(&thread)?;
        // The function is under way until it returns, whatever became of its task. The permit is
        // dropped first, so that the next function finds it.
        let _active = runner.map(|runner| runner.enter(context.unfinished()));
        let _permit = permit;
        Some(context.scope(&trace, || function().into_result()))
    });
    let ended = called.await;
    drop(uncalled);
    match ended {
        Ok(result) => result.unwrap_or(Ok(())),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(error.into()),
        },
    }
}

type Place<F> = Mutex<Option<(F, Option<OwnedSemaphorePermit>)>>;

fn take<F>(place: &Place<F>) -> Option<(F, Option<OwnedSemaphorePermit>)> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Takes the function back from its thread if the task ends before the call.
struct Uncalled<F>(Arc<Place<F>>);

impl<F> Drop for Uncalled<F> {
    fn drop(&mut self) {
        drop(take(&self.0));
    }
}
