//! Functions that block, as tasks.
//!
//! The permit of a function is taken before its task starts, so its time is that of the function. It
//! goes with the function and not with the task: nothing can end a function that runs, and one whose
//! task has timed out still takes its thread. A function that was not called by then never is.

use std::{
    panic::Location,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking};

use super::{
    context,
    job::{Ended, with_current},
    outcome::Outcome,
    report::Unfinished,
    runner::Runner,
    task::{Task, name_of},
};

impl Task {
    /// Creates a task of a function that blocks or computes: it runs on a thread where that hurts
    /// nobody, and no more of them at a time than [`max_blocking`](super::Builder::max_blocking).
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

/// Calls `function` on a thread for that, with a permit of the runner's.
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
        let _running = Running::new(runner, context.unfinished(), permit);
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

/// Takes the function from its thread when the task ends before the call.
struct Uncalled<F>(Arc<Place<F>>);

impl<F> Drop for Uncalled<F> {
    fn drop(&mut self) {
        drop(take(&self.0));
    }
}

/// A function that runs: under way until it returns, whatever became of its task.
struct Running {
    runner: Option<Runner>,
    key: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Running {
    fn new(runner: Option<Runner>, what: Unfinished, permit: Option<OwnedSemaphorePermit>) -> Self {
        let key = runner.as_ref().map_or(0, |runner| runner.enter(what));
        Self {
            runner,
            key,
            permit,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.permit.take());
        if let Some(runner) = &self.runner {
            runner.exit(self.key);
        }
    }
}
