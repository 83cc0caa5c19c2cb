//! One task while it runs.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::{runtime::Handle, time::sleep_until};

use super::{
    Runner, State, events,
    job::Job,
    launch,
    meta::{Info, now},
    task::Ended,
    worker::has_pausable_clock,
};
use crate::{error::describe, guard::guarded};

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
            Err(error) => match describe(error) {
                Ok(text) => (State::Failed, Some(text)),
                Err(panic) => (State::Panicked, Some(panic)),
            },
        };
        Self {
            state,
            error,
            at: now(),
            is_of_future: true,
        }
    }
}

/// Accounts for a task that was started, in exactly one way. It has given back what it holds by then.
pub(super) fn end(mut job: Pin<&mut dyn Job>, mut end: End) {
    if !end.is_of_future {
        if let Err(panic) = job.as_mut().clear() {
            end.state = State::Panicked;
            end.error = Some(panic);
        }
    }
    let info = job.info_mut();
    // Of a function that was not called: the next one may take it.
    drop(info.permit.take());
    launch::ended(info, end);
}

/// Polls a task within its context, its span and its limits. No panic gets out.
pub(super) fn poll(mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<End> {
    let info = job.as_mut().info_mut();
    let runner = info.meta.runner.as_ref();
    if runner.is_some_and(Runner::is_aborted) {
        let error = "cut off by the shutdown".to_owned();
        return Poll::Ready(End::new(State::Cancelled, error));
    }
    let begun = now();
    info.started_at.get_or_insert(begun);
    let polled = job.as_mut().poll(cx);
    let info = job.info_mut();
    let end = match polled {
        Ok(Poll::Ready(ended)) => End::of(ended),
        // A backtrace takes its time: that is not what the warning is about.
        Err(panic) => return Poll::Ready(End::new(State::Panicked, panic)),
        Ok(Poll::Pending) => {
            let ended = now();
            note_length(info, begun, ended);
            return wait(info, ended, cx);
        }
    };
    note_length(info, begun, end.at);
    Poll::Ready(end)
}

/// A poll of this length is worth a line, once.
#[inline]
fn note_length(info: &mut Info, begun: Instant, ended: Instant) {
    let Some(runner) = &info.meta.runner else {
        return;
    };
    let threshold = runner.config().blocking_threshold;
    // Cheaper than to subtract.
    let is_long = begun
        .checked_add(threshold)
        .is_some_and(|limit| ended >= limit);
    if is_long && !info.has_blocked {
        info.has_blocked = true;
        events::blocked(info, ended.saturating_duration_since(begun));
    }
}

/// The task waits: from now on its time is limited, and a shutdown can end it.
///
/// The deadline is compared here, after each poll, and not by a timer that is polled: a timer of
/// tokio's does not fire in a task that has used up its budget.
fn wait(info: &mut Info, now: Instant, cx: &mut Context<'_>) -> Poll<End> {
    if !info.is_wakeable {
        info.is_wakeable = true;
        begin_to_wait(info, cx);
    }
    let Some(deadline) = info.deadline else {
        return Poll::Pending;
    };
    if now >= deadline {
        return Poll::Ready(timed_out(info));
    }
    match &mut info.sleep {
        Some(sleep) => sleep.as_mut().poll(cx).map(|()| timed_out(info)),
        None => Poll::Pending,
    }
}

/// The task waits for the first time.
fn begin_to_wait(info: &mut Info, cx: &Context<'_>) {
    let Some(runner) = &info.meta.runner else {
        return;
    };
    let timeout = info.timeout.or(runner.config().timeout);
    let started_at = info.started_at;
    info.deadline = timeout.and_then(|timeout| started_at?.checked_add(timeout));
    let mut alarm_at = info.deadline;
    if let Some(deadline) = info.deadline {
        let pool = info.meta.pool.as_ref();
        if pool.map_or_else(may_be_paused, |pool| pool.may_be_paused()) {
            // It panics where the runtime has no timers; the clock of such a runtime is not paused.
            info.sleep = guarded(|| Box::pin(sleep_until(deadline.into()))).ok();
            match (&info.sleep, pool) {
                (Some(_), _) => alarm_at = None,
                (None, Some(pool)) => pool.has_no_timers(),
                (None, None) => {}
            }
        }
    }
    runner.wait(info.key, cx.waker().clone(), alarm_at);
}

fn may_be_paused() -> bool {
    Handle::try_current().is_ok_and(|runtime| has_pausable_clock(&runtime))
}

fn timed_out(info: &Info) -> End {
    let ran = info.timeout.or(info
        .meta
        .runner
        .as_ref()
        .and_then(|runner| runner.config().timeout));
    let error = format!("it ran for longer than {:?}", ran.unwrap_or_default());
    End::new(State::TimedOut, error)
}
