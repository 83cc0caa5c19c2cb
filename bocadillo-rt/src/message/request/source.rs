//! The source of a request's body, and its state after it was read.

use std::{
    error::Error,
    iter, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Version;
use http_body::Body as _;
use http_body_util::LengthLimitError;
use hyper::body::Incoming;

use crate::{
    message::{body::Body, upload::Upload},
    sent::RequestGuard,
};

/// A request's body.
pub(crate) enum Source {
    /// A body that hyper provides on our own server. It is not a [`Body`], which would box it.
    Upload(Upload),
    /// Any other body.
    Body(Body),
    /// The whole body, which can be read again.
    Read(Bytes),
    /// The body cannot be read.
    Unreadable(Unreadable),
}

/// The reason why a body cannot be read. Every further attempt returns the same reason, so that a
/// part of a body is never taken for the whole.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unreadable {
    /// The view has taken it as a stream, or as a form with files.
    Taken,
    TooLong,
    /// It is longer than a layer around the app allows.
    TooLongForLayer,
    Cut,
    /// The next part did not arrive in time.
    Late,
    /// The future that read it was dropped.
    Lost,
}

impl Source {
    /// Wraps a body that hyper provides.
    #[inline(always)]
    pub(crate) fn incoming(body: Incoming, busy: &RequestGuard, version: Version) -> Self {
        if body.is_end_stream() {
            return Self::Read(Bytes::new());
        }
        let mut upload = Upload::new(body, busy, version);
        // An HTTP/2 body is read to its end also if no view reads it.
        if version == Version::HTTP_2 {
            upload.keep_busy(busy.clone());
        }
        Self::Upload(upload)
    }

    /// Takes the body and leaves `Unreadable::Taken` behind. A body that was read whole stays.
    pub(super) fn take(&mut self, busy: Option<RequestGuard>) -> Self {
        if let Self::Read(bytes) = self {
            return Self::Read(bytes.clone());
        }
        let mut taken = mem::replace(self, Self::Unreadable(Unreadable::Taken));
        taken.keep_busy(busy);
        taken
    }

    /// Keeps the connection from being idle as long as the body lives.
    pub(crate) fn keep_busy(&mut self, busy: Option<RequestGuard>) {
        if let (Self::Upload(upload), Some(busy)) = (self, busy) {
            upload.keep_busy(busy);
        }
    }

    pub(super) fn as_unreadable(&self) -> Option<Unreadable> {
        match self {
            Self::Unreadable(why) => Some(*why),
            _ => None,
        }
    }

    /// Returns a lower bound for the bytes that are still to arrive.
    #[inline]
    pub(super) fn at_least(&self) -> u64 {
        match self {
            Self::Upload(upload) => upload.size_hint().lower(),
            Self::Body(body) => body.size_hint().lower(),
            Self::Read(_) | Self::Unreadable(_) => 0,
        }
    }

    /// Returns whether the body has ended, so that polling it is unnecessary.
    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Upload(upload) => upload.is_end_stream(),
            Self::Body(body) => body.is_end_stream(),
            Self::Read(bytes) => bytes.is_empty(),
            Self::Unreadable(_) => true,
        }
    }

    /// Returns the next bytes, or `None` at the end.
    #[inline(always)]
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Unreadable>>> {
        loop {
            let next = match self {
                Self::Upload(upload) => ready!(upload.poll_frame(cx)),
                Self::Body(body) => ready!(Pin::new(body).poll_frame(cx)),
                Self::Read(bytes) => {
                    let bytes = mem::take(bytes);
                    return Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)));
                }
                Self::Unreadable(why) => return Poll::Ready(Some(Err(*why))),
            };
            let frame = match next {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(cut(&*error)))),
                None => return Poll::Ready(None),
            };
            // Trailers are ignored.
            if let Ok(data) = frame.into_data() {
                return Poll::Ready(Some(Ok(data)));
            }
        }
    }
}

/// The depth of an error's causes that is looked at. A chain of causes may be a circle.
const MAX_CAUSES: usize = 16;

#[cold]
fn cut(error: &(dyn Error + 'static)) -> Unreadable {
    // A layer around the app may have its own limit, and another layer may wrap the error of that
    // limit.
    let causes = iter::successors(Some(error), |error| (*error).source());
    if causes
        .take(MAX_CAUSES)
        .any(|it| it.is::<LengthLimitError>())
    {
        return Unreadable::TooLongForLayer;
    }
    tracing::debug!(%error, "request body was cut off");
    Unreadable::Cut
}

/// Converts the body for a service that is no view.
impl From<Source> for Body {
    fn from(source: Source) -> Self {
        match source {
            Source::Upload(upload) => upload.into(),
            Source::Body(body) => body,
            Source::Read(bytes) => bytes.into(),
            Source::Unreadable(_) => Self::empty(),
        }
    }
}
