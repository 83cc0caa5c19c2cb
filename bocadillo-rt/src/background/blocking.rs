//! Functions that block, as tasks.

use std::panic;

use tokio::task::spawn_blocking;

use super::{Outcome, context};
use crate::error::BoxError;

/// Calls `function` on a thread for that, when one of the runner's permits is free.
///
/// The permit goes with the function and not with the task: a task that timed out has left its
/// function behind, which still takes its thread.
pub(super) async fn run<F, T>(function: F) -> Result<(), BoxError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Outcome + 'static,
{
    let context = context::current();
    let permit = match context.runner() {
        Some(runner) => runner.blocking_permit().await,
        None => None,
    };
    let called = spawn_blocking(move || {
        let _permit = permit;
        context.scope(|| function().into_result())
    });
    match called.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            Err(error) => Err(error.into()),
        },
    }
}
