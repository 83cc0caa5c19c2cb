//! One request and its response, from the view's call to the response's hand-over.

use std::{
    any::Any,
    convert::Infallible,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{StatusCode, request::Parts};
use pin_project_lite::pin_project;

use crate::{
    background::{About, Background, Lost, message},
    body::Body,
    detach,
    error::{Error, Result},
    host::Host,
    mount::Prefix,
    request::{Request, Source},
    response::Response,
    route_fn::Runs,
    routing::{Endpoint, Params, Route, RouteId},
    sent::{Busy, Delivery, OnDone, Origin, SentBody},
};

/// In the extensions of a request whose response goes through layers or services that may make
/// another of it: what HTTP/2 allows is made of it outside of them.
#[derive(Clone, Copy)]
pub(crate) struct FramedOutside;

/// What hyper is given: its own type, so that nobody need move it.
pub(crate) type Answer = Result<http::Response<SentBody<Body>>, Infallible>;

pub(crate) type Running = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A request and its response. The response outlives a view that fails, panics, or is dropped: its
/// tasks run in each case.
struct Exchange<'a> {
    request: &'a mut Request,
    response: &'a mut Response,
    route: RouteId,
    busy: Option<Busy>,
    /// The view returned an error, panicked, or was dropped.
    has_failed: bool,
    /// What was registered on responses that are not there any more.
    lost: Lost,
}

impl<'a> Exchange<'a> {
    #[inline]
    fn new(
        request: &'a mut Request,
        response: &'a mut Response,
        route: RouteId,
        busy: Option<Busy>,
    ) -> Self {
        Self {
            request,
            response,
            route,
            busy,
            has_failed: true,
            lost: Lost::default(),
        }
    }

    fn route(&self) -> Option<&Route> {
        self.request.host().shared()?.router.route(self.route)
    }

    fn route_path(&self) -> Option<Arc<str>> {
        let path = &self.route()?.path;
        Some(match self.request.extensions().get::<Prefix>() {
            Some(prefix) => prefix.join(path).into(),
            None => Arc::clone(path),
        })
    }

    fn view_name(&self) -> &'static str {
        self.route().map_or("no view", |route| route.name)
    }

    #[allow(
        clippy::mem_forget,
        reason = "to drop what is empty takes its time too"
    )]
    #[inline(always)]
    fn finish(mut self, outcome: std::thread::Result<Result<()>>) {
        match outcome {
            Ok(Ok(())) => self.has_failed = false,
            Ok(Err(error)) => self.answer_error(&error),
            Err(panic) => {
                let view = self.view_name();
                self.response.answer_panic(&message(&*panic), view);
            }
        }
        self.hand_over();
        // What it would do when it is dropped is done, and what it had was taken.
        mem::forget(self);
    }

    /// Lets the app's own handler answer, if it has one for this error.
    #[cold]
    fn answer_error(&mut self, error: &Error) {
        let view = self.view_name();
        self.response.begin_error();
        let (request, response) = (&*self.request, &mut *self.response);
        let handlers = request.host().shared().map(|shared| &shared.on_error);
        let handled = || handlers.is_some_and(|all| all.handle(request, response, error));
        let handled = || catch_unwind(AssertUnwindSafe(handled));
        match self.lost.within(handled) {
            Ok(true) => {}
            Ok(false) => self.response.answer_error(error, view),
            Err(panic) => self.response.answer_panic(&message(&*panic), view),
        }
    }

    #[inline(always)]
    fn hand_over(&mut self) {
        let version = self.request.version();
        if !self.response.is_ordinary(version) {
            if let Some(shared) = self.request.host().shared() {
                self.response.end_with(&shared.ending);
            }
            let view = self.view_name();
            let is_outermost = self.request.extensions().get::<FramedOutside>().is_none();
            self.response
                .finish(self.request.method(), version, view, is_outermost);
        }
        if !self.response.is_plain() && self.request.host().peer().is_some() {
            let view = self.view_name();
            let (headers, body) = self.response.tracked_mut();
            body.keep(headers, Origin::View(view));
        }
        match self.accept() {
            None => self.response.watch(self.request),
            Some(on_done) => self.response.track(on_done, self.request),
        }
        if let Some(busy) = self.busy.take() {
            self.response.tracked_mut().1.keep_busy(busy);
        }
    }

    /// Accepts what the view has registered, unless a door around this app takes care of it.
    #[inline]
    fn accept(&mut self) -> Option<OnDone> {
        if !self.lost.is_empty() {
            self.response.tasks_mut().lose(&mut self.lost);
        }
        if self.response.tasks_mut().is_empty() {
            return None;
        }
        self.accept_some()
    }

    fn accept_some(&mut self) -> Option<OnDone> {
        let status = self.response.status_code();
        if self.has_failed || is_failure(status) {
            self.response.tasks_mut().view_failed();
        }
        if let Some(outer) = self.request.extensions().get::<Background>() {
            outer.append(mem::take(self.response.tasks_mut()), self.route_path());
            return None;
        }
        let host = self.request.host();
        let runner = &host.shared()?.runner;
        // Reports alone tell it.
        let route = runner.reports().then(|| self.route_path()).flatten();
        let fill = |about: &mut About| {
            about.status = Some(status);
            about.route = route;
            about.pool = host
                .peer()
                .filter(|_| runner.is_current())
                .map(|peer| Arc::clone(&peer.pool));
        };
        Some(runner.accept(self.response.tasks_mut(), fill))
    }
}

