//! Several futures as one task.

use std::{
    fmt,
    future::poll_fn,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    pin::Pin,
    task::Poll,
};

use super::{IntoTask, Task, job::Job, message};
use crate::error::{BoxError, Chain};

/// Makes one task of several, which run concurrently: `asyncio.gather`.
///
/// Takes a tuple, or anything that iterates. One that fails or panics does not stop the others;
/// the task fails in the end, with all their errors.
///
/// # Examples
///
/// ```
/// use bocadillo::{Request, Response, background::gather};
///
/// async fn mail(_to: &'static str) {}
/// async fn log() -> std::io::Result<()> { Ok(()) }
///
/// async fn view(_req: &mut Request, res: &mut Response) {
///     res.background(gather((mail("a@example.net"), log())));
///     let everybody = ["a@example.net", "b@example.net"];
///     res.background(gather(everybody.map(mail)));
/// }
/// ```
#[track_caller]
pub fn gather<M>(tasks: impl Gather<M>) -> Task {
    let tasks = tasks.into_tasks();
    let name = tasks
        .iter()
        .map(|task| task.info().name())
        .collect::<Vec<_>>()
        .join(", ");
    let name = format!("gather({name})");
    Task::named(name, Location::caller(), all(tasks))
}

/// What [`gather`] takes. `M` only tells tuples from iterators.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be gathered",
    note = "`gather` takes a tuple of futures, `gather((a, b))`, or an iterator of them"
)]
pub trait Gather<M> {
    /// Converts into the tasks.
    #[track_caller]
    fn into_tasks(self) -> Vec<Task>;
}

/// Marks what iterates.
#[derive(Debug)]
pub enum Iterates {}

impl<I> Gather<Iterates> for I
where
    I: IntoIterator,
    I::Item: IntoTask,
{
    #[track_caller]
    fn into_tasks(self) -> Vec<Task> {
        // No `map`: a closure would be the caller that is tracked.
        let mut tasks = Vec::new();
        for task in self {
            tasks.push(task.into_task());
        }
        tasks
    }
}

/// Marks tuples.
#[derive(Debug)]
pub enum Tuple {}

macro_rules! gather_tuples {
    ($($name:ident)+) => {
        impl<$($name: IntoTask),+> Gather<Tuple> for ($($name,)+) {
            #[track_caller]
            #[allow(non_snake_case, reason = "the types name the values")]
            fn into_tasks(self) -> Vec<Task> {
                let ($($name,)+) = self;
                vec![$($name.into_task()),+]
            }
        }
    };
}

gather_tuples!(A);
gather_tuples!(A B);
gather_tuples!(A B C);
gather_tuples!(A B C D);
gather_tuples!(A B C D E);
gather_tuples!(A B C D E F);
gather_tuples!(A B C D E F G);
gather_tuples!(A B C D E F G H);

/// The errors of a gathered task.
#[derive(Debug)]
struct Errors(Vec<String>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Errors {}

async fn all(tasks: Vec<Task>) -> Result<(), BoxError> {
    let mut running: Vec<_> = tasks.into_iter().map(Some).collect();
    let mut errors = Vec::new();
    poll_fn(|cx| {
        for slot in &mut running {
            let Some(task) = slot else { continue };
            let Poll::Ready(error) = poll_one(task.job.as_mut(), cx) else {
                continue;
            };
            errors.extend(error.map(|error| format!("{}: {error}", task.info().name())));
            *slot = None;
        }
        if running.iter().all(Option::is_none) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Errors(errors).into())
    }
}

/// Ends with what went wrong.
fn poll_one(job: Pin<&mut dyn Job>, cx: &mut std::task::Context<'_>) -> Poll<Option<String>> {
    match catch_unwind(AssertUnwindSafe(|| job.poll_within(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(Ok(()))) => Poll::Ready(None),
        Ok(Poll::Ready(Err(error))) => Poll::Ready(Some(Chain(&*error).to_string())),
        Err(panic) => Poll::Ready(Some(format!("panicked: {}", message(&*panic)))),
    }
}
