//! Counts what a connection does: plain counters, each read alone.
//!
//! The connection's own task writes the counters, [`Watch`](super::Watch) reads them. They order no other
//! memory: the connection's task checks again whatever the watch concludes ([`kill`](super::kill)).

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

#[derive(Default)]
pub(super) struct Activity {
    /// Bytes that the IO has accepted.
    pub(super) accepted: AtomicU64,
    /// Bytes that were read from the IO, whether hyper got them or not.
    pub(super) received: AtomicU64,
    /// The IO's last write would have blocked.
    pub(super) is_write_blocked: AtomicBool,
    /// hyper's last read returned at once. Until hyper reads again, it does not see that the client leaves.
    pub(super) is_read_paused: AtomicBool,
    /// The IO has to read in hyper's place. Set by the watch, cleared by a read.
    pub(super) must_look: AtomicBool,
    /// The client has left, while its upload was not read to its end.
    pub(super) has_left: AtomicBool,
    /// The IO reads and drops what the client still sends, before it closes.
    pub(super) is_lingering: AtomicBool,
    /// Bytes were read that belong to no request yet, or to an upload that was not read to its end.
    pub(super) has_unread: AtomicBool,
    /// hyper called the service while a write would block: it does not poll the returned future.
    pub(super) is_unpolled: AtomicBool,
    /// The value of `received` when the connection was last woken because hyper had forgotten to read.
    nudged: AtomicU64,
    /// Requests whose response is not complete, and uploads that a view may still read.
    pub(super) requests: AtomicUsize,
    /// How many requests have begun.
    pub(super) begun: AtomicU64,
    /// HTTP/1 uploads that were not read to their end.
    pub(super) uploads: AtomicUsize,
    /// An HTTP/2 request was seen.
    pub(super) is_multiplexed: AtomicBool,
    /// The bytes that were written are HTTP/1, which the connection stays.
    pub(super) is_http1: AtomicBool,
    /// The server shuts down: on HTTP/1 the next response is the last one, and says so.
    pub(super) is_last: AtomicBool,
}

impl Activity {
    /// Adds to a counter that only the connection's own task changes: no two additions meet.
    pub(super) fn add(counter: &AtomicU64, number: u64) {
        counter.store(counter.load(Relaxed) + number, Relaxed);
    }

    /// Returns whether a pending HTTP/1 connection of hyper has to be polled again at once.
    ///
    /// hyper 1.12 forgets to wake itself in two cases. Both need a write that blocks. First, hyper calls
    /// the service for a request that is pipelined behind an upload, if it has read the end of the upload
    /// before the response was flushed. It then does not poll the service's future. Second, hyper does not
    /// look at bytes that it has already read, if a response ends between two polls of its body.
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

    /// Returns `true` once for the same number of received bytes, so that the task does not spin.
    #[cold]
    fn nudge(&self) -> bool {
        let received = self.received.load(Relaxed);
        self.nudged.swap(received, Relaxed) != received
    }
}
