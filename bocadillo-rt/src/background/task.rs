//! What is registered.

use std::{borrow::Cow, fmt, panic::Location, pin::Pin};

use crate::error::BoxError;

pub(super) type TaskFuture = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// Work for after the response, with its name and the place where it was registered.
///
/// A plain future is enough for [`Response::background`](crate::Response::background); a `Task` is
/// for what is to be said beside it.
///
/// # Examples
///
/// ```
/// use bocadillo::{Request, Response, background::Task};
///
/// async fn view(_req: &mut Request, res: &mut Response) {
///     res.background(Task::new(async { /* … */ }).name("warm the cache"));
/// }
/// ```
#[must_use = "a task runs only when it is registered: `res.background(task)`"]
pub struct Task {
    pub(super) name: Cow<'static, str>,
    pub(super) location: &'static Location<'static>,
    pub(super) future: TaskFuture,
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
        name: &'static str,
        location: &'static Location<'static>,
        future: F,
    ) -> Self
    where
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        let future = Box::pin(async move { future.await.into_result() });
        Self {
            name: Cow::Borrowed(name),
            location,
            future,
        }
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
        self.name = name.into();
        self
    }
}

/// The function that the future comes from; `async` blocks are named by the function around them.
fn name_of<F>() -> &'static str {
    let mut name = std::any::type_name::<F>();
    while let Some(outer) = name.strip_suffix("::{{closure}}") {
        name = outer;
    }
    // By bytes: a search for a string would cost more than the rest of the registration.
    let bytes = name.as_bytes();
    // Without generic arguments, whose paths would be taken for the function's.
    let end = bytes
        .iter()
        .position(|&byte| byte == b'<')
        .unwrap_or(bytes.len());
    let begin = bytes[..end]
        .iter()
        .rposition(|&byte| byte == b':')
        .map_or(0, |at| at + 1);
    &name[begin..end]
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name)
            .field("location", &format_args!("{}", self.location))
            .finish_non_exhaustive()
    }
}

/// What can be registered: a [`Task`], or a future that does not borrow.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no background task",
    label = "expected a future, or a `Task`",
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

/// What a task can end with: `()`, `!`, or a `Result<(), E>` whose error will be logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a background task",
    label = "a background task ends in `()`, `!`, or `Result<(), E>`",
    note = "nobody waits for its result: store it, send it on a channel, or drop it with `let _ =`"
)]
pub trait Outcome {
    /// Converts into what the runner looks at.
    ///
    /// # Errors
    ///
    /// Returns the task's own error.
    fn into_result(self) -> Result<(), BoxError>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// The type `!`, which has no name in stable Rust outside of a return type.
type Never = <fn() -> ! as Returns>::Output;

#[doc(hidden)]
pub trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

impl Outcome for Never {
    fn into_result(self) -> Result<(), BoxError> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn send_confirmation() {}

    #[test]
    fn named_by_its_function() {
        assert_eq!(Task::new(send_confirmation()).name, "send_confirmation");
    }

    #[test]
    fn a_block_is_named_by_the_function_around_it() {
        assert_eq!(
            Task::new(async {}).name,
            "a_block_is_named_by_the_function_around_it"
        );
    }

    #[test]
    fn generic_arguments_do_not_name_it() {
        async fn send<T>(_: T) {}
        assert_eq!(Task::new(send(std::sync::Mutex::new(0))).name, "send");
    }
}
