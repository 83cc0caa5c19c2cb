//! Where a request's body comes from, and what has become of it.

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
    sent::Busy,
};

/// A request's body.
pub(crate) enum Source {
    /// On its way, on our own server. Not as a [`Body`], where it would be in a box.
    Upload(Upload),
    /// Any other.
    Body(Body),
    /// It was read whole: it can be read again.
    Read(Bytes),
    /// It cannot be read.
    Gone(Gone),
}

/// Why a request's body cannot be read: whoever tries again gets the same answer, and never the rest
/// for the whole.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gone {
    /// As a stream, or a form with files.
    Taken,
    TooLong,
    /// Longer than a layer around the app allows.
    TooLongForLayer,
    Cut,
    /// Its next part did not come.
    Late,
    /// The future that read it was dropped.
    Lost,
}

impl Source {
    /// A body that hyper reads.
    #[inline(always)]
    pub(crate) fn incoming(body: Incoming, busy: &Busy, version: Version) -> Self {
        if body.is_end_stream() {
            return Self::Read(Bytes::new());
        }
        let mut upload = Upload::new(body, busy, version);
        // There it is read to its end also when nobody wants it.
        if version == Version::HTTP_2 {
            upload.keep_busy(busy.clone());
        }
        Self::Upload(upload)
    }

    /// Leaves behind that it is gone. What was read whole stays.
    pub(super) fn take(&mut self, busy: Option<Busy>) -> Self {
        if let Self::Read(bytes) = self {
            return Self::Read(bytes.clone());
        }
        let mut taken = mem::replace(self, Self::Gone(Gone::Taken));
        taken.keep_busy(busy);
        taken
    }

    /// Keeps the connection from being idle, wherever this goes.
    pub(crate) fn keep_busy(&mut self, busy: Option<Busy>) {
        if let (Self::Upload(upload), Some(busy)) = (self, busy) {
            upload.keep_busy(busy);
        }
    }

    pub(super) fn as_gone(&self) -> Option<Gone> {
        match self {
            Self::Gone(why) => Some(*why),
            _ => None,
        }
    }

    /// At least so many bytes are to come.
    #[inline]
    pub(super) fn at_least(&self) -> u64 {
        match self {
            Self::Upload(upload) => upload.size_hint().lower(),
            Self::Body(body) => body.size_hint().lower(),
            Self::Read(_) | Self::Gone(_) => 0,
        }
    }

    /// Nothing is to come, so that nobody need ask.
    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Upload(upload) => upload.is_end_stream(),
            Self::Body(body) => body.is_end_stream(),
            Self::Read(bytes) => bytes.is_empty(),
            Self::Gone(_) => true,
        }
    }

    /// The next bytes; `None` at the end.
    #[inline(always)]
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Gone>>> {
        loop {
            let next = match self {
                Self::Upload(upload) => ready!(upload.poll_frame(cx)),
                Self::Body(body) => ready!(Pin::new(body).poll_frame(cx)),
                Self::Read(bytes) => {
                    let bytes = mem::take(bytes);
                    return Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)));
                }
                Self::Gone(why) => return Poll::Ready(Some(Err(*why))),
            };
            let frame = match next {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(cut(&*error)))),
                None => return Poll::Ready(None),
            };
            // Trailers are nobody's.
            if let Ok(data) = frame.into_data() {
                return Poll::Ready(Some(Ok(data)));
            }
        }
    }
}

/// Enough for any honest error: a chain may be a circle.
const MAX_CAUSES: usize = 16;

#[cold]
fn cut(error: &(dyn Error + 'static)) -> Gone {
    // A layer around the app may have a limit of its own, and another one may wrap its error.
    let causes = iter::successors(Some(error), |error| (*error).source());
    if causes
        .take(MAX_CAUSES)
        .any(|it| it.is::<LengthLimitError>())
    {
        return Gone::TooLongForLayer;
    }
    tracing::debug!(%error, "request body was cut off");
    Gone::Cut
}

/// For a service that is no view.
impl From<Source> for Body {
    fn from(source: Source) -> Self {
        match source {
            Source::Upload(upload) => upload.into(),
            Source::Body(body) => body,
            Source::Read(bytes) => bytes.into(),
            Source::Gone(_) => Self::empty(),
        }
    }
}
