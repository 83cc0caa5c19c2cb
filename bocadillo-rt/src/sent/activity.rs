//! What a connection is doing: plain counters, each read alone.
//!
//! The connection's own task writes them, [`Watch`](super::Watch) reads them. Nothing is ordered by them:
//! what the watch concludes, the connection's task looks at again ([`kill`](super::kill)).

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

#[derive(Default)]
pub(super) struct Activity {
    /// Bytes that the IO has accepted.
    pub(super) accepted: AtomicU64,
    /// Bytes that were read from the IO, and handed to hyper or dropped.
    pub(super) received: AtomicU64,
    /// The IO's last write would have blocked.
    pub(super) is_write_blocked: AtomicBool,
    /// hyper's last read did not wait: until it reads again, it does not see that the client leaves.
    pub(super) is_read_paused: AtomicBool,
    /// The IO is to look in its place. Set by the watch, cleared by a read.
    pub(super) must_look: AtomicBool,
    /// The client has left, and an upload of it is still to be read.
    pub(super) has_left: AtomicBool,
    /// The IO reads what the client still sends, for nobody, before it closes.
    pub(super) is_lingering: AtomicBool,
    /// Bytes were read that are of no request, or of an upload that was not read to its end.
    pub(super) has_unread: AtomicBool,
    /// hyper called the service while it could not write: it does not poll what it was given.
    pub(super) is_unpolled: AtomicBool,
    /// `received`, when the connection was last polled once more because hyper had forgotten to read.
    nudged: AtomicU64,
    /// Requests whose response is not complete, and uploads that somebody may still read.
    pub(super) requests: AtomicUsize,
    /// How many requests there were, and uploads that somebody took.
    pub(super) begun: AtomicU64,
    /// HTTP/1 uploads that were not read to their end.
    pub(super) uploads: AtomicUsize,
    /// An HTTP/2 request was seen.
    pub(super) is_multiplexed: AtomicBool,
    /// The bytes that were written are HTTP/1, which the connection stays.
    pub(super) is_http1: AtomicBool,
    /// The server is to end: on HTTP/1 the next response is the last one, and says so.
    pub(super) is_last: AtomicBool,
}

impl Activity {
    /// Only the connection's own task adds to what it counts: no two additions meet.
    pub(super) fn add(counter: &AtomicU64, number: u64) {
        counter.store(counter.load(Relaxed) + number, Relaxed);
    }

    /// Whether hyper, whose HTTP/1 connection is pending, waits for nothing although there is something.
    ///
    /// Two cases are known in hyper 1.12, both need a write that blocks. It calls the service for a
    /// request that is pipelined behind an upload, when it has read that upload's end before the response
    /// was flushed; and does not poll the response's future until something else happens. And it does not
    /// look at what it has read already, when a response ends between two polls of its body.
    #[inline]
    pub(super) fn is_forgotten(&self) -> bool {
        if self.is_write_blocked.load(Relaxed) {
            return false;
        }
        if self.is_unpolled.load(Relaxed) {
            self.is_unpolled.store(false, Relaxed);
            return true;
        }
        self.is_read_paused.load(Relaxed) && self.requests.load(Relaxed) == 0 && self.nudge()
    }

    /// Once for what was read.
    #[cold]
    fn nudge(&self) -> bool {
        let received = self.received.load(Relaxed);
        self.nudged.swap(received, Relaxed) != received
    }
}
