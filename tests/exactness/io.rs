//! An IO in memory that does everything an IO may do.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Shared, lock, rng::Rng};

/// Both directions of one connection.
#[derive(Default)]
pub struct Pipe {
    /// What the client sent and the server has not read.
    to_server: VecDeque<u8>,
    /// All that the server's side of the "kernel" ever accepted.
    pub accepted: Vec<u8>,
    /// How much of it had been accepted when a flush last succeeded.
    pub flushed: usize,
    /// How much of it the client has read.
    read: usize,
    /// How much may wait for the client.
    capacity: usize,
    client_gone: bool,
    server_gone: bool,
    wakers: Vec<Waker>,
}

impl Pipe {
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

pub fn pipe(rng: &mut Rng) -> (ServerIo, ClientIo, Shared<Pipe>) {
    let capacity = 1 << rng.range(6, 18);
    let pipe = Arc::new(Mutex::new(Pipe {
        capacity,
        ..Pipe::default()
    }));
    let least = if rng.one_in(8) { 0 } else { 5 };
    let max_write = 1 << rng.range(least, 16);
    let server = ServerIo {
        pipe: Arc::clone(&pipe),
        rng: rng.fork(),
        is_vectored: rng.one_in(2),
        max_write,
        pending_in: rng.range(2, 12) as u64,
        buffer: rng.one_in(2).then(Vec::new),
    };
    let client = ClientIo {
        pipe: Arc::clone(&pipe),
        rng: rng.fork(),
        max_read: 1 << rng.range(4, 16),
    };
    (server, client, pipe)
}

/// The server's end: this is what hyper writes to.
pub struct ServerIo {
    pipe: Shared<Pipe>,
    rng: Rng,
    pub is_vectored: bool,
    max_write: usize,
    pending_in: u64,
    /// Written, but kept until a flush, as TLS keeps records.
    buffer: Option<Vec<u8>>,
}

impl ServerIo {
    /// Whether what is counted as written is what the pipe has accepted.
    pub fn counts_exactly(&self) -> bool {
        self.is_vectored && self.buffer.is_none()
    }

    fn accept(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.rng.one_in(self.pending_in) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let wanted = self.rng.range(1, self.max_write).min(bytes.len());
        let mut pipe = lock(&self.pipe);
        if pipe.client_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = pipe.capacity - (pipe.accepted.len() - pipe.read).min(pipe.capacity);
        let taken = wanted.min(room);
        if taken == 0 && !bytes.is_empty() {
            pipe.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        pipe.accepted.extend_from_slice(&bytes[..taken]);
        pipe.wake();
        Poll::Ready(Ok(taken))
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(mut buffer) = self.buffer.take() else {
            return self.accept(cx, bytes);
        };
        let room = 5000 - buffer.len().min(5000);
        let taken = self.rng.range(1, self.max_write).min(bytes.len()).min(room);
        buffer.extend_from_slice(&bytes[..taken]);
        self.buffer = Some(buffer);
        if taken == 0 && !bytes.is_empty() {
            // It is full: make room, and let the caller come again.
            std::task::ready!(self.drain(cx, 1))?;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(taken))
    }

    /// Passes on what is kept, until at most the `rest` th part of it is left.
    fn drain(&mut self, cx: &mut Context<'_>, at_least: usize) -> Poll<io::Result<()>> {
        let Some(mut buffer) = self.buffer.take() else {
            return Poll::Ready(Ok(()));
        };
        let mut drained = 0;
        let result = loop {
            if buffer.is_empty() || drained >= at_least {
                break Poll::Ready(Ok(()));
            }
            match self.accept(cx, &buffer) {
                Poll::Ready(Ok(taken)) => {
                    buffer.drain(..taken);
                    drained += taken;
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.buffer = Some(buffer);
        result
    }
}

impl AsyncRead for ServerIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rng.one_in(4) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let size = self.rng.range(1, 4096);
        let mut pipe = lock(&self.pipe);
        if pipe.to_server.is_empty() {
            if pipe.client_gone {
                return Poll::Ready(Ok(()));
            }
            pipe.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let size = size.min(pipe.to_server.len()).min(buf.remaining());
        let bytes: Vec<u8> = pipe.to_server.drain(..size).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServerIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = bufs.iter().flat_map(|buf| buf.iter().copied());
        let bytes: Vec<u8> = all.take(self.max_write).collect();
        self.write(cx, &bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.is_vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rng.one_in(6) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        std::task::ready!(self.drain(cx, usize::MAX))?;
        let mut pipe = lock(&self.pipe);
        pipe.flushed = pipe.accepted.len();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drain(cx, usize::MAX)
    }
}

impl Drop for ServerIo {
    fn drop(&mut self) {
        let mut pipe = lock(&self.pipe);
        pipe.server_gone = true;
        pipe.wake();
    }
}

/// The client's end.
pub struct ClientIo {
    pipe: Shared<Pipe>,
    rng: Rng,
    max_read: usize,
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rng.one_in(3) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let max_read = self.max_read;
        let size = self.rng.range(1, max_read).min(buf.remaining());
        let mut pipe = lock(&self.pipe);
        let size = size.min(pipe.accepted.len() - pipe.read);
        if size == 0 && !pipe.server_gone {
            pipe.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let from = pipe.read;
        buf.put_slice(&pipe.accepted[from..from + size]);
        pipe.read += size;
        pipe.wake();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.pipe);
        if pipe.server_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        pipe.to_server.extend(bytes);
        pipe.wake();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        let mut pipe = lock(&self.pipe);
        pipe.client_gone = true;
        pipe.wake();
    }
}
