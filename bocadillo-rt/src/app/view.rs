//! The trait of views, and their results.

use crate::{
    error::{Error, Result},
    message::{request::Request, response::Response},
};

/// A view: an `async fn(&mut Request, &mut Response)`.
///
/// It returns `()` or `Result<(), E>`. It reads path parameters by [`req.param`](Request::param).
/// To get them as arguments, it needs `#[route]` or `#[view]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a view",
    label = "expected an `async fn(&mut Request, &mut Response)`",
    note = "a closure must not capture variables; share values by `App::state` and `req.state()`",
    note = "a view with path parameters needs `#[route]` and `App::route`"
)]
pub trait View<'a>: Clone + Send + Sync + 'static {
    /// The running view.
    type Running: Future<Output: ViewOutcome> + Send + 'a;

    /// Calls the view.
    fn call(self, req: &'a mut Request, res: &'a mut Response) -> Self::Running;
}

impl<'a, F, Running> View<'a> for F
where
    F: Fn(&'a mut Request, &'a mut Response) -> Running + Clone + Send + Sync + 'static,
    Running: Future<Output: ViewOutcome> + Send + 'a,
{
    type Running = Running;

    fn call(self, req: &'a mut Request, res: &'a mut Response) -> Running {
        self(req, res)
    }
}

/// The result of a view: `()` or `Result<(), E>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a view",
    label = "expected `()` or `Result<(), E>`",
    note = "set the content of the response on it: `res.text(…)`, `res.json(&…)`"
)]
pub trait ViewOutcome {
    /// Converts into a result with the crate's own error.
    ///
    /// # Errors
    ///
    /// Returns the view's own error.
    fn into_result(self) -> Result<()>;
}

impl ViewOutcome for () {
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl<E: ViewError> ViewOutcome for Result<(), E> {
    fn into_result(self) -> Result<()> {
        self.map_err(ViewError::into_error)
    }
}

/// The error of a view: anything that converts into an [`Error`].
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a view",
    label = "expected a type that converts into `bocadillo::Error`",
    note = "return `bocadillo::Result<()>`, which takes any error by `?`"
)]
pub trait ViewError {
    fn into_error(self) -> Error;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Error>> ViewError for E {
    fn into_error(self) -> Error {
        self.into()
    }
}
