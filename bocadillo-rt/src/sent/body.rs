//! The body that hyper reads: it carries the token to the end of the response.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    buf::SentBuf,
    header_token,
    keeper::{BodyError, BoxError, Keeper, Origin},
    request_guard::RequestGuard,
    ticket::Protocol,
    token::Token,
};

/// How many bytes of an HTTP/2 body may wait in h2 when the end of the body is handed over.
///
/// After the end, the stream's task is gone, and only the whole connection could be closed. 16 KiB is one
/// frame: most responses still end in the frame of their only chunk.
pub(super) const MAX_LOOSE_BYTES: u64 = 16 * 1024;

pin_project! {
    /// A response's body on its way through hyper.
    ///
    /// [`Connection::track`](super::Connection::track) makes it, or
    /// [`untracked`](Self::untracked) for a response without a callback.
    pub struct SentBody<B> {
        #[pin]
        inner: B,
        tracking: Option<Tracking>,
        // `None` for a body that is only bytes, whose number is known.
        keeper: Option<Box<Keeper>>,
        busy: Option<RequestGuard>,
    }
}

#[derive(Debug)]
struct Tracking {
    protocol: Protocol,
    /// The right to end the response, until the end is handed over.
    token: Option<Token>,
    /// The trailers, which wait with the end.
    trailers: Option<Box<HeaderMap>>,
    end: End,
    /// Too much was in flight when the inner body ended: the end waits until nothing is in flight.
    must_drain: bool,
    /// hyper has begun the body, and fewer bytes than declared were handed over.
    is_short: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The inner body has not ended.
    Open,
    /// The inner body has ended. HTTP/2 gets the end when the bytes in flight are written.
    Held,
    /// The end was handed over.
    Done,
}

impl<B: Body> SentBody<B> {
    /// Wraps the body of a response that is not tracked.
    ///
    /// As a tracked body, it passes on no empty chunk, yields after a number of chunks, and fails if it
    /// does not keep the length of its own exact [`size_hint`](Body::size_hint).
    pub fn untracked(inner: B) -> Self {
        let mut body = Self::plain(inner);
        body.keep(&HeaderMap::new(), Origin::Unknown);
        body
    }

    /// Keeps the body to the length that the head declares, and drops empty chunks.
    pub(crate) fn keep(&mut self, headers: &HeaderMap, origin: Origin) {
        if !self.inner.is_end_stream() {
            let keeper = Keeper::of(headers, &self.inner.size_hint(), origin);
            self.keeper = Some(Box::new(keeper));
        }
    }

    #[inline]
    fn has_inner_ended(&self) -> bool {
        match &self.keeper {
            Some(keeper) => keeper.is_end(&self.inner),
            None => self.inner.is_end_stream(),
        }
    }
}

impl<B> SentBody<B> {
    /// Wraps a body that is only bytes, or that is [kept](Self::keep) once its head is known.
    #[inline]
    pub(crate) fn plain(inner: B) -> Self {
        Self {
            inner,
            tracking: None,
            keeper: None,
            busy: None,
        }
    }

    /// Tracks this body, whose end is the end of the response.
    pub(super) fn track(&mut self, token: Token, protocol: Protocol) {
        self.tracking = Some(Tracking {
            protocol,
            token: Some(token),
            trailers: None,
            end: End::Open,
            must_drain: false,
            is_short: false,
        });
    }

    /// Keeps the connection from being idle as long as the body lives.
    pub(crate) fn keep_busy(&mut self, busy: RequestGuard) {
        self.busy = Some(busy);
    }

    pub(crate) fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// Exchanges the body within for one with the same frames.
    pub(crate) fn map<C>(self, map: impl FnOnce(B) -> C) -> SentBody<C> {
        SentBody {
            inner: map(self.inner),
            tracking: self.tracking,
            keeper: self.keeper,
            busy: self.busy,
        }
    }

    /// Returns the body within, which is not tracked any more.
    pub(crate) fn into_inner(self) -> B {
        self.inner
    }
}

type Polled<D> = Poll<Option<Result<Frame<SentBuf<D>>, BodyError>>>;

impl<B> Body for SentBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = SentBuf<B::Data>;
    type Error = BodyError;

    // The path of a response that is not tracked, inlined into hyper.
    #[inline(always)]
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<B::Data> {
        if self.tracking.is_some() {
            return self.poll_tracked(cx);
        }
        let this = self.project();
        // Each arm makes what is returned by itself: else a frame of mere bytes is moved more often.
        if let Some(keeper) = this.keeper {
            let frame = ready!(keeper.poll(this.inner, cx));
            return Poll::Ready(frame.map(|frame| Ok(frame?.map_data(SentBuf::plain))));
        }
        let frame = ready!(this.inner.poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => Ok(frame.map_data(SentBuf::plain)),
            Err(error) => Err(BodyError::new(error)),
        }))
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.tracking {
            Some(tracking) if tracking.protocol == Protocol::Http2 => tracking.end == End::Done,
            Some(_) | None => self.has_inner_ended(),
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        // The end follows in a frame of its own. With an exact hint hyper would add a content-length,
        // which a 204 must not have.
        if self.tracking.is_some() && self.has_inner_ended() && !self.is_end_stream() {
            return SizeHint::default();
        }
        match &self.keeper {
            Some(keeper) => keeper.size_hint(self.inner.size_hint()),
            None => self.inner.size_hint(),
        }
    }
}

