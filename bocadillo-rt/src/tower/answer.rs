//! The body of a service's answer, and the answers that the server gives in its place.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, RETRY_AFTER},
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{message::body::Body, tower::grpc};

pin_project! {
    /// The body of a service, or an empty body.
    #[derive(Debug)]
    #[project = OrEmptyProj]
    pub enum OrEmpty<B> {
        #[doc(hidden)]
        Body { #[pin] body: B },
        #[doc(hidden)]
        Empty,
    }
}

impl<B: HttpBody> HttpBody for OrEmpty<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project() {
            OrEmptyProj::Body { body } => body.poll_frame(cx),
            OrEmptyProj::Empty => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Body { body } => body.is_end_stream(),
            Self::Empty => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Body { body } => body.size_hint(),
            Self::Empty => SizeHint::with_exact(0),
        }
    }
}

impl From<OrEmpty<Self>> for Body {
    fn from(body: OrEmpty<Self>) -> Self {
        match body {
            OrEmpty::Body { body } => body,
            OrEmpty::Empty => Self::empty(),
        }
    }
}

pub(super) fn empty<B>(status: StatusCode) -> http::Response<OrEmpty<B>> {
    let mut response = http::Response::new(OrEmpty::Empty);
    *response.status_mut() = status;
    response
}

/// Returns the answer for a service that panicked.
pub(super) fn panicked<B>(is_grpc: bool) -> http::Response<OrEmpty<B>> {
    if !is_grpc {
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    }
    // A gRPC response is a 200. Its status is in a header.
    let mut response = empty(StatusCode::OK);
    *response.headers_mut() = grpc::internal();
    response
}

pub(super) fn held_back<B>() -> http::Response<OrEmpty<B>> {
    let mut response = empty(StatusCode::SERVICE_UNAVAILABLE);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Answers a HEAD request on HTTP/2. hyper does this itself on HTTP/1.
pub(super) fn answer_head<B: HttpBody>(response: &mut http::Response<OrEmpty<B>>) {
    let length = response.body().size_hint().exact();
    if let Some(length) = length.filter(|length| *length > 0) {
        let entry = response.headers_mut().entry(CONTENT_LENGTH);
        entry.or_insert_with(|| length.into());
    }
    *response.body_mut() = OrEmpty::Empty;
}
