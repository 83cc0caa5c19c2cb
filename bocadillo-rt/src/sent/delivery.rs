//! What became of a response, and who is told.

use std::pin::Pin;

use pin_project_lite::pin_project;

/// What became of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// Every byte of it was accepted by the transport and flushed.
    Sent,
    /// It was not sent whole, and never will be.
    Aborted {
        /// How many bytes of its body the transport had accepted.
        ///
        /// The number is exact on HTTP/1 over an IO with vectored writes, such as TCP. Where hyper first
        /// copies bytes into a write buffer (small frames of HTTP/2, other IO), the copied bytes count:
        /// the number may be too high by the size of that buffer. On HTTP/2 it may be too low by one
        /// frame (16 KiB, unless the client allows more): a stream can be reset while one of its frames is
        /// being written, and that frame is finished.
        bytes: u64,
    },
    /// It was handed to a transport that cannot tell.
    ///
    /// This happens only where another server sends the response: with an [`App`](crate::App) as a tower
    /// service in that server.
    Unknown,
}

impl Delivery {
    /// Returns `true` if the response was sent whole.
    #[must_use]
    pub fn is_sent(self) -> bool {
        self == Self::Sent
    }
}

/// A callback for the end of a response.
///
/// It takes `self` in its box, so that a value that is boxed already, such as a task, needs no second
/// box.
pub(crate) trait Done: Send {
    fn done(self: Pin<Box<Self>>, delivery: Delivery);
}

/// The owner of a callback. Dropping it calls the callback too: no task that waits for a response is lost.
pub(crate) struct OnDone(Option<Pin<Box<dyn Done>>>);

impl OnDone {
    pub(crate) fn new(done: Pin<Box<dyn Done>>) -> Self {
        Self(Some(done))
    }

    #[inline]
    pub(crate) fn done(mut self, delivery: Delivery) {
        if let Some(done) = self.0.take() {
            done.done(delivery);
        }
    }
}

impl Drop for OnDone {
    #[inline]
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done.done(Delivery::Aborted { bytes: 0 });
        }
    }
}

pin_project! {
    /// A closure as a callback.
    struct FromFn<F> {
        on_done: Option<F>,
    }
}

impl<F: FnOnce(Delivery) + Send> Done for FromFn<F> {
    fn done(mut self: Pin<Box<Self>>, delivery: Delivery) {
        if let Some(on_done) = self.as_mut().project().on_done.take() {
            on_done(delivery);
        }
    }
}

pub(super) fn call(on_done: impl FnOnce(Delivery) + Send + 'static) -> OnDone {
    let on_done = Some(on_done);
    OnDone::new(Box::pin(FromFn { on_done }))
}
