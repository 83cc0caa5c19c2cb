//! The body of a response that goes to a transport which does not tell when it was sent.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf as _;
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    delivery::{Delivery, OnDone},
    framing,
};

pin_project! {
    /// Tells, when it is dropped, that its response was handed to the transport: with
    /// [`Delivery::Unknown`] if that has taken all of it, otherwise with [`Delivery::Aborted`].
    pub struct Handed<B> {
        #[pin]
        body: B,
        bytes: u64,
        // So many bytes are all of it, whether its end is asked for or not.
        declared: Option<u64>,
        is_whole: bool,
        on_done: Option<OnDone>,
    }

    impl<B> PinnedDrop for Handed<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let Some(on_done) = this.on_done.take() else {
                return;
            };
            let is_whole = *this.is_whole || *this.declared == Some(*this.bytes);
            on_done.done(match is_whole {
                true => Delivery::Unknown,
                false => Delivery::Aborted { bytes: *this.bytes },
            });
        }
    }
}

impl<B: Body> Handed<B> {
    /// A body of which nobody wants to know.
    pub(crate) fn plain(body: B) -> Self {
        Self {
            body,
            bytes: 0,
            declared: None,
            is_whole: true,
            on_done: None,
        }
    }

    /// The body of a response with this head, to a request with this method.
    pub(crate) fn tracked(
        body: B,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
        on_done: OnDone,
    ) -> Self {
        // A transport does not ask for a body that is not sent.
        let has_none = *method == Method::HEAD || !framing::may_have_content(status);
        let declared = framing::declared(headers).ok().flatten();
        Self {
            bytes: 0,
            declared: declared.or(body.size_hint().exact()),
            is_whole: has_none || body.is_end_stream(),
            on_done: Some(on_done),
            body,
        }
    }
}

impl<B> Handed<B> {
    pub(crate) fn get_ref(&self) -> &B {
        &self.body
    }
}

impl<B: Body> Body for Handed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let data = frame.data_ref().map_or(0, |data| data.remaining());
                *this.bytes += data as u64;
                *this.is_whole = this.body.is_end_stream();
            }
            Some(Err(_)) => *this.declared = None,
            None => *this.is_whole = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> fmt::Debug for Handed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handed").finish_non_exhaustive()
    }
}
