//! A task in its box: what is known of it, and its future.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    Outcome, context, launch,
    meta::Info,
    task::{Ended, Task},
};
use crate::{
    guard::guarded,
    sent::{Delivery, Done, OnDone},
};

/// What is behind a [`Task`]: one allocation, from the registration to the end. It is what the
/// connection calls when the response is out, too.
pub(super) trait Job: Done {
    fn info(&self) -> &Info;

    fn info_mut(self: Pin<&mut Self>) -> &mut Info;

    /// Polls the future within the task's context and span. One that has ended is dropped there too.
    ///
    /// # Errors
    ///
    /// Returns the message of a panic, of the future or of its destructor.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<Poll<Ended>, String>;

    /// Drops the future likewise.
    fn clear(self: Pin<&mut Self>) -> Result<(), String>;

    /// Polls the future within the context of the caller: as a part of another task.
    fn poll_within(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended>;

    fn into_done(self: Pin<Box<Self>>) -> OnDone;
}

pin_project! {
    struct Boxed<F> {
        info: Info,
        // Until it has ended.
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

/// Boxes a future; `fill` says what is known of it.
#[inline]
pub(super) fn boxed<F>(future: F, fill: impl FnOnce(&mut Info)) -> Pin<Box<dyn Job>>
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<Poll<Ended>, String> {
        let this = self.project();
        let mut future = this.future;
        within(this.info, || {
            let polled = poll(future.as_mut(), cx);
            if polled.is_ready() {
                future.set(None);
            }
            polled
        })
    }

    fn clear(self: Pin<&mut Self>) -> Result<(), String> {
        let this = self.project();
        let mut future = this.future;
        within(this.info, || future.set(None))
    }

    fn poll_within(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        poll(self.project().future, cx)
    }

    fn into_done(self: Pin<Box<Self>>) -> OnDone {
        OnDone::new(self)
    }
}

impl<F> Done for Boxed<F>
where
    F: Future + Send + 'static,
    F::Output: Outcome,
{
    fn done(self: Pin<Box<Self>>, delivery: Delivery) {
        launch::release(Task::from_job(self), delivery);
    }
}

#[inline]
fn poll<F>(future: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Poll<Ended>
where
    F: Future,
    F::Output: Outcome,
{
    match future.as_pin_mut() {
        Some(future) => future.poll(cx).map(Outcome::into_result),
        None => Poll::Pending,
    }
}

/// Calls `f` within the task's context and its span. The subscriber is a user's too: a panic of its
/// is one of the task.
#[inline]
fn within<R>(info: &Info, f: impl FnOnce() -> R) -> Result<R, String> {
    guarded(|| context::enter(info, || info.trace.within(f)))
}
