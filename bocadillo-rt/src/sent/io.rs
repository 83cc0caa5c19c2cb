//! The IO under hyper: sees what is written and flushed.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, SeqCst},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    activity::Activity,
    ahead::{Ahead, Seen},
    conn_state::ConnState,
    connection::Connection,
    linger::Linger,
    stream::Guard,
    wire::{self, Wire},
};

/// Wraps the IO under hyper, and reports to the [`Connection`] which responses were sent.
///
/// Put it outside of TLS, so that hyper writes into it: the flush of a TLS stream passes everything on to
/// the socket. Dropping it reports all responses that were not sent as aborted.
pub struct TrackedIo<T> {
    io: T,
    conn: Arc<ConnState>,
    wire: Wire,
    ahead: Ahead,
    linger: Linger,
    settings: Settings<T>,
    /// The sending direction is closed.
    is_shut: bool,
    /// Keeps the connection's place in the server's account.
    _guard: Option<Guard>,
}

/// How our own server treats clients that leave.
pub(crate) struct Settings<T> {
    /// Asks the socket beneath, if there is one, what the peer has closed.
    pub(crate) closed: fn(&T) -> Closed,
    /// A client that closes its sending direction has not left.
    pub(crate) half_close: bool,
    /// How many bytes are read when the connection closes; see `linger`.
    pub(crate) linger_bytes: usize,
}

/// What the peer of a socket has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Nothing, as far as the system knows.
    Nothing,
    Sending,
    Both,
}

impl<T> TrackedIo<T> {
    /// Wraps `io`; the [`Connection`] tracks the responses that are written to it.
    pub fn new(io: T) -> (Self, Connection) {
        let settings = Settings {
            closed: |_| Closed::Nothing,
            half_close: false,
            linger_bytes: 0,
        };
        Self::with(io, settings)
    }

    pub(crate) fn with(io: T, settings: Settings<T>) -> (Self, Connection) {
        let conn = Arc::new(ConnState::default());
        let connection = Connection::new(Arc::clone(&conn));
        let io = Self {
            io,
            conn,
            wire: Wire::default(),
            ahead: Ahead::default(),
            linger: Linger {
                left: settings.linger_bytes,
            },
            settings,
            is_shut: false,
            _guard: None,
        };
        (io, connection)
    }

    /// Keeps `guard` until the IO is dropped.
    pub(crate) fn keep(&mut self, guard: Guard) {
        self._guard = Some(guard);
    }

    /// Returns the IO within.
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Returns the IO within. Bytes that are written to it directly are not tracked.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.io
    }

    fn offer<'a>(&mut self, chunks: impl Iterator<Item = &'a [u8]> + Clone) {
        if self.wire.is_http1() {
            self.look_for_head(chunks);
            return;
        }
        let new_ends = self.wire.offer(chunks.clone());
        if self.wire.is_http1() {
            self.conn.activity.is_http1.store(true, Relaxed);
            self.look_for_head(chunks);
        }
        if self.conn.has_undecided() {
            self.conn.decide(new_ends);
        }
    }

    /// Looks for the head of a response. hyper writes it in one piece, first or after an interim response.
    fn look_for_head<'a>(&self, mut chunks: impl Iterator<Item = &'a [u8]>) {
        let awaits_head = &self.conn.awaits_head;
        if awaits_head.load(Relaxed) && chunks.next().is_some_and(wire::has_final_head) {
            awaits_head.store(false, Relaxed);
        }
    }

    fn written(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let activity = &self.conn.activity;
        match &result {
            Poll::Pending => activity.is_write_blocked.store(true, Relaxed),
            Poll::Ready(Err(_)) => {}
            Poll::Ready(Ok(bytes)) => {
                self.wire.accept(*bytes);
                // Only this task adds to it.
                let accepted = activity.accepted.load(Relaxed) + *bytes as u64;
                activity.accepted.store(accepted, Relaxed);
                activity.is_write_blocked.store(false, Relaxed);
            }
        }
        result
    }

    /// A call other than a write: hyper has encoded nothing since the last write.
    fn nothing_offered(&self) {
        if self.conn.has_undecided() {
            self.conn.decide(0);
        }
    }
}

