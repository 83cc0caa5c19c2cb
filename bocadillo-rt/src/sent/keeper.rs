//! Checks a body of unknown origin on its way to hyper.
//!
//! * **Empty chunks** never reach hyper. On HTTP/2 each would be a frame of its own.
//! * **A body that is always ready** yields to the runtime after [`MAX_READY`] items, so that the
//!   connection's task sees that the client leaves, and other tasks run.
//! * **The declared length** is kept: that of the header, or else of the body's own exact hint. No byte
//!   beyond it is passed on. A shorter or longer body fails: HTTP/1 closes the connection, HTTP/2 resets
//!   the stream by `INTERNAL_ERROR`, and the response is aborted. The log has both numbers.
//!
//! hyper does not poll a body beyond its declared length, so a longer body would stay unnoticed. So the
//! keeper polls the body once more after the last declared byte. Only an answer at once counts: if the
//! body is pending, the response was whole on HTTP/1.
//!
//! Before the keeper passes an error on, it yields once: hyper writes the chunks that came before, and the
//! client sees how far the body came.
//!
//! A response with `last-modified` is a file. If the file has grown since it was measured, the surplus is
//! left out.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Buf as _;
use http::{HeaderMap, Uri, header::LAST_MODIFIED};
use http_body::{Body, Frame, SizeHint};

use super::framing;

/// Any error of a body.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// How many items of a body are taken without a break. hyper buffers 16 before it writes.
const MAX_READY: u8 = 32;

/// The origin of a response, for the log.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    View(&'static str),
    Route(Arc<str>),
    /// The service has no routes that we know.
    Path(Uri),
    Unknown,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::View(name) => f.write_str(name),
            Self::Route(path) => f.write_str(path),
            Self::Path(uri) => f.write_str(uri.path()),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// The error of a body on its way through hyper: the body's own error, or a wrong length.
///
/// It has no source. If the chain held an error of HTTP/2, as that of a proxy's body does, hyper would
/// take the code of *this* stream's reset from it.
#[derive(Debug)]
pub struct BodyError(Kind);

#[derive(Debug)]
enum Kind {
    Body(BoxError),
    Length { declared: u64, sent: u64 },
}

impl BodyError {
    pub(super) fn new(error: impl Into<BoxError>) -> Self {
        Self(Kind::Body(error.into()))
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Body(error) => error.fmt(f),
            Kind::Length { declared, sent } => {
                write!(f, "a body of {sent} bytes was declared to have {declared}")
            }
        }
    }
}

impl Error for BodyError {}

/// The progress of a body. Boxed by its owner: most responses need no keeper.
#[derive(Debug)]
pub(super) struct Keeper {
    declared: Option<u64>,
    /// How many bytes were passed on so far.
    passed: u64,
    /// How many items came without a break.
    ready: u8,
    /// hyper has polled the body, so the head was encoded.
    is_polled: bool,
    /// The body is a file that may have grown since its length was declared.
    may_grow: bool,
    next: Next,
    origin: Origin,
}

/// The item behind the last declared byte, if the body was polled for it.
#[derive(Debug)]
enum Next {
    Unknown,
    End,
    Trailers(HeaderMap),
    Failed(BodyError),
}

type Polled<D> = Poll<Option<Result<Frame<D>, BodyError>>>;

impl Keeper {
    pub(super) fn new(declared: Option<u64>, origin: Origin) -> Self {
        Self {
            declared,
            passed: 0,
            ready: 0,
            is_polled: false,
            may_grow: false,
            next: Next::Unknown,
            origin,
        }
    }

    /// Creates the keeper of a response with this head.
    pub(super) fn of(headers: &HeaderMap, hint: &SizeHint, origin: Origin) -> Self {
        let declared = framing::declared(headers).ok().flatten();
        let mut keeper = Self::new(declared.or(hint.exact()), origin);
        keeper.may_grow = headers.contains_key(LAST_MODIFIED);
        keeper
    }

    /// Returns whether hyper has begun the body, and fewer bytes than declared were passed on.
    pub(super) fn is_short(&self) -> bool {
        self.is_polled && self.declared.is_some_and(|declared| self.passed < declared)
    }

    pub(super) fn size_hint(&self, inner: SizeHint) -> SizeHint {
        match self.declared {
            Some(declared) => SizeHint::with_exact(declared - self.passed),
            None => inner,
        }
    }

