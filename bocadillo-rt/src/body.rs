//! One type of body, in and out.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::{
    background::Waiting,
    error::BoxError,
    sent::{Busy, Delivery},
};

/// The body of a request or a response.
#[derive(Default)]
pub struct Body {
    kind: Kind,
    rider: Rider,
}

/// What lives as long as the body.
#[derive(Default)]
enum Rider {
    #[default]
    None,
    /// Tasks of an app whose response goes to a server that is not ours. Dropped with the body,
    /// that is, when it was handed to the transport.
    Tasks { _handed: Box<Handed> },
    /// An upload keeps its connection from being idle, whoever reads it.
    Upload { _busy: Busy },
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Boxed(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// Creates a body without content.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            kind: Kind::Empty,
            rider: Rider::None,
        }
    }

    /// Creates a body from any other.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body = body.map_err(Into::into);
        Self {
            kind: Kind::Boxed(Box::pin(body)),
            rider: Rider::None,
        }
    }

    /// Creates a body from a stream of chunks: bytes, vectors or strings.
    pub fn from_stream<S, T, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Into<Bytes>,
        E: Into<BoxError>,
    {
        let stream = Box::pin(Streamed(Box::pin(stream)));
        Self {
            kind: Kind::Boxed(stream),
            rider: Rider::None,
        }
    }

    #[inline]
    pub(crate) fn incoming(body: Incoming, busy: Option<&Busy>) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self {
            kind: Kind::Incoming(body),
            rider: busy.map_or(Rider::None, |busy| Rider::Upload {
                _busy: busy.clone(),
            }),
        }
    }

    /// Keeps tasks until the body was handed to a transport.
    pub(crate) fn keep(&mut self, tasks: Waiting) {
        self.rider = Rider::Tasks {
            _handed: Box::new(Handed(Some(tasks))),
        };
    }

    /// Whether a request's end was really seen, which hyper does not tell from an early reset of an
    /// HTTP/2 stream with `NO_ERROR`.
    pub(crate) fn is_incoming_complete(&self) -> bool {
        match &self.kind {
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Empty | Kind::Full(_) | Kind::Boxed(_) => true,
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let kind = &mut self.get_mut().kind;
        match kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *kind = Kind::Empty;
                let frame = (!bytes.is_empty()).then(|| Ok(Frame::data(bytes)));
                Poll::Ready(frame)
            }
            Kind::Incoming(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Full(bytes),
            rider: Rider::None,
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Empty => "Empty",
            Kind::Full(_) => "Full",
            Kind::Incoming(_) => "Incoming",
            Kind::Boxed(_) => "Boxed",
        };
        f.debug_tuple("Body")
            .field(&format_args!("{kind}"))
            .finish()
    }
}

/// Starts its tasks when the body goes.
#[derive(Debug)]
struct Handed(Option<Waiting>);

impl Drop for Handed {
    fn drop(&mut self) {
        if let Some(tasks) = self.0.take() {
            tasks.start_all(Delivery::Unknown);
        }
    }
}

/// A stream of chunks as a body.
struct Streamed<S>(Pin<Box<S>>);

impl<S, T, E> HttpBody for Streamed<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Into<Bytes>,
    E: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let chunk = ready!(self.0.as_mut().poll_next(cx));
        Poll::Ready(chunk.map(|chunk| match chunk {
            Ok(chunk) => Ok(Frame::data(chunk.into())),
            Err(error) => Err(error.into()),
        }))
    }
}
