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
    Runner, State,
    info::{Info, Timer, now},
    job::Job,
    launch::hand_over_next,
    task::Ended,
};
use crate::error::{BoxError, Chain};

/// How a task ended, and what there is to say about it.
pub(super) struct End {
    pub(super) state: State,
    pub(super) error: Option<String>,
    pub(super) at: Instant,
    /// The future itself has ended, and is gone.
    is_of_future: bool,
}

impl End {
    /// The future had no part in it.
    pub(super) fn new(state: State, error: String) -> Self {
        Self {
            state,
            error: Some(error),
            at: now(),
            is_of_future: false,
        }
    }

    fn of(ended: Ended) -> Self {
        let (state, error) = match ended {
            Ok(()) => (State::Completed, None),
            Err(error) => failed(error),
        };
        Self {
            state,
            error,
            at: now(),
            is_of_future: true,
        }
    }
}

/// Accounts for a task that was started, in exactly one way. What it holds is given back by then.
pub(super) fn end(mut job: Pin<&mut dyn Job>, mut end: End) {
    if !end.is_of_future {
        if let Err(panic) = job.as_mut().clear() {
            end.state = State::Panicked;
            end.error = Some(message(&*panic));
        }
    }
    Runner::ended(job.info(), end);
}

/// Polls a task within its context, its span and its limits. No panic gets out.
pub(super) fn poll(mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<End> {
    let info = job.as_mut().info_mut();
    let runner = info.shared.runner.as_ref();
    if runner.is_some_and(|runner| runner.ledger().is_aborting()) {
        let error = "cut off by the shutdown".to_owned();
        start_next(info);
        return Poll::Ready(End::new(State::Cancelled, error));
    }
    let begun = now();
    if info.started_at.get().is_none() {
        info.started_at.set(Some(begun));
        start_next(info);
    }
    let polled = job.as_mut().poll(cx);
    let info = job.info_mut();
    let end = match polled {
        Ok(Poll::Ready(ended)) => End::of(ended),
        // A backtrace takes its time: that is not what the warning is about.
        Err(panic) => return Poll::Ready(End::new(State::Panicked, message(&*panic))),
        Ok(Poll::Pending) => {
            note_length(info, begun, now());
            return wait(info, cx);
        }
    };
    note_length(info, begun, end.at);
    Poll::Ready(end)
}

/// Starts the one that follows a task which is about to be polled, or never will be.
#[inline]
pub(super) fn start_next(info: &mut Info) {
    if let Some(next) = info.next.take() {
        hand_over_next(next);
    }
}

/// A poll of this length is worth a line, once.
#[inline]
fn note_length(info: &mut Info, begun: Instant, ended: Instant) {
    let Some(runner) = &info.shared.runner else {
        return;
    };
    let threshold = runner.config().blocking_threshold;
    // Cheaper than to subtract.
    let is_long = begun
        .checked_add(threshold)
        .is_some_and(|limit| ended >= limit);
    if is_long && !info.has_blocked {
        info.has_blocked = true;
        runner.log_blocked(info, ended.saturating_duration_since(begun));
    }
}

/// The task has to wait: from now on its time is limited, and a shutdown can end it.
fn wait(info: &mut Info, cx: &mut Context<'_>) -> Poll<End> {
    let Some(runner) = &info.shared.runner else {
        return Poll::Pending;
    };
    if !info.is_wakeable {
        info.is_wakeable = true;
        runner.ledger().keep_waker(info.key, cx.waker().clone());
    }
    if info.is_queued.get() {
        return Poll::Pending;
    }
    let Some(timeout) = info.timeout.or(runner.config().timeout) else {
        return Poll::Pending;
    };
    if info.timer.is_none() {
        let deadline = info.started_at.get().and_then(|at| at.checked_add(timeout));
        // It panics where the runtime has no timers.
        let armed = catch_unwind(|| deadline.map(|at| Box::pin(sleep_until(at.into())) as Timer));
        match armed {
            Ok(timer) => info.timer = timer,
            Err(panic) => return Poll::Ready(End::new(State::Panicked, message(&*panic))),
        }
    }
    let Some(timer) = &mut info.timer else {
        return Poll::Pending;
    };
    ready!(timer.as_mut().poll(cx));
    let error = format!("it ran for longer than {timeout:?}");
    Poll::Ready(End::new(State::TimedOut, error))
}

/// What there is to say about an error: its own code says it.
#[cold]
fn failed(error: BoxError) -> (State, Option<String>) {
    let described = catch_unwind(AssertUnwindSafe(|| {
        let text = Chain(&*error).to_string();
        drop(error);
        text
    }));
    match described {
        Ok(text) => (State::Failed, Some(text)),
        Err(panic) => (State::Panicked, Some(message(&*panic))),
    }
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}