    pub(super) fn is_end<B: Body>(&self, body: &B) -> bool {
        match self.next {
            Next::End => true,
            Next::Trailers(_) | Next::Failed(_) => false,
            // A body that ends too soon is polled again, for its error.
            Next::Unknown => body.is_end_stream() && !self.is_short(),
        }
    }

    pub(super) fn poll<B>(&mut self, body: Pin<&mut B>, cx: &mut Context<'_>) -> Polled<B::Data>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        self.is_polled = true;
        let has_failed = matches!(self.next, Next::Failed(_));
        match self.poll_next(body, cx) {
            // hyper gets an opportunity to write earlier chunks: with the error it drops them.
            Poll::Ready(Some(Err(error))) if !has_failed => {
                self.next = Next::Failed(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            polled => polled,
        }
    }

    fn poll_next<B>(&mut self, mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Polled<B::Data>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        match std::mem::replace(&mut self.next, Next::Unknown) {
            Next::Unknown => {}
            Next::End => return self.end(),
            Next::Trailers(trailers) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Next::Failed(error) => return Poll::Ready(Some(Err(error))),
        }
        let Some(frame) = std::task::ready!(self.poll_some(body.as_mut(), cx)) else {
            return self.end();
        };
        let frame = frame?;
        let Some(data) = frame.data_ref() else {
            return Poll::Ready(Some(self.check_whole().map(|()| frame)));
        };
        let bytes = data.remaining() as u64;
        if self.is_beyond(bytes) {
            return self.end_before(bytes, frame);
        }
        self.passed += bytes;
        if Some(self.passed) == self.declared && !body.is_end_stream() {
            if let Err(error) = self.look_ahead(body, cx) {
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    /// Polls for the next frame that is not empty; `None` is the end.
    fn poll_some<B>(&mut self, mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Polled<B::Data>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        loop {
            if self.ready == MAX_READY {
                self.ready = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
                self.ready = 0;
                return Poll::Pending;
            };
            self.ready += 1;
            let frame = match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::new(error)))),
                Some(Ok(frame)) => frame,
            };
            if frame.data_ref().is_none_or(|data| data.has_remaining()) {
                return Poll::Ready(Some(Ok(frame)));
            }
            if body.is_end_stream() {
                return Poll::Ready(None);
            }
        }
    }

    /// Polls for the item behind the last declared byte.
    fn look_ahead<B>(&mut self, body: Pin<&mut B>, cx: &mut Context<'_>) -> Result<(), BodyError>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        self.next = match self.poll_some(body, cx) {
            Poll::Pending => Next::Unknown,
            Poll::Ready(None) => Next::End,
            Poll::Ready(Some(Err(error))) => Next::Failed(error),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(_) if self.may_grow => Next::End,
                Ok(data) => return Err(self.fail(data.remaining() as u64)),
                Err(frame) => frame.into_trailers().map_or(Next::Unknown, Next::Trailers),
            },
        };
        Ok(())
    }

    fn is_beyond(&self, bytes: u64) -> bool {
        let passed = self.passed.checked_add(bytes);
        self.declared
            .is_some_and(|declared| passed.is_none_or(|passed| passed > declared))
    }

    /// Ends the body before a frame that goes beyond the declared length.
    fn end_before<D>(&mut self, bytes: u64, _frame: Frame<D>) -> Polled<D> {
        if self.may_grow && Some(self.passed) == self.declared {
            self.next = Next::End;
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Err(self.fail(bytes))))
    }

    fn end<D>(&mut self) -> Polled<D> {
        match self.check_whole() {
            Ok(()) => {
                self.next = Next::End;
                Poll::Ready(None)
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn check_whole(&self) -> Result<(), BodyError> {
        if self.is_short() {
            return Err(self.fail(0));
        }
        Ok(())
    }

    /// Logs and returns the error of a wrong length. `more` bytes came that may not be sent.
    #[cold]
    fn fail(&self, more: u64) -> BodyError {
        let declared = self.declared.unwrap_or_default();
        let sent = self.passed.saturating_add(more);
        let says = if sent > declared {
            "the body is longer than its `content-length`, and was cut off; leave the header out"
        } else {
            "the body is shorter than its `content-length`, and was cut off; leave the header out"
        };
        match &self.origin {
            Origin::View(view) => tracing::error!(view, declared, sent, "{says}"),
            route => tracing::error!(%route, declared, sent, "{says}"),
        }
        BodyError(Kind::Length { declared, sent })
    }
}
