//! The names that the expansions of the macros use. They are no public API and change in any
//! release.

use std::{panic::Location, time::Duration};

#[cfg(feature = "durable")]
pub use inventory;

pub use crate::{
    app::route_fn::{RouteMeta, Routed},
    background::{When, current},
    error::BoxError,
    server::log::want as want_log,
};
use crate::{
    app::view::ViewOutcome,
    background::{Never, Outcome, Task},
    message::params::FromParam,
};
#[cfg(feature = "durable")]
pub use crate::{
    background::Work,
    durable::{Args, Call, Definition, Registered, StoreError, Values, work},
};

/// Creates a task for `#[background]`. `T` is the return type as it is written, so that the
/// compiler checks `?` and `return` in the body against it.
pub fn task<T, F>(name: &'static str, location: &'static Location<'static>, future: F) -> Task
where
    T: Outcome,
    F: Future<Output = T> + Send + 'static,
{
    Task::named(name, location, future)
}

/// Has the type of a task's result, and is never called. A `return` of this value in dead code
/// fixes the type of the body, as `-> T` does for an `async fn`.
#[must_use]
pub fn returns<T>() -> T {
    unreachable!("no task calls this")
}

/// Creates a task that never ends by itself: `async fn name() -> !`.
pub fn never<F>(name: &'static str, location: &'static Location<'static>, future: F) -> Task
where
    F: Future<Output = Never> + Send + 'static,
{
    Task::named(name, location, future)
}

/// Creates a task for `#[background(blocking)]`.
pub fn blocking<T, F>(name: &'static str, location: &'static Location<'static>, function: F) -> Task
where
    T: Outcome + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    Task::blocking_named(name, location, function)
}

/// A call of a function with `#[task]`.
#[cfg(feature = "durable")]
#[track_caller]
pub fn call(definition: &'static Definition, values: Values) -> Call {
    Call::new(definition, values)
}

/// Compiles if the type can be a path parameter.
pub const fn is_path_parameter<T: FromParam>() {}

/// Compiles if the type can be the result of a view.
pub const fn is_view_outcome<T: ViewOutcome>() {}

/// Runs `main`, and returns its result.
///
/// # Errors
///
/// Returns the error of the system if the runtime cannot be created.
pub fn block_on<T>(main: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(main);
    // A thread that never yields would keep the process for ever. The log has named its task.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(result)
}
