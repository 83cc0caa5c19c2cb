//! What a task's future may return.

use crate::error::BoxError;

/// What a task can end with: `()`, `!`, or a `Result<(), E>` whose error will be logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a background task",
    label = "expected `()`, `!` or `Result<(), E>`",
    note = "nothing receives the result of a task; store it, or send it on a channel"
)]
pub trait Outcome {
    /// Converts into the result that the runner reports.
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

impl<E: TaskError> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(TaskError::into_box)
    }
}

/// The error of a task: anything that converts into a [`BoxError`].
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a background task",
    label = "expected an error that is `Send` and `Sync`",
    note = "a boxed error is a `Box<dyn Error + Send + Sync>`"
)]
pub trait TaskError {
    fn into_box(self) -> BoxError;
}

#[diagnostic::do_not_recommend]
impl<E: Into<BoxError>> TaskError for E {
    fn into_box(self) -> BoxError {
        self.into()
    }
}

/// The type `!`, which has no name in stable Rust outside of a return type.
pub(crate) type Never = <fn() -> ! as Returns>::Output;

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
