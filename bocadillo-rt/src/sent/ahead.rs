//! Reads ahead of hyper, to see whether the client has left.
//!
//! hyper does not read while it holds bytes of the next request, or a part of an upload that no view has
//! read yet. Meanwhile hyper does not see that the client closes the connection. So the IO reads in its
//! place, up to [`MAX_BYTES`]. hyper gets these bytes first when it reads again.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};

/// Upper bound on the bytes that are read ahead. If the client has sent more, its end is not seen: it waits
/// behind these bytes in the client's kernel.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// The size of one read.
const STEP: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: Vec<u8>,
    /// How many of `bytes` hyper has read.
    taken: usize,
    /// The client has closed its sending direction.
    pub(super) has_ended: bool,
}

/// What a look at the client has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    /// The client has closed at least its sending direction.
    End,
    /// The connection is lost.
    Lost,
    /// More bytes wait than may be read ahead, so that an end behind them is not seen.
    Full,
}

impl Ahead {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.has_ended
    }

    /// Moves bytes into hyper's buffer, as a read of the IO would; returns how many.
    pub(super) fn take(&mut self, buf: &mut ReadBuf<'_>) -> usize {
        let left = &self.bytes[self.taken..];
        let length = left.len().min(buf.remaining());
        buf.put_slice(&left[..length]);
        self.taken += length;
        if self.taken == self.bytes.len() {
            // Most connections read ahead once: the memory is not kept.
            self.bytes = Vec::new();
            self.taken = 0;
        }
        length
    }

    /// Reads until no byte is left, or the bound is reached. The task is woken when more bytes come.
    pub(super) fn look<T>(&mut self, mut io: Pin<&mut T>, cx: &mut Context<'_>) -> Seen
    where
        T: AsyncRead,
    {
        while !self.has_ended {
            let room = MAX_BYTES.saturating_sub(self.bytes.len());
            if room == 0 {
                return Seen::Full;
            }
            match self.read(io.as_mut(), cx, room.min(STEP)) {
                Poll::Pending => return Seen::Nothing,
                Poll::Ready(Err(_)) => return Seen::Lost,
                Poll::Ready(Ok(0)) => self.has_ended = true,
                Poll::Ready(Ok(_)) => {}
            }
        }
        Seen::End
    }

    fn read<T>(
        &mut self,
        io: Pin<&mut T>,
        cx: &mut Context<'_>,
        length: usize,
    ) -> Poll<io::Result<usize>>
    where
        T: AsyncRead,
    {
        let mut step = [0; STEP];
        let mut buf = ReadBuf::new(&mut step[..length]);
        io.poll_read(cx, &mut buf).map_ok(|()| {
            self.bytes.extend_from_slice(buf.filled());
            buf.filled().len()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn take(ahead: &mut Ahead, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let mut buf = ReadBuf::new(&mut bytes);
        ahead.take(&mut buf);
        buf.filled().to_vec()
    }

    #[test]
    fn what_was_read_ahead_comes_first_and_in_order() {
        let mut ahead = Ahead::default();
        let mut io: &[u8] = b"abcdef";
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(ahead.look(Pin::new(&mut io), &mut cx), Seen::End);
        assert_eq!(take(&mut ahead, 4), b"abcd");
        assert_eq!(take(&mut ahead, 4), b"ef");
        assert!(!ahead.is_empty(), "the end is remembered");
        assert_eq!(take(&mut ahead, 4), b"");
    }

    #[test]
    fn no_more_is_read_than_its_bound() {
        let mut ahead = Ahead::default();
        let endless = vec![b'x'; MAX_BYTES + 1];
        let mut io = &endless[..];
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(ahead.look(Pin::new(&mut io), &mut cx), Seen::Full);
        assert_eq!(io.len(), 1);
    }
}
