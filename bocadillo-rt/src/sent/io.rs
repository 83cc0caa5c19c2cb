//! The IO under hyper, with an eye on its flushes.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Connection,
    hub::Hub,
    wire::{self, Wire},
};

/// Wraps the IO that hyper is given, and tells the [`Connection`] when responses are out.
///
/// It belongs outside of TLS: hyper writes into it, and a TLS stream's flush passes everything on
/// to the socket. Dropping it reports what was not sent as aborted.
pub struct TrackedIo<T> {
    io: T,
    hub: Arc<Hub>,
    wire: Wire,
}

impl<T> TrackedIo<T> {
    /// Wraps `io`; the [`Connection`] tracks the responses that are written to it.
    pub fn new(io: T) -> (Self, Connection) {
        let hub = Arc::new(Hub::default());
        let connection = Connection::new(Arc::clone(&hub));
        let wire = Wire::default();
        (Self { io, hub, wire }, connection)
    }

    /// Returns the IO within.
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Returns the IO within. What is written to it directly is not seen.
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
            self.hub.is_http1.store(true, Relaxed);
            self.look_for_head(chunks);
        }
        if self.hub.has_undecided() {
            self.hub.decide(new_ends);
        }
    }

    /// hyper has the head of a response in one piece, before everything else but an interim response.
    fn look_for_head<'a>(&self, mut chunks: impl Iterator<Item = &'a [u8]>) {
        let awaits_head = &self.hub.awaits_head;
        if awaits_head.load(Relaxed) && chunks.next().is_some_and(wire::has_final_head) {
            awaits_head.store(false, Relaxed);
        }
    }

    fn written(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let activity = &self.hub.activity;
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

    /// Any call but a write: nothing was encoded since the last one.
    fn nothing_offered(&self) {
        if self.hub.has_undecided() {
            self.hub.decide(0);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TrackedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.nothing_offered();
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for TrackedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.offer([buf].into_iter());
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.offer(bufs.iter().map(|buf| &**buf));
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.nothing_offered();
        let result = Pin::new(&mut self.io).poll_flush(cx);
        // A TLS stream takes what is written and blocks here.
        self.hub
            .activity
            .is_write_blocked
            .store(result.is_pending(), Relaxed);
        ready!(result)?;
        self.hub.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<T> Drop for TrackedIo<T> {
    fn drop(&mut self) {
        self.hub.close();
    }
}

impl<T: fmt::Debug> fmt::Debug for TrackedIo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedIo")
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}
