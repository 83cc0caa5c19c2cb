//! What became of a response, and who is told.

use std::pin::Pin;

use pin_project_lite::pin_project;

/// What became of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// Every byte of it was accepted by the transport and flushed.
    Sent,
    /// It did not, and never will, get out whole.
    Aborted {
        /// How many bytes of its body the transport had accepted.
        ///
        /// Exact on HTTP/1 over an IO with vectored writes, as TCP is. Where hyper copies bytes into
        /// a write buffer first (small frames of HTTP/2, other IO), they count from then on, so
        /// that the number may be too high by what fits into that buffer. On HTTP/2 it may be too low
        /// by one frame (16 KiB, unless the client allows more): a stream can be reset while a frame
        /// of it is being written, and that frame is finished.
        bytes: u64,
    },
    /// It was handed to a transport that does not tell.
    ///
    /// Only where another server sends the response: an [`App`](crate::App) as a tower service
    /// within it.
    Unknown,
}

impl Delivery {
    /// Returns `true` if the response was sent whole.
    #[must_use]
    pub fn is_sent(self) -> bool {
        self == Self::Sent
    }
}

/// What is to be called when a response was sent or aborted.
///
/// In a box, as it is called once and its type is forgotten: what is in a box already needs no other.
pub(crate) trait Done: Send {
    fn done(self: Pin<Box<Self>>, delivery: Delivery);
}

/// Who drops it calls it too: nothing that waits for a response is lost.
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
    /// A closure as such.
    struct Call<F> {
        on_done: Option<F>,
    }
}

impl<F: FnOnce(Delivery) + Send> Done for Call<F> {
    fn done(mut self: Pin<Box<Self>>, delivery: Delivery) {
        if let Some(on_done) = self.as_mut().project().on_done.take() {
            on_done(delivery);
        }
    }
}

pub(super) fn call(on_done: impl FnOnce(Delivery) + Send + 'static) -> OnDone {
    let on_done = Some(on_done);
    OnDone::new(Box::pin(Call { on_done }))
}
