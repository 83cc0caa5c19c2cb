//! A task while it runs.

use std::{
    future::poll_fn,
    mem,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Instant,
};

use pin_project_lite::pin_project;
use tokio::{runtime::Handle, time::sleep_until};

use super::{
    builder::Wrapped,
    events,
    job::{self, BoxedJob, End, Ended, Info, Job, now},
    launch,
    outcome::Outcome,
    report::TaskState,
    runner::Runner,
    worker::{BoxedWork, Pool, Work, has_pausable_clock},
};
use crate::{
    error::describe,
    guard::guarded,
    sent::{Delivery, Done, OnDone},
};

pin_project! {
    struct Boxed<F> {
        info: Info,
        // `None` when it has ended.
        #[pin]
        future: Option<F>,
    }
}

impl<F> Default for Boxed<F> {
    #[inline]
    fn default() -> Self {
        Self {
            info: Info::default(),
            future: None,
        }
    }
}

/// Boxes a future; `fill` describes the task.
#[inline]
pub(super) fn boxed<F>(future: F, fill: impl FnOnce(&mut Info)) -> BoxedJob
where
    F: Future + Send + 'static,
    F::Output: Outcome,
{
    // Unlike `Box::new`, this builds it where it stays.
    let mut job = Box::<Boxed<F>>::default();
    fill(&mut job.info);
    job.future = Some(future);
    Box::into_pin(job)
}

impl<F> Job for Boxed<F>
where
    F: Future + Send + 'static,
    F::Output: Outcome,
{
    fn info(&self) -> &Info {
        &self.info
    }

    fn info_mut(self: Pin<&mut Self>) -> &mut Info {
        self.project().info
    }

    fn poll_in_context(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<Poll<Ended>, String> {
        let this = self.project();
        let mut future = this.future;
        in_context(this.info, || {
            let polled = poll_future(future.as_mut(), cx);
            if polled.is_ready() {
                future.set(None);
            }
            polled
        })
    }

    fn drop_future(self: Pin<&mut Self>) -> Result<(), String> {
        let this = self.project();
        let mut future = this.future;
        in_context(this.info, || future.set(None))
    }

    fn poll_future(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        poll_future(self.project().future, cx)
    }

    fn into_done(self: Pin<Box<Self>>) -> OnDone {
        OnDone::new(self)
    }

    fn into_work(self: Pin<Box<Self>>) -> BoxedWork {
        self
    }
}

/// The connection calls the task itself when the response is out.
impl<F> Done for Boxed<F>
where
    F: Future + Send + 'static,
    F::Output: Outcome,
{
    fn done(self: Pin<Box<Self>>, delivery: Delivery) {
        launch::release(self, delivery);
    }
}

impl<F> Work for Boxed<F>
where
    F: Future + Send + 'static,
    F::Output: Outcome,
{
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        poll(self, cx)
    }

    fn cut_off(self: Pin<&mut Self>) {
        let error = "its runtime was shut down".to_owned();
        end_early(self, End::new(TaskState::Cancelled, Some(error)));
    }

    fn clear(self: Pin<&mut Self>) {
        *self.info_mut() = Info::default();
    }

    fn pool(self: Pin<&mut Self>) -> &mut Option<Arc<Pool>> {
        &mut self.info_mut().meta.pool
    }
}

