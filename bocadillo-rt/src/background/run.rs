//! One task while it runs.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::time::sleep_until;

use super::{
    Runner, State, Task, context,
    info::{Info, now},
    task::Work,
};
use crate::error::{BoxError, Chain};

/// What the runtime polls: the task's future within its context, its span and its limits. No panic
/// gets out, and however it ends or is dropped, it is accounted for.
pub(super) struct Run {
    /// Dropped before the task counts as ended: what it holds is given back by then.
    work: Option<Pin<Box<dyn Work>>>,
    /// Taken while the task is polled: it is the thread's current context then.
    info: Option<Box<Info>>,
}

/// How a task ended, and what there is to say about it.
pub(super) struct End {
    pub(super) state: State,
    pub(super) error: Option<String>,
    pub(super) at: Instant,
}

impl End {
    fn new(state: State, error: impl Into<Option<String>>) -> Self {
        Self {
            state,
            error: error.into(),
            at: now(),
        }
    }
}

impl Run {
    pub(super) fn new(task: Task) -> Self {
        Self {
            work: Some(task.work),
            info: Some(task.info),
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let (Some(info), Some(_)) = (&mut self.info, &self.work) else {
            return Poll::Pending;
        };
        let runner = info.shared.runner.as_ref();
        if runner.is_some_and(|runner| runner.ledger().is_aborting()) {
            let error = "cut off by the shutdown".to_owned();
            return Poll::Ready(End::new(State::Cancelled, error));
        }
        let begun = now();
        info.started_at.get_or_insert(begun);
        let polled = self.poll_work(cx);
        let end = match polled {
            Ok(Poll::Ready(Ok(()))) => End::new(State::Completed, None),
            Ok(Poll::Ready(Err(error))) => End::new(State::Failed, describe(&error)),
            Err(panic) => End::new(State::Panicked, message(&*panic)),
            Ok(Poll::Pending) => {
                self.note_length(begun, now());
                return self.wait(cx);
            }
        };
        self.note_length(begun, end.at);
        Poll::Ready(end)
    }

    #[inline]
    fn poll_work(
        &mut self,
        cx: &mut Context<'_>,
    ) -> std::thread::Result<Poll<Result<(), BoxError>>> {
        let (Some(work), info) = (&mut self.work, &mut self.info) else {
            return Ok(Poll::Pending);
        };
        let poll = || catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        within(info, poll)
    }

    /// A poll of this length is worth a line, once.
    #[inline]
    fn note_length(&mut self, begun: Instant, ended: Instant) {
        let Some(info) = &mut self.info else { return };
        let Some(runner) = &info.shared.runner else {
            return;
        };
        let took = ended.saturating_duration_since(begun);
        if took >= runner.config().blocking_threshold && !info.has_blocked {
            info.has_blocked = true;
            runner.log_blocked(info, took);
        }
    }

    /// The task has to wait: from now on its time is limited, and a shutdown can end it.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let Some(info) = &mut self.info else {
            return Poll::Pending;
        };
        let Some(runner) = &info.shared.runner else {
            return Poll::Pending;
        };
        if !info.is_wakeable {
            info.is_wakeable = true;
            runner.ledger().keep_waker(info.key, cx.waker().clone());
        }
        if info.is_queued {
            return Poll::Pending;
        }
        let Some(timeout) = info.timeout.or(runner.config().timeout) else {
            return Poll::Pending;
        };
        if info.timer.is_none() {
            let deadline = info.started_at.and_then(|at| at.checked_add(timeout));
            info.timer = deadline.map(|at| Box::pin(sleep_until(at.into())));
        }
        let Some(timer) = &mut info.timer else {
            return Poll::Pending;
        };
        ready!(timer.as_mut().poll(cx));
        let error = format!("it ran for longer than {timeout:?}");
        Poll::Ready(End::new(State::TimedOut, error))
    }

    /// Accounts for a task that was started, in exactly one way.
    fn end(&mut self, mut end: End) {
        let work = self.work.take();
        let dropped = within(&mut self.info, || {
            catch_unwind(AssertUnwindSafe(|| drop(work)))
        });
        if let Err(panic) = dropped {
            end.state = State::Panicked;
            end.error = Some(message(&*panic));
        }
        if let Some(info) = self.info.take() {
            Runner::ended(&info, end);
        }
    }
}

/// Calls `f` within the task's context, and where somebody listens within its span.
#[inline]
fn within<R>(info: &mut Option<Box<Info>>, f: impl FnOnce() -> R) -> R {
    let scope = info.as_mut().and_then(|info| info.origin.take());
    let Some(scope) = scope else {
        return context::enter(info, f);
    };
    let result = scope.within(|| context::enter(info, f));
    if let Some(info) = info {
        info.origin.give_back(scope);
    }
    result
}

impl Future for Run {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let end = ready!(this.poll_end(cx));
        this.end(end);
        Poll::Ready(())
    }
}

impl Drop for Run {
    /// Without an end of its own, its runtime has dropped it.
    fn drop(&mut self) {
        if self.info.is_some() {
            let error = "its runtime was shut down".to_owned();
            self.end(End::new(State::Cancelled, error));
        }
    }
}

fn describe(error: &BoxError) -> String {
    Chain(&**error).to_string()
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}
