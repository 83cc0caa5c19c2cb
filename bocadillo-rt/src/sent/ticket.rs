//! One response on its way.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use super::lock::lock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The end of the response has not entered the write buffer.
pub(super) const OPEN: u8 = 0;
/// The token was dropped without data: the next call of the IO decides (HTTP/2 only).
pub(super) const UNDECIDED: u8 = 1;
/// The end is in the write buffer: the next flush that succeeds has sent the response.
pub(super) const MARKED: u8 = 2;

/// One response on its way: shared by its body, its buffers, its token and the connection's list.
pub(super) struct Ticket {
    pub(super) protocol: Protocol,
    /// `OPEN`, `UNDECIDED` or `MARKED`. Set by the token and the connection's state, within
    /// the connection's own poll; the list's lock orders it for everybody else.
    pub(super) state: AtomicU8,
    /// Body bytes that hyper got. Written by the body, read by `in_flight`.
    handed: AtomicU64,
    /// Body bytes that were written, or copied into a write buffer. Added to by the buffers.
    written: AtomicU64,
    /// A body waits for `in_flight` to become zero. Pairs with `written`: the waiter sets this, then reads
    /// `written`; a writer adds to `written`, then reads this. Both are `SeqCst`, so that one of the two
    /// sees the other.
    drain_waits: AtomicBool,
    drain_waker: Mutex<Option<Waker>>,
    stream: Mutex<Stream>,
}

/// The task of an HTTP/2 stream, if [`Streams`](super::Streams) spawned it.
#[derive(Default)]
struct Stream {
    waker: Option<Waker>,
    /// The task lives. The waker does not tell, as it is taken when the task is woken.
    is_attached: bool,
    abort: bool,
}

impl Ticket {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            state: AtomicU8::new(OPEN),
            handed: AtomicU64::new(0),
            written: AtomicU64::new(0),
            drain_waits: AtomicBool::new(false),
            drain_waker: Mutex::new(None),
            stream: Mutex::new(Stream::default()),
        }
    }

    /// Resets the ticket of an HTTP/1 response that was sent, for the next response.
    pub(super) fn renew(&mut self) {
        *self.state.get_mut() = OPEN;
        *self.handed.get_mut() = 0;
        *self.written.get_mut() = 0;
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

    /// Returns how many bytes hyper has got and not written.
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

    /// Asks the stream's task to end; returns whether there is one.
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
