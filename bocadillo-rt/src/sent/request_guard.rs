//! Requests and uploads that keep a connection from being idle.

use std::sync::{
    Arc,
    atomic::Ordering::{Relaxed, SeqCst},
};

use super::{activity::Activity, conn_state::ConnState};

/// A request that has no complete response yet: while one exists, its connection is not idle.
#[derive(Debug)]
pub(crate) struct RequestGuard(Arc<ConnState>);

impl RequestGuard {
    pub(super) fn new(conn: Arc<ConnState>) -> Self {
        conn.activity.requests.fetch_add(1, Relaxed);
        Self(conn)
    }

    /// Notes that a request has come.
    #[inline]
    pub(super) fn begin(conn: Arc<ConnState>, is_multiplexed: bool) -> Self {
        let activity = &conn.activity;
        Activity::add(&activity.begun, 1);
        if is_multiplexed {
            activity.is_multiplexed.store(true, Relaxed);
        } else {
            activity.has_unread.store(false, Relaxed);
            let is_blocked = activity.is_write_blocked.load(Relaxed);
            activity.is_unpolled.store(is_blocked, Relaxed);
        }
        Self::new(conn)
    }

    /// Notes that an HTTP/1 request has a body.
    pub(crate) fn unread(&self) -> Unread {
        self.0.activity.uploads.fetch_add(1, Relaxed);
        self.0.activity.has_unread.store(true, Relaxed);
        Unread(Arc::clone(&self.0))
    }
}

impl Clone for RequestGuard {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.activity.requests.fetch_sub(1, Relaxed);
    }
}

/// An HTTP/1 upload that was not read to its end: hyper reads nothing else before.
#[derive(Debug)]
pub(crate) struct Unread(Arc<ConnState>);

impl Unread {
    /// The upload was read to its end.
    pub(crate) fn end(self) {
        self.0.activity.has_unread.store(false, Relaxed);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // `SeqCst`: the IO reads the number after it has seen that the client left.
        self.0.activity.uploads.fetch_sub(1, SeqCst);
    }
}