#[inline]
fn poll_future<F>(future: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Poll<Ended>
where
    F: Future,
    F::Output: Outcome,
{
    match future.as_pin_mut() {
        Some(future) => future.poll(cx).map(Outcome::into_result),
        None => Poll::Pending,
    }
}

/// Calls `f` within the task's context and its span. A panic of the subscriber, which is a user's
/// too, counts as one of the task.
#[inline]
fn in_context<R>(info: &Info, f: impl FnOnce() -> R) -> Result<R, String> {
    guarded(|| job::enter(info, || info.trace.within(f)))
}

/// Polls a task within its context, its span and its limits, and accounts for its end. No panic
/// gets out.
fn poll(mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<()> {
    let info = job.as_mut().info_mut();
    let runner = info.meta.runner.as_ref();
    if runner.is_some_and(Runner::is_aborted) {
        let error = "cut off by the shutdown".to_owned();
        end_early(job, End::new(TaskState::Cancelled, Some(error)));
        return Poll::Ready(());
    }
    let begun = now();
    info.started_at.get_or_insert(begun);
    let polled = job.as_mut().poll_in_context(cx);
    let info = job.as_mut().info_mut();
    match polled {
        Ok(Poll::Ready(ended)) => {
            let end = end_of(ended);
            note_length(info, begun, end.at);
            finish(info, end);
        }
        Ok(Poll::Pending) => {
            let ended = now();
            note_length(info, begun, ended);
            let end = ready!(poll_limits(info, ended, cx));
            end_early(job, end);
        }
        // The length is not noted: a backtrace takes most of it.
        Err(panic) => end_early(job, End::new(TaskState::Panicked, Some(panic))),
    }
    Poll::Ready(())
}

/// Returns how a task ended whose future has returned this.
fn end_of(ended: Ended) -> End {
    match ended.map_err(describe) {
        Ok(()) => End::new(TaskState::Completed, None),
        Err(Ok(error)) => End::new(TaskState::Failed, Some(error)),
        Err(Err(panic)) => End::new(TaskState::Panicked, Some(panic)),
    }
}

/// Ends a task whose future has not returned: drops the future, and accounts for the task.
fn end_early(mut job: Pin<&mut dyn Job>, mut end: End) {
    if let Err(panic) = job.as_mut().drop_future() {
        end.state = TaskState::Panicked;
        end.error = Some(panic);
    }
    finish(job.info_mut(), end);
}

/// Accounts for a task that was started. It has given back everything that it holds by then.
fn finish(info: &mut Info, end: End) {
    // The permit of a function that was not called: the next function may take it.
    drop(info.permit.take());
    launch::ended(info, end);
}

/// Logs the first poll that took too long.
#[inline]
fn note_length(info: &mut Info, begun: Instant, ended: Instant) {
    let Some(runner) = &info.meta.runner else {
        return;
    };
    let threshold = runner.settings().blocking_threshold;
    // Cheaper than to subtract.
    let is_long = begun
        .checked_add(threshold)
        .is_some_and(|limit| ended >= limit);
    if is_long && !info.has_blocked {
        info.has_blocked = true;
        events::blocked(info, ended.saturating_duration_since(begun));
    }
}

/// The task waits: from now on its time is limited, and a shutdown can end it. Ready when its time
/// is over.
///
/// The deadline is compared here, after each poll. Polling a timer is not enough: a tokio timer does not
/// fire in a task that has used up its budget.
fn poll_limits(info: &mut Info, now: Instant, cx: &mut Context<'_>) -> Poll<End> {
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
    let (Some(runner), Some(key)) = (&info.meta.runner, info.key) else {
        return;
    };
    let timeout = info.timeout.or(runner.settings().timeout);
    let started_at = info.started_at;
    info.deadline = timeout.and_then(|timeout| started_at?.checked_add(timeout));
    let mut alarm_at = info.deadline;
    if let Some(deadline) = info.deadline {
        let pool = info.meta.pool.as_ref();
        if pool.map_or_else(may_be_paused, |pool| pool.may_be_paused()) {
            // `sleep_until` panics if the runtime has no timers. The clock of such a runtime is never paused.
            info.sleep = guarded(|| Box::pin(sleep_until(deadline.into()))).ok();
            match (&info.sleep, pool) {
                (Some(_), _) => alarm_at = None,
                (None, Some(pool)) => pool.has_no_timers(),
                (None, None) => {}
            }
        }
    }
    runner.wait(key, cx.waker().clone(), alarm_at);
}

fn may_be_paused() -> bool {
    Handle::try_current().is_ok_and(|runtime| has_pausable_clock(&runtime))
}

fn timed_out(info: &Info) -> End {
    let ran = info.timeout.or(info
        .meta
        .runner
        .as_ref()
        .and_then(|runner| runner.settings().timeout));
    let error = format!("it ran for longer than {:?}", ran.unwrap_or_default());
    End::new(TaskState::TimedOut, Some(error))
}

/// Puts the user's wrapper around a task. The wrapper gets a future without a result, so the task's
/// result goes around it.
pub(super) fn wrap(mut job: BoxedJob, wrap: &dyn Fn(Wrapped) -> Wrapped) -> BoxedJob {
    let info = mem::take(job.as_mut().info_mut());
    let result = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&result);
    let inner = Box::pin(async move {
        let ended = poll_fn(|cx| job.as_mut().poll_future(cx)).await;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
    });
    // The wrapper runs where the response is handed over: a panic there would cost the connection.
    let wrapped = guarded(|| wrap(inner));
    let outer = async move {
        match wrapped {
            Ok(future) => future.await,
            Err(panic) => resume_unwind(Box::new(panic)),
        }
        // Without a result the wrapper has not polled the task to its end, which it may do.
        let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
        result.take().unwrap_or(Ok(()))
    };
    boxed(outer, |new| *new = info)
}
