//! One attempt of a durable task.
//!
//! However the future ends, or is dropped, its [`Attempt`] tells the store, once:
//!
//! | the future | the store is told |
//! | --- | --- |
//! | returned `Ok` | done |
//! | returned an error, panicked, or ran for too long | retry, or dead after the last attempt |
//! | failed or was dropped after the shutdown had asked it to end | given back, at once |
//! | was dropped before its start | given back |

use std::{
    mem,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use super::{
    context,
    entry::{self, Entry, Number},
    job::Ended,
    policy::Policy,
    store::{Due, End},
    store_error::StoreError,
    task::Task,
    task_id::TaskId,
};
use crate::{
    error::Chain,
    guard::{guarded, log},
};

/// How long a task that found no room here is left to others.
const NO_ROOM: Duration = Duration::from_secs(1);

impl Task {
    /// Creates a durable task: what the door commits, and its first attempt.
    pub(crate) fn durable(
        entry: Entry,
        policy: Policy,
        work: Work,
        location: &'static Location<'static>,
    ) -> Self {
        let entry = Arc::new(entry);
        let name = entry.task.name.clone();
        let mut task = Self::named(name, location, run(Arc::clone(&entry), policy, work));
        task.entry = Some(entry);
        task
    }
}

/// A durable task's own future, boxed.
pub type Work = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// Runs one attempt.
fn run(entry: Arc<Entry>, policy: Policy, work: Work) -> impl Future<Output = Ended> + Send {
    // Outside of the block: it is dropped with the future also if that is never polled.
    let mut attempt = Attempt {
        entry,
        policy,
        step: Step::Waiting,
    };
    async move {
        let number = attempt.begin().await?;
        if attempt.entry.task.due != Due::Held {
            // It is committed, and runs when its time has come, here or elsewhere.
            return attempt.leave();
        }
        let ended = Numbered { number, work }.await;
        attempt.finish(ended)
    }
}

/// One attempt; tells the store how it ended, also when it is dropped.
struct Attempt {
    entry: Arc<Entry>,
    policy: Policy,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Waiting,
    Running,
    /// The store was told.
    Ended,
}

impl Attempt {
    async fn begin(&mut self) -> Result<Number, StoreError> {
        if !self.entry.is_held() {
            let context = context::current();
            let runner = context.runner();
            let runner = runner.ok_or_else(|| StoreError::new("no runner runs this task"))?;
            runner.commit(std::slice::from_ref(&self.entry)).await?;
        }
        self.step = Step::Running;
        Ok(Number {
            id: self.entry.task.id,
            attempt: self.number(),
        })
    }

    fn number(&self) -> u32 {
        self.entry.hold.get().map_or(1, |hold| hold.attempt)
    }

    fn finish(&mut self, ended: Ended) -> Ended {
        match &ended {
            Ok(()) => self.end(End::Done),
            Err(_) if self.entry.is_cancelled() => self.give_back(),
            Err(error) => {
                let text = guarded(|| Chain(&**error).to_string());
                self.fail(text.unwrap_or_else(|panic| panic));
            }
        }
        ended
    }

    /// Somebody else runs it.
    fn leave(&mut self) -> Ended {
        self.step = Step::Ended;
        Ok(())
    }

    fn fail(&mut self, error: String) {
        let attempt = self.number();
        let end = match self.policy.delay_after(attempt) {
            Some(after) => End::Retry { after, error },
            None => {
                dead(&self.entry.task.name, self.entry.task.id, attempt, &error);
                End::Dead { error }
            }
        };
        self.end(end);
    }

    fn give_back(&mut self) {
        let after = if self.entry.is_cancelled() {
            Duration::ZERO
        } else {
            NO_ROOM
        };
        self.end(End::GiveBack { after });
    }

    fn end(&mut self, end: End) {
        if mem::replace(&mut self.step, Step::Ended) != Step::Ended {
            self.entry.end(end);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        match self.step {
            Step::Ended => {}
            Step::Waiting => self.give_back(),
            // Locals are dropped while the panic of the work unwinds.
            Step::Running if thread::panicking() => self.fail("it panicked".to_owned()),
            Step::Running if self.entry.is_cancelled() => self.give_back(),
            Step::Running => self.fail("it ran for longer than it may".to_owned()),
        }
    }
}

/// Tells of a task that will not be tried again.
pub(crate) fn dead(task: &str, id: TaskId, attempts: u32, error: &str) {
    log(|| tracing::error!(task, %id, attempts, error, "durable task is dead"));
}

/// The work, with its number known to the context.
struct Numbered {
    number: Number,
    work: Work,
}

impl Future for Numbered {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        entry::enter(self.number, || self.work.as_mut().poll(cx))
    }
}
