//! Calls a tower service for one request, and hands over its response and its tasks.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{
    HeaderMap, Method, StatusCode, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    background::{Background, Peer, Runner, Task, collect, is_failure},
    error::BoxError,
    guard::{guarded, log},
    message::{authority, body::Body},
    sent::{
        Delivery, Origin, RequestGuard, SentBody,
        framing::{self, may_have_content},
    },
    server::{detach::is_detached, turn::must_yield},
    tower::{
        answer::{OrEmpty, answer_head, empty, held_back, panicked},
        commit::{Commit, refused_by},
        grpc,
        registered::Registered,
    },
};

#[cfg(feature = "durable")]
use crate::background::take_collected;

/// A tower service on one connection.
pub(crate) struct TrackedService<S> {
    service: S,
    runner: Runner,
    peer: Arc<Peer>,
    /// The extensions of each request of the connection.
    extensions: http::Extensions,
}

impl<S> TrackedService<S> {
    pub(crate) fn new(service: S, runner: Runner, peer: Arc<Peer>) -> Self {
        Self {
            service,
            runner,
            peer,
            extensions: http::Extensions::new(),
        }
    }

    pub(crate) fn with_extensions(self, extensions: http::Extensions) -> Self {
        Self { extensions, ..self }
    }
}

impl<S: Service<http::Request<Body>> + Clone> TrackedService<S> {
    pub(crate) fn begin(
        &self,
        mut request: http::Request<Body>,
        busy: RequestGuard,
        origin: Origin,
    ) -> TrackedFuture<S> {
        let version = request.version();
        let background = Background::with_peer(Arc::clone(&self.peer));
        let extensions = request.extensions_mut();
        if !self.extensions.is_empty() {
            extensions.extend(self.extensions.clone());
        }
        #[cfg(feature = "axum")]
        if let Some(addr) = self.peer.addr {
            extensions.insert(axum::extract::ConnectInfo(addr));
        }
        extensions.insert(background.clone());
        let call = ServiceCall {
            method: request.method().clone(),
            is_grpc: grpc::is_grpc(request.headers()),
            registered: Registered {
                background,
                runner: self.runner.clone(),
            },
            peer: Arc::clone(&self.peer),
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
        TrackedFuture { stage, call }
    }

    /// Calls the service with a request that hyper has read.
    pub(super) fn begin_incoming(&self, request: http::Request<Incoming>) -> TrackedFuture<S> {
        let version = request.version();
        let busy = self.peer.connection.begin(version);
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
    /// Response future of [`TrackedService`].
    pub(crate) struct TrackedFuture<S: Service<http::Request<Body>>> {
        #[pin]
        stage: Stage<S, S::Future, S::Response>,
        call: ServiceCall,
    }

    impl<S: Service<http::Request<Body>>> PinnedDrop for TrackedFuture<S> {
        fn drop(this: Pin<&mut Self>) {
            this.project().stage.clear();
        }
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, F, R> {
        Ready { service: S, request: Option<http::Request<Body>> },
        Called { #[pin] response: F },
        /// The durable tasks of the response are being committed. Without the feature there are none:
        /// a variant here cannot depend on one.
        Committing { response: Option<R>, commit: Commit },
        /// The runner has no room for the tasks that the service would register.
        HeldBack,
        /// The request does not name its host.
        NoHost,
        /// The service has answered, and its future was dropped.
        Answered,
    }
}

impl<S, F, R> Stage<S, F, R> {
    /// Drops the future of the service, which is a user's code.
    fn clear(mut self: Pin<&mut Self>) {
        if let Err(panic) = guarded(|| self.set(Self::Answered)) {
            log(|| tracing::error!(panic, "service panicked when it was dropped"));
        }
    }
}

/// The state of a call, apart from the service.
struct ServiceCall {
    method: Method,
    is_grpc: bool,
    registered: Registered,
    peer: Arc<Peer>,
    version: Version,
    busy: Option<RequestGuard>,
    has_yielded: bool,
    /// Who has answered, for the log.
    origin: Origin,
}

impl<S, B> Future for TrackedFuture<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    type Output = Result<http::Response<SentBody<OrEmpty<B>>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let call = &mut *this.call;
        if !call.has_yielded {
            call.has_yielded = true;
            if must_yield(&call.registered.runner, &call.peer.connection) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let mut late = Vec::new();
        let polled = collect(
            || guarded(|| this.stage.as_mut().respond(call, cx)),
            |task| late.push(task),
        );
        call.register(late);
        let response = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(answered)) => {
                this.stage.as_mut().clear();
                answered?
            }
            Err(panic) => {
                this.stage.as_mut().clear();
                log(|| tracing::error!(panic, "service panicked"));
                panicked(this.call.is_grpc)
            }
        };
        Poll::Ready(Ok(this.call.hand_over(response)))
    }
}

type Responded<B, E> = Poll<Result<http::Response<OrEmpty<B>>, E>>;

impl<S, B> Stage<S, S::Future, S::Response>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    B: HttpBody,
{
    fn respond(
        mut self: Pin<&mut Self>,
        call: &ServiceCall,
        cx: &mut Context<'_>,
    ) -> Responded<B, S::Error> {
        loop {
            let response = match self.as_mut().project() {
                StageProj::Called { response } => {
                    let response = ready!(response.poll(cx))?;
                    let Some(commit) = call.commit(response.status(), response.headers()) else {
                        return Poll::Ready(Ok(response.map(|body| OrEmpty::Body { body })));
                    };
                    let response = Some(response);
                    self.set(Self::Committing { response, commit });
                    continue;
                }
                StageProj::Committing { response, commit } => {
                    if let Some(refused) = ready!(commit.as_mut().poll(cx)) {
                        return Poll::Ready(Ok(refused_by(refused)));
                    }
                    let Some(response) = response.take() else {
                        return Poll::Pending;
                    };
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

impl ServiceCall {
    /// Keeps what code below the handler has registered.
    fn register(&self, tasks: Vec<Task>) {
        for task in tasks {
            self.registered.background.add_background(task);
        }
    }

    #[cfg(feature = "durable")]
    fn commit(&self, status: StatusCode, headers: &HeaderMap) -> Option<Commit> {
        let has_failed = is_failure(status) || self.is_grpc && grpc::has_failed(headers);
        self.register(take_collected());
        self.registered.commit(has_failed)
    }

    /// There are no durable tasks.
    #[cfg(not(feature = "durable"))]
    #[inline(always)]
    fn commit(&self, _status: StatusCode, _headers: &HeaderMap) -> Option<Commit> {
        None
    }

    /// Makes the response of the service fit for HTTP.
    fn frame<B: HttpBody>(&self, response: &mut http::Response<OrEmpty<B>>) {
        if let Some(header) = framing::drop_ours(response.headers_mut(), self.version) {
            tracing::warn!(
                route = %self.origin,
                %header,
                "header left out; only the server sets it"
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
        let status = response.status();
        let (mut head, body) = response.into_parts();
        let mut body = SentBody::plain(body);
        body.keep(&head.headers, self.origin.clone());
        let has_failed = is_failure(status) || self.is_grpc && grpc::has_failed(&head.headers);
        let (headers, version) = (&mut head.headers, self.version);
        let connection = &self.peer.connection;
        match self.registered.accept(Some(status), has_failed) {
            None => connection.watch_wrapped(headers, &mut body, version),
            // The client has left, so nothing is sent.
            Some(on_done) if is_detached() => on_done.done(Delivery::Aborted { bytes: 0 }),
            Some(on_done) => {
                connection.track_wrapped(status, headers, &mut body, version, on_done);
            }
        }
        if let Some(busy) = self.busy.take() {
            body.keep_busy(busy);
        }
        http::Response::from_parts(head, body)
    }
}

impl<S: Service<http::Request<Body>>> fmt::Debug for TrackedFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedFuture").finish_non_exhaustive()
    }
}