/// As the condition of a task sees it.
pub(crate) fn is_failure(status: StatusCode) -> bool {
    status.as_u16() >= 400
}

impl Response {
    /// Its content is bytes, as that of most.
    #[inline]
    fn is_plain(&mut self) -> bool {
        self.tracked_mut().1.get_mut().is_plain()
    }

    /// Lets a response without a task be watched for stalling.
    #[inline]
    fn watch(&mut self, request: &Request) {
        if let Host::Server(peer) = request.host() {
            let (headers, body) = self.tracked_mut();
            peer.connection
                .watch_wrapped(headers, body, request.version());
        }
    }

    /// Lets the response's way be followed, for its tasks.
    #[inline(always)]
    fn track(&mut self, on_done: OnDone, request: &Request) {
        let status = self.status_code();
        let (headers, body) = self.tracked_mut();
        match request.host() {
            // There is nobody any more to send it to.
            _ if detach::is_detached() => on_done.done(Delivery::Aborted { bytes: 0 }),
            Host::Server(peer) => {
                peer.connection
                    .track_wrapped(status, headers, body, request.version(), on_done);
            }
            Host::Service(_) | Host::Nowhere => body.get_mut().keep(on_done),
        }
    }
}

impl Drop for Exchange<'_> {
    /// The view was dropped.
    fn drop(&mut self) {
        self.lost.gather();
        if let Some(on_done) = self.accept() {
            on_done.done(Delivery::Aborted { bytes: 0 });
        }
    }
}

/// Answers what no view answers; an error as if a view had returned it.
pub(crate) fn answer(
    mut request: Request,
    busy: Option<Busy>,
    build: impl FnOnce(&mut Response) -> Result<()>,
) -> Answer {
    let mut response = Response::new();
    let exchange = Exchange::new(&mut request, &mut response, RouteId::NONE, busy);
    let built = build(exchange.response);
    exchange.finish(Ok(built));
    Ok(response.into_inner())
}

/// What makes a view.
pub(crate) struct ViewEndpoint<V>(pub(crate) V);

impl<R: for<'a> Runs<'a>, V: Fn() -> R + Send + Sync> Endpoint for ViewEndpoint<V> {
    /// Calls the view.
    ///
    /// One allocation holds the request, its response and the running view, which borrows from both:
    /// they stay where they were built. That is why the place comes first, and is filled then.
    #[allow(
        clippy::mem_forget,
        reason = "to drop what is empty takes its time too"
    )]
    fn serve(
        &self,
        head: Parts,
        body: Source,
        params: Params,
        route: RouteId,
        host: Host,
        busy: Option<Busy>,
    ) -> Running {
        // Unlike `Box::new`, this writes no more than there is to be written.
        let mut place = Box::<Place<_>>::default();
        let view = self.0();
        let mut request = Request::new(head, body, params, host);
        // Nothing was there that had to be dropped.
        mem::forget(place.future.replace(async move {
            let mut response = Response::new();
            let mut exchange = Exchange::new(&mut request, &mut response, route, busy);
            let view = view.run(exchange.request, exchange.response);
            let lost = &mut exchange.lost;
            let outcome = Contain { view, lost }.await;
            exchange.finish(outcome);
            // Not by a method, to which it would be moved.
            let Response {
                head, body, tasks, ..
            } = response;
            // They are, once they were accepted.
            if tasks.is_empty() {
                mem::forget(tasks);
            }
            Ok(http::Response::from_parts(head, body))
        }));
        Box::into_pin(place)
    }
}

pin_project! {
    /// Where a future is built.
    struct Place<F> {
        #[pin]
        future: Option<F>,
    }
}

impl<F> Default for Place<F> {
    #[inline]
    fn default() -> Self {
        Self { future: None }
    }
}

impl<F: Future> Future for Place<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().future.as_pin_mut() {
            Some(future) => future.poll(cx),
            // It is filled where it is made.
            None => Poll::Pending,
        }
    }
}

pin_project! {
    /// A view whose panics are caught, and what it loses noted.
    struct Contain<'a, F> {
        #[pin]
        view: F,
        lost: &'a mut Lost,
    }
}

impl<F: Future> Future for Contain<'_, F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let view = this.view;
        let poll = || catch_unwind(AssertUnwindSafe(|| view.poll(cx)));
        match this.lost.within(poll) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
