//! Any tower service as one type, for mounts and layers.

use std::{
    convert::Infallible,
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue,
    header::{CONTENT_TYPE, LAST_MODIFIED},
};
use http_body::Body as HttpBody;
use tower_service::Service;

use crate::{
    error::{BoxError, Error, Title},
    guard::{guarded, log},
    message::body::Body,
};

pub(crate) type Responding = Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;

/// Any tower service, as one type. A layer that is given to [`App::layer`](crate::App::layer) wraps
/// this type.
///
/// An error of the inner service becomes a response: the one of an [`HttpError`](crate::HttpError),
/// or else a 500 and a line in the log.
#[derive(Clone)]
pub struct BoxedService(Arc<dyn SharedService>);

/// Calls a service behind a shared reference.
pub(crate) trait SharedService: Send + Sync {
    fn call(&self, request: http::Request<Body>) -> Responding;
}

impl BoxedService {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(Any(service)))
    }

    pub(crate) fn of(call: impl SharedService + 'static) -> Self {
        Self(Arc::new(call))
    }

    pub(crate) fn respond(&self, request: http::Request<Body>) -> Responding {
        self.0.call(request)
    }
}

struct Any<S>(S);

impl<S, B> SharedService for Any<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: http::Request<Body>) -> Responding {
        let mut service = self.0.clone();
        Box::pin(async move {
            // The error of the service need not be `Send`, so it is boxed at once.
            let ready = poll_fn(|cx| service.poll_ready(cx).map_err(Into::into));
            if let Err(error) = ready.await {
                return failed(error);
            }
            let mut calling = pin!(Some(service.call(request)));
            let answer = poll_fn(|cx| match calling.as_mut().as_pin_mut() {
                Some(calling) => calling.poll(cx).map_err(Into::into),
                None => Poll::Pending,
            });
            let answer = answer.await;
            // A panic of its drop does not change the answer.
            if let Err(panic) = guarded(|| calling.set(None)) {
                log(|| tracing::error!(panic, "service panicked when it was dropped"));
            }
            match answer {
                Ok(response) => answered(response.map(Body::new)),
                Err(error) => failed(error),
            }
        })
    }
}

/// Ends the body of a file at its declared length. The file may have grown since its length was
/// read.
fn answered(response: http::Response<Body>) -> http::Response<Body> {
    if !response.headers().contains_key(LAST_MODIFIED) {
        return response;
    }
    let (head, body) = response.into_parts();
    let hint = body.size_hint().exact();
    let body = match hint {
        Some(_) => body,
        None => Body::up_to_declared(&head.headers, body),
    };
    http::Response::from_parts(head, body)
}

/// Returns the response for the error of a service.
#[cold]
fn failed(error: BoxError) -> http::Response<Body> {
    let error = Error::from_boxed(error);
    let status = error.status();
    let (content_type, body) = match error.as_http() {
        Some(http) => ("application/json", http.body()),
        None => (
            "text/plain; charset=utf-8",
            Title(status).to_string().into_bytes(),
        ),
    };
    if status.is_server_error() {
        tracing::error!(%error, "service failed");
    }
    let mut response = http::Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Accepts requests with any body, because a layer may have wrapped it.
impl<B> Service<http::Request<B>> for BoxedService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxedFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> BoxedFuture {
        BoxedFuture(self.0.call(request.map(Body::new)))
    }
}

impl fmt::Debug for BoxedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedService").finish_non_exhaustive()
    }
}

/// Response future of [`BoxedService`].
pub struct BoxedFuture(Responding);

impl Future for BoxedFuture {
    type Output = Result<http::Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for BoxedFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedFuture").finish_non_exhaustive()
    }
}
