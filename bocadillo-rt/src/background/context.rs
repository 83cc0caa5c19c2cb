//! The context of a running task.

use std::{fmt, panic::Location};

use http::StatusCode;

use super::{
    job::{Info, Meta, enter, with_current},
    report::Unfinished,
    runner::Runner,
    task::IntoTask,
    trace::TraceContext,
};
use crate::sent::Delivery;

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
/// Code that a task passes to `tokio::spawn` or to another thread is outside: use [`Context::spawn`].
#[must_use]
pub fn try_current() -> Option<Context> {
    let mut meta = with_current(|info| Box::new(info.meta.clone()))?;
    if meta.group.is_none() {
        // The context may outlive the runtime. In a test, follow-ups run on the test's runtime.
        meta.pool = None;
    }
    Some(Context(
        meta,
        #[cfg(feature = "durable")]
        super::entry::current(),
    ))
}

/// The context of a running task: its name, its response, its follow-ups.
#[derive(Clone)]
pub struct Context(
    Box<Meta>,
    #[cfg(feature = "durable")] Option<super::entry::Number>,
);

impl Context {
    /// Returns the task's number: unique within the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Returns the number of a durable task: the same in each attempt and in each process. None of
    /// a plain task.
    ///
    /// A durable task may run twice. This number is what makes the second time harmless: give it to
    /// a service as its idempotency key, or keep it beside what the task has done.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{background, task};
    ///
    /// #[task]
    /// async fn charge(cents: u64) {
    ///     let key = background::current().task_id().map(|id| id.to_string());
    ///     println!("charge {cents} with the key {key:?}");
    /// }
    /// # drop(charge(7));
    /// ```
    #[cfg(feature = "durable")]
    #[must_use]
    pub fn task_id(&self) -> Option<super::task_id::TaskId> {
        self.1.map(|number| number.id)
    }

    /// Returns which attempt this is: 1 is the first, and the only one of a plain task.
    #[cfg(feature = "durable")]
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.1.map_or(1, |number| number.attempt)
    }

    /// Returns the value of this type that was given to [`App::state`](crate::App::state) or to
    /// [`Builder::state`](super::Builder::state).
    ///
    /// Of two apps that share a runner, the one that was built later is asked.
    ///
    /// # Errors
    ///
    /// Fails if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{background, task};
    ///
    /// struct Mailer;
    ///
    /// #[task]
    /// async fn confirm(who: String) -> bocadillo::Result<()> {
    ///     let mailer = background::current().state::<Mailer>()?;
    ///     // …
    /// #   drop((mailer, who));
    ///     Ok(())
    /// }
    /// # drop(confirm("ada".to_owned()));
    /// ```
    #[cfg(feature = "durable")]
    pub fn state<T: Send + Sync + 'static>(&self) -> crate::error::Result<std::sync::Arc<T>> {
        let state = self.0.runner.as_ref().and_then(Runner::state);
        state.ok_or_else(|| {
            let name = std::any::type_name::<T>();
            crate::error::Error::msg(format!(
                "there is no state of type `{name}` for tasks; \
                 add it by `App::state` or `Runner::builder().state(…)`"
            ))
        })
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

    /// Returns whether the response of the task was sent.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.0.delivery.unwrap_or(Delivery::Unknown)
    }

    /// Returns the status of that response, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Waits until a shutdown asks the task to end: when a tenth of the shutdown's time is left, and at
    /// most a second. A task that has not ended when the time is over is dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::background;
    ///
    /// async fn poll_for_ever() {
    ///     let context = background::current();
    ///     loop {
    ///         tokio::select! {
    ///             () = context.cancelled() => return,
    ///             () = tokio::time::sleep(std::time::Duration::from_secs(5)) => { /* … */ }
    ///         }
    ///     }
    /// }
    /// # drop(poll_for_ever);
    /// ```
    pub async fn cancelled(&self) {
        match &self.0.runner {
            Some(runner) => runner.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Returns whether a shutdown has asked the task to end. For functions of
    /// [`Task::blocking`](super::Task::blocking), which have to end by themselves.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Task, background};
    ///
    /// let task = Task::blocking(|| {
    ///     let context = background::current();
    ///     for page in 0..100 {
    ///         if context.is_cancelled() {
    ///             return;
    ///         }
    ///         println!("page {page}");
    ///     }
    /// });
    /// # drop(task);
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.runner.as_ref().is_some_and(Runner::is_cancelled)
    }

    /// Starts a follow-up: a task that is limited, counted, drained and reported like this one. It runs
    /// at once, concurrently.
    ///
    /// A follow-up beyond [`max_waiting`](super::Builder::max_waiting) is refused, whatever the
    /// [overflow](super::Overflow) policy.
    #[track_caller]
    pub fn spawn(&self, task: impl IntoTask) {
        if let Some(runner) = &self.0.runner {
            runner.start_one(task.into_task(), &self.0, self.delivery());
        }
    }

    pub(super) fn unfinished(&self) -> Unfinished {
        self.0.unfinished()
    }

    /// Returns whether the view failed, as [`When::Success`](super::When::Success) sees it.
    pub(super) fn has_failed(&self) -> bool {
        self.0.has_failed
    }

    pub(super) fn runner(&self) -> Option<&Runner> {
        self.0.runner.as_ref()
    }

    /// Calls `f` with this as the current context and within this span, on another thread.
    pub(super) fn scope<R>(self, trace: &TraceContext, f: impl FnOnce() -> R) -> R {
        let info = Info {
            meta: *self.0,
            ..Info::default()
        };
        enter(&info, || trace.within(f))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.0.id)
            .field("name", &self.0.name)
            .field("delivery", &self.delivery())
            .finish_non_exhaustive()
    }
}
