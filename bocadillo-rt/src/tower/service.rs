//! A tower service that is no app, on our server.

use std::{
    fmt,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{
    Method, StatusCode, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    background::{Background, Meta, Runner, is_failure},
    error::BoxError,
    guard::{guarded, log},
    message::{
        authority,
        body::Body,
        context::{ClientAddr, FramedOutside},
    },
    sent::{
        Connection, Delivery, Origin, RequestGuard, SentBody,
        framing::{self, may_have_content},
    },
    server::turn::must_yield,
    tower::answer::{OrEmpty, answer_head, empty, held_back},
};

/// The service, for one connection.
pub(crate) struct Foreign<S> {
    service: S,
    runner: Runner,
    connection: Connection,
    addr: Option<SocketAddr>,
}

impl<S> Foreign<S> {
    pub(crate) fn new(
        service: S,
        runner: Runner,
        connection: Connection,
        addr: Option<SocketAddr>,
    ) -> Self {
        Self {
            service,
            runner,
            connection,
            addr,
        }
    }
}

impl<S: Service<http::Request<Body>> + Clone> Foreign<S> {
    pub(crate) fn begin(
        &self,
        mut request: http::Request<Body>,
        busy: RequestGuard,
        origin: Origin,
    ) -> ForeignFuture<S> {
        let version = request.version();
        let background = Background::default();
        let extensions = request.extensions_mut();
        extensions.insert(background.clone());
        // An app within asks it whether the client has left.
        extensions.insert(self.connection.clone());
        extensions.insert(FramedOutside);
        if let Some(addr) = self.addr {
            extensions.insert(ClientAddr(addr));
        }
        let exchange = Exchange {
            method: request.method().clone(),
            background,
            runner: self.runner.clone(),
            connection: self.connection.clone(),
            version,
            busy: Some(busy),
            has_yielded: false,
            origin,
        };
        let stage = if self.runner.holds_back() {
            Stage::HeldBack
        } else {
            Stage::Ready {
                service: self.service.clone(),
                request: Some(request),
            }
        };
        ForeignFuture { stage, exchange }
    }
}

impl<S, B> hyper::service::Service<http::Request<Incoming>> for Foreign<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone,
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<SentBody<OrEmpty<B>>>;
    type Error = S::Error;
    type Future = ForeignFuture<S>;

    fn call(&self, request: http::Request<Incoming>) -> ForeignFuture<S> {
        let version = request.version();
        let busy = self.connection.begin(version);
        let (head, body) = request.into_parts();
        let has_host = authority::has_valid_host(&head);
        let body = Body::incoming(body, &busy, version);
        let origin = Origin::Path(head.uri.clone());
        let mut future = self.begin(http::Request::from_parts(head, body), busy, origin);
        if !has_host {
            future.stage = Stage::NoHost;
        }
        future
    }
}

