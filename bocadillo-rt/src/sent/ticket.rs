//! What is known of one response on its way.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use pin_project_lite::pin_project;

use super::hub::Hub;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// On its way; its end has not entered the write buffer.
pub(super) const OPEN: u8 = 0;
/// Its token went without data: the next call of the IO decides (HTTP/2 only).
pub(super) const UNDECIDED: u8 = 1;
/// Its end is in the write buffer: the next flush that succeeds has sent it.
pub(super) const MARKED: u8 = 2;

/// One response on its way: shared by its body, its buffers, its token and the connection's list.
pub(super) struct Ticket {
    pub(super) hub: Arc<Hub>,
    pub(super) protocol: Protocol,
    /// `OPEN`, `UNDECIDED` or `MARKED`. Set by token and hub, read by the hub, all of them within
    /// the connection's own poll; the list's lock orders it for everybody else.
    pub(super) state: AtomicU8,
    /// Body bytes that hyper was given. Written by the body, read by `in_flight`.
    handed: AtomicU64,
    /// Body bytes that were written, or copied into a write buffer. Added to by the buffers.
    written: AtomicU64,
    /// Somebody waits for `in_flight` to become zero. Partner of `written`: a waiter sets this,
    /// then reads `written`; a writer adds to `written`, then reads this. Both `SeqCst`, so one of
    /// the two sees the other.
    drain_waits: AtomicBool,
    drain_waker: Mutex<Option<Waker>>,
    stream: Mutex<Stream>,
}

/// The HTTP/2 stream's own task, as far as it is ours (see [`Streams`](super::Streams)).
#[derive(Default)]
struct Stream {
    waker: Option<Waker>,
    /// The task lives. Not told by the waker, which is taken when the task is woken.
    is_attached: bool,
    abort: bool,
}

impl Ticket {
    pub(super) fn new(hub: Arc<Hub>, protocol: Protocol) -> Self {
        Self {
            hub,
            protocol,
            state: AtomicU8::new(OPEN),
            handed: AtomicU64::new(0),
            written: AtomicU64::new(0),
            drain_waits: AtomicBool::new(false),
            drain_waker: Mutex::new(None),
            stream: Mutex::new(Stream::default()),
        }
    }

    /// Makes the ticket of an HTTP/1 response that is out that of the next one.
    pub(super) fn renew(&mut self) {
        *self.state.get_mut() = OPEN;
        *self.handed.get_mut() = 0;
        *self.written.get_mut() = 0;
    }

    /// Its end has entered the write buffer: the next flush sends it.
    pub(super) fn complete(&self) {
        self.hub.mark(self);
    }

    /// Its end will never be written.
    pub(super) fn abort(&self) {
        self.hub.abort(self);
    }

    pub(super) fn hand_over(&self, bytes: usize) {
        self.handed.fetch_add(bytes as u64, SeqCst);
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, SeqCst);
        if self.drain_waits.load(SeqCst) && self.in_flight() == 0 {
            self.wake_drained();
        }
    }

    fn wake_drained(&self) {
        self.drain_waits.store(false, SeqCst);
        let waker = lock(&self.drain_waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(SeqCst)
    }

    /// Bytes that hyper was given and that have not been written.
    pub(super) fn in_flight(&self) -> u64 {
        let written = self.written();
        self.handed.load(SeqCst).saturating_sub(written)
    }

    /// Waits until nothing is in flight.
    pub(super) fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.in_flight() == 0 {
            return Poll::Ready(());
        }
        *lock(&self.drain_waker) = Some(cx.waker().clone());
        self.drain_waits.store(true, SeqCst);
        if self.in_flight() == 0 {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    pub(super) fn attach_stream(&self, waker: Waker) {
        let mut stream = lock(&self.stream);
        stream.waker = Some(waker);
        stream.is_attached = true;
    }

    pub(super) fn detach_stream(&self) {
        let mut stream = lock(&self.stream);
        stream.waker = None;
        stream.is_attached = false;
    }

    pub(super) fn is_stream_aborted(&self) -> bool {
        lock(&self.stream).abort
    }

    /// Asks the stream's task to give up; `false` if there is none (any more).
    pub(super) fn abort_stream(&self) -> bool {
        let mut stream = lock(&self.stream);
        stream.abort = true;
        let (waker, is_attached) = (stream.waker.take(), stream.is_attached);
        drop(stream);
        if let Some(waker) = waker {
            waker.wake();
        }
        is_attached
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("protocol", &self.protocol)
            .field("state", &self.state)
            .field("handed", &self.handed)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

/// The right to end one response: exactly one exists for each ticket, and its going is the event.
#[derive(Debug)]
pub(super) struct Token {
    ticket: Arc<Ticket>,
    is_spent: bool,
}

impl Token {
    pub(super) fn new(ticket: Arc<Ticket>) -> Self {
        Self {
            ticket,
            is_spent: false,
        }
    }

    pub(super) fn ticket(&self) -> &Arc<Ticket> {
        &self.ticket
    }

    /// Gives up the right for another token of this ticket.
    pub(super) fn forget(mut self) {
        self.is_spent = true;
    }

    pub(super) fn complete(mut self) {
        self.is_spent = true;
        self.ticket.complete();
    }

    pub(super) fn abort(mut self) {
        self.is_spent = true;
        self.ticket.abort();
    }
}

impl Drop for Token {
    /// Went without a word, from within h2: encoded or thrown away, which the wire will tell.
    #[inline]
    fn drop(&mut self) {
        if !self.is_spent {
            self.ticket.hub.drop_undecided(&self.ticket);
        }
    }
}

/// Locks; a panic of somebody else's cannot have left these small states half-written.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
