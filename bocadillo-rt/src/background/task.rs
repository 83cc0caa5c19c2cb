//! A task that can be registered: a future with its options.

#[cfg(feature = "durable")]
use std::sync::Arc;
use std::{borrow::Cow, fmt, panic::Location, time::Duration};

#[cfg(feature = "durable")]
use super::entry::Entry;
use super::{
    job::{BoxedJob, Info, When},
    launch,
    outcome::Outcome,
    run,
    trace::TraceContext,
};
use crate::error::BoxError;

/// Work for after the response, with its name and the place where it was registered.
///
/// A plain future is enough for [`Response::background`](crate::Response::background). A `Task` has options
/// beside its future.
///
/// # Examples
///
/// ```
/// use bocadillo::{Request, Response, background::{Task, When}};
/// use std::time::Duration;
///
/// async fn view(_req: &mut Request, res: &mut Response) {
///     let warm = Task::new(async { /* … */ });
///     res.background(warm.name("warm the cache").timeout(Duration::from_secs(30)).when(When::Success));
/// }
/// ```
#[must_use = "a task runs only when it is registered: `res.background(task)`"]
pub struct Task {
    /// Boxed once, so that the task is never moved between its registration and its end.
    pub(super) job: BoxedJob,
    /// What a door commits before the response.
    #[cfg(feature = "durable")]
    pub(super) entry: Option<Arc<Entry>>,
}

impl Task {
    /// Creates a task; it is named by its function, and its place is the caller's.
    #[track_caller]
    pub fn new<F>(future: F) -> Self
    where
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        Self::named(name_of::<F>(), Location::caller(), future)
    }

    pub(crate) fn named<F>(
        name: impl Into<Cow<'static, str>>,
        location: &'static Location<'static>,
        future: F,
    ) -> Self
    where
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        let job = run::boxed(future, |info| {
            info.meta.name = name.into();
            info.meta.location = location;
            info.trace = TraceContext::capture();
        });
        Self::from_job(job)
    }

    pub(super) fn from_job(job: BoxedJob) -> Self {
        Self {
            job,
            #[cfg(feature = "durable")]
            entry: None,
        }
    }

    /// Drops a task that will not run.
    #[cold]
    pub(super) fn discard(self) {
        launch::discard(self.job);
    }

    pub(super) fn info(&self) -> &Info {
        self.job.info()
    }

    pub(super) fn info_mut(&mut self) -> &mut Info {
        self.job.as_mut().info_mut()
    }

    /// Returns whether this is a durable task that nobody has committed.
    #[cfg(feature = "durable")]
    #[inline]
    pub(super) fn is_uncommitted(&self) -> bool {
        let entry = self.entry.as_ref();
        entry.is_some_and(|entry| !entry.is_held())
    }

    /// Creates a task that may fail, where inference cannot know the error's type.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::background::Task;
    ///
    /// let task = Task::fallible(async {
    ///     let _number: u32 = "7".parse()?;
    ///     Ok(())
    /// });
    /// # drop(task);
    /// ```
    #[track_caller]
    pub fn fallible<F>(future: F) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self::new(future)
    }

    /// Names the task, for logs and reports.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.info_mut().meta.name = name.into();
        self
    }

    /// Sets how long the task may run, in place of the [runner's](super::Builder::timeout) own limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.info_mut().timeout = Some(timeout);
        self
    }

    /// Sets when the task runs; otherwise it is skipped.
    pub fn when(mut self, when: When) -> Self {
        self.info_mut().when = when;
        self
    }
}

/// The function that the future comes from; `async` blocks are named by the function around them.
pub(super) fn name_of<F>() -> &'static str {
    let mut name = std::any::type_name::<F>();
    while let Some(outer) = name.strip_suffix("::{{closure}}") {
        name = outer;
    }
    // Searched from the end, by bytes: a search for a string would cost more than the rest of the
    // registration. Generic arguments are skipped, whose paths could be taken for the function's.
    let bytes = name.as_bytes();
    let (mut begin, mut end, mut depth) = (bytes.len(), bytes.len(), 0_usize);
    while begin > 0 {
        match bytes[begin - 1] {
            b':' if depth == 0 => break,
            b'>' if begin < 2 || bytes[begin - 2] != b'-' => depth += 1,
            b'<' => {
                depth = depth.saturating_sub(1);
                end = begin - 1;
            }
            _ => {}
        }
        begin -= 1;
    }
    name.get(begin..end).unwrap_or(name)
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.info().meta.name)
            .field("location", &format_args!("{}", self.info().meta.location))
            .finish_non_exhaustive()
    }
}

/// What can be registered: a [`Task`], or a future that does not borrow.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a background task",
    label = "expected a future or a `Task`",
    note = "call the async function: `res.background(send(to))`, not `res.background(send)`",
    note = "the future must be `Send`, must not borrow (`'static`), and must end in `()` or `Result<(), E>`"
)]
pub trait IntoTask {
    /// Converts into the task; its place is the caller's.
    #[track_caller]
    fn into_task(self) -> Task;
}

impl IntoTask for Task {
    fn into_task(self) -> Task {
        self
    }
}

impl<F> IntoTask for F
where
    F: Future + Send + 'static,
    F::Output: Outcome,
{
    #[track_caller]
    fn into_task(self) -> Task {
        Task::new(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn send_confirmation() {}

    #[test]
    fn named_by_its_function() {
        assert_eq!(
            Task::new(send_confirmation()).info().meta.name,
            "send_confirmation"
        );
    }

    #[test]
    fn a_block_is_named_by_the_function_around_it() {
        assert_eq!(
            Task::new(async {}).info().meta.name,
            "a_block_is_named_by_the_function_around_it"
        );
    }

    #[test]
    fn within_an_impl_it_is_named_by_the_function() {
        trait Makes {
            fn make() -> Task;
        }
        impl Makes for Vec<fn() -> u8> {
            fn make() -> Task {
                async fn inner<T>(_: T) {}
                Task::new(inner(
                    std::collections::HashMap::<u8, fn() -> Vec<u8>>::new(),
                ))
            }
        }
        assert_eq!(<Vec<fn() -> u8>>::make().info().meta.name, "inner");
    }

    #[test]
    fn generic_arguments_do_not_name_it() {
        async fn send<T>(_: T) {}
        assert_eq!(
            Task::new(send(std::sync::Mutex::new(0))).info().meta.name,
            "send"
        );
    }
}
