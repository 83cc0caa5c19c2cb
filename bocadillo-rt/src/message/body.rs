//! The type of all bodies: of requests and of responses.

use std::{
    any::Any,
    fmt, mem,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, Method, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::{
    error::BoxError,
    message::upload::Upload,
    sent::{Handed, OnDone, RequestGuard, framing},
};

/// The body of a request or a response.
#[derive(Default)]
pub struct Body {
    kind: Kind,
}

/// The enum has a tag of its own. A response reads the tag several times, and without it the
/// compiler would encode the variant in the unused values of a field, which takes longer to read.
#[derive(Default)]
#[repr(u8)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(Box<Upload>),
    Boxed(Shareable<Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>>),
    Handed(Box<Shareable<Handed<Body>>>),
}

/// A value that is `Sync` although its content is not. A view may hold a part of a request across
/// an `await`, so a request must be `Sync`. Only one thread looks at a time, so the lock never
/// waits.
struct Shareable<T>(Mutex<T>);

impl<T> Shareable<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn look(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body {
    /// Creates a body without content.
    #[must_use]
    pub const fn empty() -> Self {
        Self { kind: Kind::Empty }
    }

    /// Creates a body from any other body. A `Body` is returned as it is.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        if let Some(same) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>() {
            return same.take().unwrap_or_default();
        }
        let Some(body) = body else {
            return Self::empty();
        };
        let body = body.map_err(Into::into);
        Self {
            kind: Kind::Boxed(Shareable::new(Box::pin(body))),
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
            kind: Kind::Boxed(Shareable::new(stream)),
        }
    }

    /// Returns a body that ends after the length that the head declares.
    pub(crate) fn up_to_declared(headers: &HeaderMap, body: Self) -> Self {
        match framing::declared(headers) {
            Ok(Some(left)) if !body.is_end_stream() => Self::new(UpTo { body, left }),
            _ => body,
        }
    }

    /// Wraps a request's body as hyper reads it, for a service that is no view.
    pub(crate) fn incoming(body: Incoming, busy: &RequestGuard, version: Version) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        let mut upload = Upload::new(body, busy, version);
        upload.keep_busy(busy.clone());
        upload.into()
    }

    /// Returns whether the body is empty or bytes in memory: reading it cannot fail.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.kind, Kind::Empty | Kind::Full(_))
    }

    /// Replaces this body, which is empty in most cases.
    #[allow(
        clippy::mem_forget,
        reason = "to drop what is empty takes its time too"
    )]
    #[inline]
    pub(crate) fn replace(&mut self, body: Self) {
        let old = mem::replace(self, body);
        if matches!(old.kind, Kind::Empty) {
            mem::forget(old);
        }
    }

    /// Keeps tasks until the body was handed to the transport of a server that is not ours.
    pub(crate) fn keep(
        &mut self,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
        on_done: OnDone,
    ) {
        let handed = Handed::tracked(mem::take(self), method, status, headers, on_done);
        self.kind = Kind::Handed(Box::new(Shareable::new(handed)));
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let kind = &mut self.get_mut().kind;
        if !matches!(kind, Kind::Full(_)) {
            return kind.poll_frame(cx);
        }
        match mem::take(kind) {
            Kind::Full(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            _ => Poll::Ready(None),
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_empty(),
            _ => self.kind.is_end_stream(),
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            _ => self.kind.size_hint(),
        }
    }
}

/// The variants that are more than bytes. They have functions of their own, so that the compiler
/// inlines the others.
impl Kind {
    #[cold]
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(upload) => upload.is_end_stream(),
            Self::Boxed(body) => body.look().is_end_stream(),
            Self::Handed(handed) => handed.look().is_end_stream(),
            _ => true,
        }
    }

    #[cold]
    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Incoming(upload) => upload.size_hint(),
            Self::Boxed(body) => body.look().size_hint(),
            Self::Handed(handed) => handed.look().size_hint(),
            _ => SizeHint::default(),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Empty | Self::Full(_) => Poll::Ready(None),
            Self::Incoming(upload) => upload.poll_frame(cx),
            Self::Boxed(body) => body.get_mut().as_mut().poll_frame(cx),
            Self::Handed(handed) => Pin::new(handed.get_mut()).poll_frame(cx),
        }
    }
}

impl From<Upload> for Body {
    fn from(upload: Upload) -> Self {
        Self {
            kind: Kind::Incoming(Box::new(upload)),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Full(bytes),
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
            Kind::Handed(handed) => return handed.look().get_ref().fmt(f),
        };
        f.debug_tuple("Body")
            .field(&format_args!("{kind}"))
            .finish()
    }
}

/// A body that ends after its declared length, even if more bytes would follow.
struct UpTo {
    body: Body,
    left: u64,
}

impl HttpBody for UpTo {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_data(|mut data| {
            data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= data.len() as u64;
            data
        });
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
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
