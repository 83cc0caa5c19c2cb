//! A request's body as hyper provides it.
//!
//! An HTTP/2 server may answer before it has read the whole request body. It then sends RST_STREAM
//! with NO_ERROR, as the standard says. Some clients, such as curl before version 8, take that for
//! a failure and drop the response. So a body that no view reads is read to its end and discarded,
//! if it is short or has arrived already.

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
    sent::{RequestGuard, Unread},
};

/// How many bytes are read and discarded at most, and for how long. Both exceed a form or a JSON
/// document.
const MAX_BYTES: usize = 256 * 1024;
const MAX_TIME: Duration = Duration::from_secs(5);

pub(crate) struct Upload {
    /// `None` after the body was dropped or reset.
    body: Option<Incoming>,
    /// Keeps the connection from being idle when the body outlives its request.
    busy: Option<RequestGuard>,
    /// Set on HTTP/1 until the end of the body was read.
    unread: Option<Unread>,
    is_http2: bool,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl Upload {
    #[inline]
    pub(crate) fn new(body: Incoming, busy: &RequestGuard, version: Version) -> Self {
        let is_http2 = version == Version::HTTP_2;
        Self {
            body: Some(body),
            busy: None,
            unread: (!is_http2).then(|| busy.unread()),
            is_http2,
        }
    }

    pub(crate) fn keep_busy(&mut self, busy: RequestGuard) {
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
            // All bytes have arrived. hyper would report the end only with the next request, if the
            // response has been sent already.
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut *body).poll_frame(cx));
        let has_ended = polled.is_none() || body.is_end_stream();
        if has_ended {
            self.end();
        }
        match polled {
            Some(frame) => Poll::Ready(Some(frame.map_err(Into::into))),
            // hyper reports an early reset with `NO_ERROR` as the end of the body.
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
            // The end was read.
            None => {}
        }
    }
}

/// Looks whether the rest of an HTTP/1 body has arrived. If it has not, hyper closes the
/// connection, and the connection lingers. If it has, there is no reason to linger.
#[cold]
fn look_for_the_end(body: Incoming, unread: Unread) {
    let mut rest = Rest::of(body);
    let mut cx = Context::from_waker(Waker::noop());
    let has_come = Pin::new(&mut rest).poll(&mut cx).is_ready() && rest.has_ended;
    // Before the body is dropped: its drop makes hyper poll the connection, which reads this flag.
    if has_come {
        unread.end();
    } else {
        drop(unread);
    }
}

#[cold]
fn read_to_the_end(body: Incoming, busy: Option<RequestGuard>) {
    let mut rest = Rest::of(body);
    // No task is needed if the rest has arrived already or the stream was reset.
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

/// Reads until the body ends or is too long.
struct Rest {
    body: Incoming,
    left: usize,
    /// The body has ended.
    has_ended: bool,
}

impl Rest {
    fn of(body: Incoming) -> Self {
        Self {
            body,
            left: MAX_BYTES,
            has_ended: false,
        }
    }
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
            // On HTTP/1 no further frame would report the end.
            if self.body.is_end_stream() {
                self.has_ended = true;
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}
