//! The buffer that hyper gets for each frame of data.

use std::{fmt, io::IoSlice, sync::Arc};

use bytes::Buf;

use super::{ticket::Ticket, token::Token};

/// A frame's data. It counts the bytes that were written. In the frame that ends an HTTP/2 stream it
/// carries the token.
pub struct SentBuf<D: Buf> {
    data: Option<D>,
    role: Role,
}

enum Role {
    /// The response is not tracked.
    Plain,
    Counts(Arc<Ticket>),
    /// The frame ends the stream.
    Ends(Token),
}

impl<D: Buf> SentBuf<D> {
    #[inline]
    pub(super) fn plain(data: D) -> Self {
        Self {
            data: Some(data),
            role: Role::Plain,
        }
    }

    pub(super) fn counting(data: D, ticket: Arc<Ticket>) -> Self {
        ticket.hand_over(data.remaining());
        Self {
            data: Some(data),
            role: Role::Counts(ticket),
        }
    }

    pub(super) fn ending(data: Option<D>, token: Token) -> Self {
        let bytes = data.as_ref().map_or(0, Buf::remaining);
        token.ticket().hand_over(bytes);
        Self {
            data,
            role: Role::Ends(token),
        }
    }

    fn written(&mut self, bytes: usize) {
        match &self.role {
            Role::Plain => {}
            Role::Counts(ticket) => ticket.wrote(bytes),
            Role::Ends(token) => {
                token.ticket().wrote(bytes);
                if !self.has_remaining() {
                    self.complete();
                }
            }
        }
    }

    /// A buffer that is dropped with data left was thrown away. A buffer without data may have been
    /// encoded: the wire decides (see `Token`).
    fn drop_end(&mut self) {
        if self.has_remaining() {
            if let Role::Ends(token) = std::mem::replace(&mut self.role, Role::Plain) {
                token.abort();
            }
        }
    }

    /// The last byte was taken. The token does not wait for the drop, which may come after the next
    /// flush.
    fn complete(&mut self) {
        if let Role::Ends(token) = std::mem::replace(&mut self.role, Role::Plain) {
            token.complete();
        }
    }
}

impl<D: Buf> Buf for SentBuf<D> {
    #[inline]
    fn remaining(&self) -> usize {
        self.data.as_ref().map_or(0, Buf::remaining)
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.data.as_ref().map_or(&[], Buf::chunk)
    }

    #[inline]
    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        self.data
            .as_ref()
            .map_or(0, |data| data.chunks_vectored(dst))
    }

    #[inline(always)]
    fn advance(&mut self, bytes: usize) {
        if let Some(data) = &mut self.data {
            data.advance(bytes);
        }
        if bytes != 0 && !matches!(self.role, Role::Plain) {
            self.written(bytes);
        }
    }
}

impl<D: Buf> Drop for SentBuf<D> {
    #[inline]
    fn drop(&mut self) {
        if let Role::Ends(_) = self.role {
            self.drop_end();
        }
    }
}

impl<D: Buf> fmt::Debug for SentBuf<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentBuf")
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
