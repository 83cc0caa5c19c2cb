//! A request's body as hyper has it.
//!
//! On HTTP/2 a server that answers without having read the whole body tells the client so by
//! RST_STREAM with NO_ERROR, which is what the standard has for it. Some clients take that for a
//! failure and drop the response, curl before 8 among them. So what is small or on its way already is
//! read to its end and thrown away, though nobody wants it.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http::Version;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::timeout};

use crate::{
    error::BoxError,
    sent::{Busy, Unread},
};

/// So much is read for nobody, and for so long: more than a form or a JSON document.
const MAX_BYTES: usize = 256 * 1024;
const MAX_TIME: Duration = Duration::from_secs(5);

pub(crate) struct Upload {
    /// Taken when it is dropped.
    body: Option<Incoming>,
    /// Keeps the connection from being idle, where the request itself does not: it was taken from that.
    busy: Option<Busy>,
    /// On HTTP/1, until its end was read.
    unread: Option<Unread>,
    is_http2: bool,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl Upload {
    #[inline]
    pub(crate) fn new(body: Incoming, busy: &Busy, version: Version) -> Self {
        let is_http2 = version == Version::HTTP_2;
        Self {
            body: Some(body),
            busy: None,
            unread: (!is_http2).then(|| busy.unread()),
            is_http2,
        }
    }

    pub(crate) fn keep_busy(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }

    #[inline]
    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    #[inline]
    pub(crate) fn size_hint(&self) -> SizeHint {
        let body = self.body.as_ref();
        body.map_or_else(SizeHint::default, Incoming::size_hint)
    }

    #[inline(always)]
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        if !self.is_http2 && body.is_end_stream() {
            // It has come whole. hyper says so only with the next request, where the response is out.
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut *body).poll_frame(cx));
        let has_ended = polled.is_none() || body.is_end_stream();
        if has_ended {
            self.end();
        }
        match polled {
            Some(frame) => Poll::Ready(Some(frame.map_err(Into::into))),
            // hyper takes an early reset with `NO_ERROR` for the end.
            None if self.is_http2 && !self.is_end_stream() => {
                self.body = None;
                Poll::Ready(Some(Err("the stream was reset".into())))
            }
            None => Poll::Ready(None),
        }
    }

    fn end(&mut self) {
        if let Some(unread) = self.unread.take() {
            unread.end();
        }
    }
}

impl Drop for Upload {
    #[inline]
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        match self.unread.take() {
            Some(unread) => look_for_the_end(body, unread),
            None if self.is_http2 => read_to_the_end(body, self.busy.take()),
            // It was read.
            None => {}
        }
    }
}

/// On HTTP/1 hyper closes the connection where more is to come, and that lingers then. What has come whole
/// is no reason for that.
#[cold]
fn look_for_the_end(body: Incoming, unread: Unread) {
    let mut rest = Rest {
        body,
        left: MAX_BYTES,
        has_ended: false,
    };
    let mut cx = Context::from_waker(Waker::noop());
    let has_come = Pin::new(&mut rest).poll(&mut cx).is_ready() && rest.has_ended;
    // Before the body is dropped: that has the connection polled, which asks for it.
    if has_come {
        unread.end();
    } else {
        drop(unread);
    }
}

#[cold]
fn read_to_the_end(body: Incoming, busy: Option<Busy>) {
    let mut rest = Rest {
        body,
        left: MAX_BYTES,
        has_ended: false,
    };
    // What has come already, or was reset, needs nobody who waits for it.
    let mut cx = Context::from_waker(Waker::noop());
    if Pin::new(&mut rest).poll(&mut cx).is_ready() {
        return;
    }
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            let _ = timeout(MAX_TIME, rest).await;
            drop(busy);
        });
    }
}

/// Ends with the body, or where it is too long.
struct Rest {
    body: Incoming,
    left: usize,
    /// It ended with the body.
    has_ended: bool,
}

impl Future for Rest {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let Some(Ok(frame)) = frame else {
                self.has_ended = frame.is_none();
                return Poll::Ready(());
            };
            let length = frame.data_ref().map_or(0, |data| data.remaining());
            match self.left.checked_sub(length) {
                Some(left) => self.left = left,
                None => return Poll::Ready(()),
            }
            // On HTTP/1 nothing says so afterwards.
            if self.body.is_end_stream() {
                self.has_ended = true;
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}
