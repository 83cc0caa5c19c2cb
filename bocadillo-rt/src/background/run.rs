//! One task while it runs.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context as PollContext, Poll, ready},
};

use super::{Context, State, task::TaskFuture};
use crate::error::{BoxError, Chain};

/// What the runtime polls: the task's future within its context; no panic gets out.
pub(super) struct Run {
    future: TaskFuture,
    counted: Counted,
}

impl Run {
    pub(super) fn new(future: TaskFuture, counted: Counted) -> Self {
        Self { future, counted }
    }
}

impl Future for Run {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        let context = &mut this.counted.0;
        let poll = || Context::enter(context, || this.future.as_mut().poll(cx));
        let (outcome, error) = match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(polled) => match ready!(polled) {
                Ok(()) => (State::Completed, None),
                Err(error) => (State::Failed, Some(describe(&error))),
            },
            Err(panic) => (State::Panicked, Some(message(&*panic))),
        };
        this.counted.end(outcome, error);
        Poll::Ready(())
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

/// Accounts for a task that was started, in exactly one way.
pub(super) struct Counted(Option<Context>);

impl Counted {
    pub(super) fn new(context: Context) -> Self {
        Self(Some(context))
    }

    fn end(&mut self, outcome: State, error: Option<String>) {
        if let Some(context) = self.0.take() {
            context.shared().runner.ended(&context, outcome, error);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.end(
            State::Cancelled,
            Some("its runtime was shut down".to_owned()),
        );
    }
}
