//! A request's body as hyper has it.
//!
//! On HTTP/2 a server that answers without having read the whole body tells the client so by
//! RST_STREAM with NO_ERROR, which is what the standard has for it. Some clients take that for a
//! failure and drop the response, curl before 8 among them. So what is small or on its way already is
//! read to its end and thrown away, though nobody wants it.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Buf as _;
use http::Version;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::timeout};

use crate::sent::Busy;

/// So much is read for nobody, and for so long: more than a form or a JSON document.
const MAX_BYTES: usize = 256 * 1024;
const MAX_TIME: Duration = Duration::from_secs(5);

pub(crate) struct Upload {
    /// Taken when it is dropped.
    body: Option<Incoming>,
    /// Keeps the connection of an upload from being idle, whoever reads it.
    busy: Busy,
    is_http2: bool,
}

impl Upload {
    #[inline]
    pub(crate) fn new(body: Incoming, busy: &Busy, version: Version) -> Self {
        Self {
            body: Some(body),
            busy: busy.clone(),
            is_http2: version == Version::HTTP_2,
        }
    }

    #[inline]
    pub(crate) fn is_http2(&self) -> bool {
        self.is_http2
    }

    #[inline]
    pub(crate) fn incoming(&self) -> Option<&Incoming> {
        self.body.as_ref()
    }

    #[inline]
    pub(crate) fn incoming_mut(&mut self) -> Option<&mut Incoming> {
        self.body.as_mut()
    }
}

impl Drop for Upload {
    #[inline]
    fn drop(&mut self) {
        if self.is_http2 {
            if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
                read_to_the_end(body, self.busy.clone());
            }
        }
    }
}

#[cold]
fn read_to_the_end(body: Incoming, busy: Busy) {
    let mut rest = Rest {
        body,
        left: MAX_BYTES,
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
}

impl Future for Rest {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let Some(Ok(frame)) = frame else {
                return Poll::Ready(());
            };
            let length = frame.data_ref().map_or(0, |data| data.remaining());
            match self.left.checked_sub(length) {
                Some(left) => self.left = left,
                None => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }
}
