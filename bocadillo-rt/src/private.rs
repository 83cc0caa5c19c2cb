//! What the expansions of the macros name. Not public API: it changes in any release.

use std::{panic::Location, time::Duration};

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

/// A task as `#[background]` makes it. `T` is the return type as written, so that `?` and `return`
/// in the body are checked against it.
pub fn task<T, F>(name: &'static str, location: &'static Location<'static>, future: F) -> Task
where
    T: Outcome,
    F: Future<Output = T> + Send + 'static,
{
    Task::named(name, location, future)
}

/// What a task's body returns first, and never does: so all that it returns becomes a `T`, as in an
/// `async fn` that says `-> T`.
#[must_use]
pub fn returns<T>() -> T {
    unreachable!("no task calls this")
}

/// A task that never ends by itself: `async fn name() -> !`.
pub fn never<F>(name: &'static str, location: &'static Location<'static>, future: F) -> Task
where
    F: Future<Output = Never> + Send + 'static,
{
    Task::named(name, location, future)
}

/// A task as `#[background(blocking)]` makes it.
pub fn blocking<T, F>(name: &'static str, location: &'static Location<'static>, function: F) -> Task
where
    T: Outcome + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    Task::blocking_named(name, location, function)
}

/// Compiles for the type of a path parameter.
pub const fn is_path_parameter<T: FromParam>() {}

/// Compiles for the result of a view.
pub const fn is_view_outcome<T: ViewOutcome>() {}

/// Runs `main`.
///
/// # Errors
///
/// Returns the system's error if it cannot start the runtime; what `main` returns otherwise.
pub fn block_on<T>(main: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(main);
    // A thread that never yields would keep the process for ever; the log has named its task.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(result)
}