pin_project! {
    /// Response future of [`Foreign`].
    pub(crate) struct ForeignFuture<S: Service<http::Request<Body>>> {
        #[pin]
        stage: Stage<S, S::Future>,
        exchange: Exchange,
    }

    impl<S: Service<http::Request<Body>>> PinnedDrop for ForeignFuture<S> {
        fn drop(this: Pin<&mut Self>) {
            this.project().stage.clear();
        }
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, F> {
        Ready { service: S, request: Option<http::Request<Body>> },
        Called { #[pin] response: F },
        /// The runner has no room for what the service would register.
        HeldBack,
        /// The request does not say for which host it is.
        NoHost,
        /// It has answered, and is gone.
        Answered,
    }
}

impl<S, F> Stage<S, F> {
    /// Drops the service's future: it is a user's.
    fn clear(mut self: Pin<&mut Self>) {
        if let Err(panic) = guarded(|| self.set(Self::Answered)) {
            log(|| tracing::error!(panic, "service panicked when it was dropped"));
        }
    }
}

/// What is known of the request, apart from the service.
struct Exchange {
    method: Method,
    background: Background,
    runner: Runner,
    connection: Connection,
    version: Version,
    busy: Option<RequestGuard>,
    has_yielded: bool,
    /// For the log.
    origin: Origin,
}

impl<S, B> Future for ForeignFuture<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    type Output = Result<http::Response<SentBody<OrEmpty<B>>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let exchange = &mut *this.exchange;
        if !exchange.has_yielded {
            exchange.has_yielded = true;
            if must_yield(&exchange.runner, &exchange.connection) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let polled = guarded(|| this.stage.as_mut().respond(cx));
        let response = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(answered)) => {
                this.stage.as_mut().clear();
                answered?
            }
            Err(panic) => {
                this.stage.as_mut().clear();
                log(|| tracing::error!(panic, "service panicked"));
                empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        Poll::Ready(Ok(this.exchange.hand_over(response)))
    }
}

type Responded<B, E> = Poll<Result<http::Response<OrEmpty<B>>, E>>;

impl<S, B> Stage<S, S::Future>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    B: HttpBody,
{
    fn respond(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Responded<B, S::Error> {
        loop {
            let response = match self.as_mut().project() {
                StageProj::Called { response } => {
                    let response = ready!(response.poll(cx))?;
                    return Poll::Ready(Ok(response.map(|body| OrEmpty::Body { body })));
                }
                StageProj::HeldBack => return Poll::Ready(Ok(held_back())),
                StageProj::Answered => return Poll::Pending,
                StageProj::NoHost => return Poll::Ready(Ok(empty(StatusCode::BAD_REQUEST))),
                StageProj::Ready { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    service.call(request)
                }
            };
            self.set(Self::Called { response });
        }
    }
}

impl Exchange {
    /// Makes what HTTP allows of what the service has answered.
    fn frame<B: HttpBody>(&self, response: &mut http::Response<OrEmpty<B>>) {
        if let Some(header) = framing::drop_ours(response.headers_mut(), self.version) {
            tracing::warn!(
                route = %self.origin,
                %header,
                "header is the server's own, and was left out; do not set it"
            );
        }
        if let Some(fault) = self.fault(response) {
            tracing::error!(route = %self.origin, fault, "response cannot be sent");
            *response = empty(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let status = response.status();
        if !may_have_content(status) {
            let headers = response.headers_mut();
            headers.remove(CONTENT_LENGTH);
            if status != StatusCode::NOT_MODIFIED {
                headers.remove(CONTENT_TYPE);
            }
            *response.body_mut() = OrEmpty::Empty;
        } else if self.version == Version::HTTP_2 && self.method == Method::HEAD {
            answer_head(response);
        }
    }

    fn fault<B: HttpBody>(&self, response: &http::Response<OrEmpty<B>>) -> Option<&'static str> {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return (self.version == Version::HTTP_2).then_some("HTTP/2 has no status 101");
        }
        let hint = response.body().size_hint();
        framing::fault(&self.method, status, response.headers(), &hint)
    }

    fn hand_over<B>(
        &mut self,
        mut response: http::Response<OrEmpty<B>>,
    ) -> http::Response<SentBody<OrEmpty<B>>>
    where
        B: HttpBody,
        B::Error: Into<BoxError>,
    {
        self.frame(&mut response);
        let mut slot = self.background.close(&self.runner);
        let status = response.status();
        let (mut head, body) = response.into_parts();
        let mut body = SentBody::plain(body);
        body.keep(&head.headers, self.origin.clone());
        let (headers, version) = (&mut head.headers, self.version);
        if slot.is_empty() {
            self.connection.watch_wrapped(headers, &mut body, version);
        } else {
            let has_failed = is_failure(status);
            if has_failed {
                slot.view_failed();
            }
            let on_done = self.runner.accept(&mut slot, |meta| {
                self.background.describe(meta);
                meta.status = Some(status);
                meta.has_failed = has_failed;
            });
            self.connection
                .track_wrapped(status, headers, &mut body, version, on_done);
        }
        if let Some(busy) = self.busy.take() {
            body.keep_busy(busy);
        }
        http::Response::from_parts(head, body)
    }
}

impl Drop for Exchange {
    /// The client has left, or the service has failed: what was registered runs.
    fn drop(&mut self) {
        let mut slot = self.background.close(&self.runner);
        if !slot.is_empty() {
            slot.view_failed();
            let on_done = self.runner.accept(&mut slot, |meta: &mut Meta| {
                self.background.describe(meta);
                meta.has_failed = true;
            });
            on_done.done(Delivery::Aborted { bytes: 0 });
        }
    }
}

impl<S: Service<http::Request<Body>>> fmt::Debug for ForeignFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignFuture").finish_non_exhaustive()
    }
}
