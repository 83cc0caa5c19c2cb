//! Several futures as one task.

use std::{
    fmt,
    future::poll_fn,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Sleep, sleep};

use super::{
    context, events,
    job::When,
    task::{IntoTask, Task},
};
use crate::{
    error::{BoxError, describe},
    guard::guarded,
};

/// Makes one task of several, which run concurrently, as `asyncio.gather` does.
///
/// Takes a tuple, or anything that iterates. A member that fails, panics or times out does not stop
/// the others; the task fails in the end, with all their errors.
///
/// A member keeps its own [`timeout`](Task::timeout) and its [`when`](Task::when): one whose condition
/// does not hold is left out. The task is named by its first members.
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
    let name = name_of(&tasks);
    Task::named(name, Location::caller(), all(tasks))
}

/// How many members give the task its name, which is a label in metrics and must stay short.
const NAMED: usize = 3;

/// Upper bound on a member's part of the name, in characters.
const NAME_LENGTH: usize = 40;

fn name_of(tasks: &[Task]) -> String {
    let names = tasks.iter().take(NAMED).map(|task| {
        let name = task.info().name();
        match name.char_indices().nth(NAME_LENGTH) {
            Some((end, _)) => format!("{}…", &name[..end]),
            None => name.to_owned(),
        }
    });
    let names = names.collect::<Vec<_>>().join(", ");
    match tasks.len().saturating_sub(NAMED) {
        0 => format!("gather({names})"),
        more => format!("gather({names}, and {more} more)"),
    }
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

/// Marks iterators.
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
    let mut members: Vec<_> = tasks.into_iter().filter_map(Member::new).collect();
    let mut errors = Vec::new();
    poll_fn(|cx| {
        members.retain_mut(|member| match member.poll(cx) {
            Poll::Pending => true,
            Poll::Ready(error) => {
                errors.extend(error);
                false
            }
        });
        if members.is_empty() {
            return Poll::Ready(());
        }
        // Another member comes first the next time: a busy member uses up the budget of this tokio task,
        // and the members behind it get none.
        members.rotate_left(1);
        Poll::Pending
    })
    .await;
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Errors(errors).into())
    }
}

/// One of the tasks, until it has ended.
struct Member {
    task: Option<Task>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Member {
    /// Returns `None` for a task whose condition does not hold.
    fn new(task: Task) -> Option<Self> {
        let context = context::current();
        let is_due = match task.info().when {
            When::Always => true,
            When::Success => !context.has_failed(),
            When::Delivered => context.delivery().is_sent(),
        };
        if !is_due {
            events::skipped(task.info(), "its condition does not hold");
            task.discard();
            return None;
        }
        let sleep = task.info().timeout.map(|timeout| Box::pin(sleep(timeout)));
        let task = Some(task);
        Some(Self { task, sleep })
    }

    /// Polls the member; ready with its error, if any, after its future was dropped.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<String>> {
        let Some(task) = &mut self.task else {
            return Poll::Ready(None);
        };
        let error = match guarded(|| task.job.as_mut().poll_future(cx)) {
            Ok(Poll::Pending) => match self.poll_timeout(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(error) => Some(error),
            },
            Ok(Poll::Ready(Ok(()))) => None,
            Ok(Poll::Ready(Err(error))) => {
                Some(describe(error).unwrap_or_else(|panic| format!("panicked: {panic}")))
            }
            Err(panic) => Some(format!("panicked: {panic}")),
        };
        Poll::Ready(self.end(error))
    }

    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        let Some(sleep) = &mut self.sleep else {
            return Poll::Pending;
        };
        // The clock is compared too: the timer does not fire when the budget is used up.
        if tokio::time::Instant::now() >= sleep.deadline() || sleep.as_mut().poll(cx).is_ready() {
            return Poll::Ready("timed out".to_owned());
        }
        Poll::Pending
    }

    fn end(&mut self, error: Option<String>) -> Option<String> {
        let mut task = self.task.take()?;
        let name = task.info().name().to_owned();
        let error = error.or(task
            .job
            .as_mut()
            .drop_future()
            .err()
            .map(|panic| format!("panicked: {panic}")));
        task.discard();
        error.map(|error| format!("{name}: {error}"))
    }
}
