//! Closes an HTTP/1 connection whose client still sends.
//!
//! A socket that is closed with unread bytes sends a reset. The client's kernel then drops the bytes that
//! the client has not read yet, and the response is lost. So the IO first closes its sending direction, and
//! reads and drops bytes until the client has closed too. [`Watch`](super::Watch) bounds the time.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};

/// How many reads one poll makes before it yields to other tasks.
const READS: usize = 64;

/// The rest of a connection's input.
#[derive(Debug, Default)]
pub(super) struct Linger {
    pub(super) left: usize,
}

impl Linger {
    /// Reads and drops bytes. Ready when the client has closed, or has sent more than `left` bytes. `read`
    /// gets the length of each read.
    pub(super) fn poll<T: AsyncRead>(
        &mut self,
        mut io: Pin<&mut T>,
        cx: &mut Context<'_>,
        mut read: impl FnMut(usize),
    ) -> Poll<()> {
        let mut bytes = [0; 16 * 1024];
        for _ in 0..READS {
            let mut buf = ReadBuf::new(&mut bytes);
            match io.as_mut().poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            read(buf.filled().len());
            match self.left.checked_sub(buf.filled().len()) {
                Some(left) => self.left = left,
                None => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn poll(linger: &mut Linger, io: &mut &[u8]) -> (Poll<()>, usize) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut read = 0;
        let polled = linger.poll(Pin::new(io), &mut cx, |bytes| read += bytes);
        (polled, read)
    }

    #[test]
    fn ends_with_what_the_client_sends() {
        let mut linger = Linger { left: 10 };
        assert_eq!(poll(&mut linger, &mut &[0; 10][..]), (Poll::Ready(()), 10));
        assert_eq!(linger.left, 0);
    }

    #[test]
    fn ends_where_that_is_too_much() {
        let endless = vec![0; 1024 * 1024];
        let mut linger = Linger { left: 100_000 };
        let (polled, read) = poll(&mut linger, &mut &endless[..]);
        assert_eq!(polled, Poll::Ready(()));
        assert!(read <= 100_000 + 16 * 1024, "{read}");
    }

    #[test]
    fn lets_others_have_their_turn() {
        let endless = vec![0; 4 * 1024 * 1024];
        let mut linger = Linger { left: usize::MAX };
        let (polled, read) = poll(&mut linger, &mut &endless[..]);
        assert_eq!((polled, read), (Poll::Pending, READS * 16 * 1024));
    }
}