#[inline(always)]
fn poll_inner<B>(
    inner: Pin<&mut B>,
    keeper: &mut Option<Box<Keeper>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<B::Data>, BodyError>>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    match keeper {
        Some(keeper) => keeper.poll(inner, cx),
        None => inner
            .poll_frame(cx)
            .map(|frame| frame.map(|frame| frame.map_err(BodyError::new))),
    }
}

impl<B> SentBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    #[inline(never)]
    fn poll_tracked(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<B::Data> {
        let mut this = self.project();
        let Some(tracking) = this.tracking else {
            return Poll::Ready(None);
        };
        if tracking.end != End::Open {
            return tracking.poll_end(cx);
        }
        let frame = ready!(poll_inner(this.inner.as_mut(), this.keeper, cx));
        tracking.is_short = this.keeper.as_ref().is_some_and(|keeper| keeper.is_short());
        match frame {
            None => {
                tracking.end = End::Held;
                tracking.poll_end(cx)
            }
            Some(Err(error)) => {
                tracking.fail();
                Poll::Ready(Some(Err(error)))
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    let has_ended = match this.keeper {
                        Some(keeper) => keeper.is_end(&*this.inner),
                        None => this.inner.is_end_stream(),
                    };
                    let data = tracking.hand_over(data, has_ended);
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => {
                        tracking.end = End::Held;
                        tracking.trailers = Some(Box::new(trailers));
                        tracking.poll_end(cx)
                    }
                    // Other kinds of frames do not exist yet; hyper ignores kinds that it does not know.
                    Err(frame) => Poll::Ready(Some(Ok(frame.map_data(SentBuf::plain)))),
                },
            },
        }
    }
}

impl Tracking {
    fn hand_over<D: Buf>(&mut self, data: D, is_last: bool) -> SentBuf<D> {
        let Some(token) = &self.token else {
            return SentBuf::plain(data);
        };
        let ticket = token.ticket();
        if self.protocol == Protocol::Http1 || !is_last {
            return SentBuf::counting(data, Arc::clone(ticket));
        }
        let waiting = ticket.in_flight() + data.remaining() as u64;
        if waiting > MAX_LOOSE_BYTES {
            self.end = End::Held;
            return SentBuf::counting(data, Arc::clone(ticket));
        }
        self.end = End::Done;
        match self.token.take() {
            Some(token) => SentBuf::ending(Some(data), token),
            None => SentBuf::plain(data),
        }
    }

    /// Hands over the end of the body.
    fn poll_end<D: Buf>(&mut self, cx: &mut Context<'_>) -> Polled<D> {
        if self.end == End::Done {
            return Poll::Ready(None);
        }
        if self.protocol == Protocol::Http1 {
            // The token stays: HTTP/1 marks when it drops the body.
            self.end = End::Done;
            let trailers = self.trailers.take();
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(*trailers))));
        }
        if let Some(token) = &self.token {
            self.must_drain |= token.ticket().in_flight() > MAX_LOOSE_BYTES;
            if self.must_drain {
                ready!(token.ticket().poll_drained(cx));
            }
        }
        self.end = End::Done;
        let trailers = self.trailers.take();
        let token = self.token.take();
        Poll::Ready(token.map(|token| Ok(end_stream(trailers, token))))
    }

    fn fail(&mut self) {
        self.end = End::Done;
        if let Some(token) = self.token.take() {
            token.abort();
        }
    }

    #[inline(never)]
    fn end_by_drop(&self, token: Token) {
        match self.protocol {
            Protocol::Http1 if self.is_short => token.abort(),
            // hyper has buffered the last frame, or the response has no body (HEAD, 204, 304). If hyper
            // drops the body for any other reason, the connection is over and flushes no more.
            Protocol::Http1 => token.complete(),
            // The end was never handed over.
            Protocol::Http2 => token.abort(),
        }
    }
}

/// Returns the frame that ends an HTTP/2 stream: the trailers, or else the empty frame of data that
/// hyper would have sent itself.
fn end_stream<D: Buf>(trailers: Option<Box<HeaderMap>>, token: Token) -> Frame<SentBuf<D>> {
    let token = match trailers {
        None => token,
        Some(mut trailers) => match header_token::insert(&mut trailers, token) {
            Ok(()) => return Frame::trailers(*trailers),
            // Empty trailers say no more than the end of the stream.
            Err(token) => token,
        },
    };
    Frame::data(SentBuf::ending(None, token))
}

impl Drop for Tracking {
    #[inline]
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            self.end_by_drop(token);
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for SentBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentBody")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