impl<T: AsyncRead + Unpin> TrackedIo<T> {
    /// Looks whether the client has left, while hyper does not read.
    ///
    /// If the client has left and its upload is still to be read, the connection stays: the upload may have
    /// arrived whole. Nothing is written any more, and [`Watch`](super::Watch) closes the connection later.
    #[cold]
    fn look(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let seen = self.ahead.look(Pin::new(&mut self.io), cx);
        let closed = match seen {
            Seen::Nothing => Closed::Nothing,
            Seen::Lost => Closed::Both,
            Seen::End | Seen::Full => (self.settings.closed)(&self.io),
        };
        let activity = &self.conn.activity;
        let is_end = seen == Seen::End || closed == Closed::Sending;
        if closed == Closed::Both || is_end && !self.settings.half_close {
            activity.has_left.store(true, Relaxed);
        }
        // Pairs with the drop of an `Unread`.
        if activity.has_left.load(Relaxed) && activity.uploads.load(SeqCst) == 0 {
            return Err(has_left());
        }
        Ok(())
    }

    #[cold]
    fn read_from_ahead(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.take(buf) > 0 || self.ahead.has_ended {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.wire.is_http1() || self.linger.left == 0 || self.ahead.has_ended {
            return Poll::Ready(Ok(()));
        }
        let activity = &self.conn.activity;
        let polled = self.linger.poll(Pin::new(&mut self.io), cx, |bytes| {
            Activity::add(&activity.received, bytes as u64);
            activity.has_unread.store(true, Relaxed);
        });
        let is_lingering = polled.is_pending() && activity.has_unread.load(Relaxed);
        activity.is_lingering.store(is_lingering, Relaxed);
        if is_lingering {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TrackedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.nothing_offered();
        let room = buf.remaining();
        let polled = if self.ahead.is_empty() {
            Pin::new(&mut self.io).poll_read(cx, buf)
        } else {
            self.read_from_ahead(cx, buf)
        };
        let activity = &self.conn.activity;
        activity.must_look.store(false, Relaxed);
        // Also at the end of the input: hyper does not read again.
        activity.is_read_paused.store(polled.is_ready(), Relaxed);
        let bytes = room - buf.remaining();
        if bytes > 0 {
            Activity::add(&activity.received, bytes as u64);
            activity.has_unread.store(true, Relaxed);
        } else if matches!(polled, Poll::Ready(Ok(()))) && room > 0 {
            self.ahead.has_ended = true;
        }
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TrackedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.conn.activity.has_left.load(Relaxed) {
            return Poll::Ready(Err(has_left()));
        }
        self.offer([buf].into_iter());
        if self.wire.has_resets() {
            let replaced = self.wire.replaced([buf].into_iter());
            let result = Pin::new(&mut self.io).poll_write(cx, &replaced);
            return self.written(result);
        }
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.conn.activity.has_left.load(Relaxed) {
            return Poll::Ready(Err(has_left()));
        }
        self.offer(bufs.iter().map(|buf| &**buf));
        if self.wire.has_resets() {
            let replaced = self.wire.replaced(bufs.iter().map(|buf| &**buf));
            let result = Pin::new(&mut self.io).poll_write(cx, &replaced);
            return self.written(result);
        }
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.nothing_offered();
        let result = Pin::new(&mut self.io).poll_flush(cx);
        // A TLS stream accepts all writes, and blocks in its flush.
        self.conn
            .activity
            .is_write_blocked
            .store(result.is_pending(), Relaxed);
        ready!(result)?;
        self.conn.flushed();
        // hyper flushes in each of its turns, whether it has read or not.
        if self.conn.activity.must_look.load(Relaxed) {
            self.look(cx)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            self.is_shut = true;
        }
        self.poll_linger(cx)
    }
}

#[cold]
fn has_left() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the client has left")
}

impl<T> Drop for TrackedIo<T> {
    fn drop(&mut self) {
        self.conn.close();
    }
}

impl<T: fmt::Debug> fmt::Debug for TrackedIo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedIo")
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}
