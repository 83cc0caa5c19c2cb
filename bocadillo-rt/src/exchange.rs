//! One request and its response, from the view's call to the response's hand-over.

use std::{
    any::Any,
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::Incoming;
use pin_project_lite::pin_project;

use crate::{
    background::{Background, Slot, Waiting, message},
    body::Body,
    detach,
    error::Result,
    host::Host,
    request::Request,
    response::Response,
    route_fn::Runs,
    sent::{Busy, Delivery, SentBody},
};

/// What hyper is given: its own type, so that nobody need move it.
pub(crate) type Answer = Result<http::Response<SentBody<Body>>, Infallible>;

pub(crate) type Running = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A request and its response. The response outlives a view that fails, panics, or is dropped: its
/// tasks run in each case.
struct Exchange<'a> {
    request: &'a mut Request,
    response: Response,
    view: &'static str,
    busy: Option<Busy>,
}

impl<'a> Exchange<'a> {
    #[inline]
    fn new(request: &'a mut Request, view: &'static str, busy: Option<Busy>) -> Self {
        Self {
            request,
            response: Response::new(),
            view,
            busy,
        }
    }

    #[inline(always)]
    fn finish(&mut self, outcome: std::thread::Result<Result<()>>) -> Answer {
        let view = self.view;
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.response.answer_error(&error, view),
            Err(panic) => self.response.answer_panic(&message(&*panic), view),
        }
        self.hand_over()
    }

    #[inline(always)]
    fn hand_over(&mut self) -> Answer {
        let busy = self.busy.take();
        let Self {
            request,
            response,
            view,
            ..
        } = self;
        response.finish(request.method(), request.version(), view);
        // Where it is: it is moved once, to hyper.
        match response.take_tasks() {
            None => response.watch(request),
            Some(tasks) => response.track(tasks, request),
        }
        let mut answer = response.take_inner();
        if let Some(busy) = busy {
            answer.body_mut().keep_busy(busy);
        }
        Ok(answer)
    }
}

/// Accepts what the view has registered, unless a door around this app takes care of it.
fn accept(tasks: Slot, request: &Request) -> Option<Waiting> {
    if let Some(outer) = request.extensions().get::<Background>() {
        outer.append(tasks);
        return None;
    }
    let shared = request.host().shared()?;
    Some(shared.runner.accept(tasks, None))
}

impl Response {
    /// Lets a response without a task be watched for stalling.
    #[inline]
    fn watch(&mut self, request: &Request) {
        if let Host::Server(peer) = request.host() {
            let version = request.version();
            peer.connection.watch_wrapped(self.inner_mut(), version);
        }
    }

    /// Lets the response's way be followed, for its tasks.
    fn track(&mut self, tasks: Slot, request: &Request) {
        let Some(mut tasks) = accept(tasks, request) else {
            self.watch(request);
            return;
        };
        let response = self.inner_mut();
        match request.host() {
            // There is nobody any more to send it to.
            _ if detach::is_detached() => tasks.start_all(Delivery::Aborted { bytes: 0 }),
            Host::Server(peer) => {
                tasks.run_on(&peer.runtime);
                let on_done = move |delivery| tasks.start_all(delivery);
                peer.connection
                    .track_wrapped(response, request.version(), on_done);
            }
            Host::Service(_) | Host::Nowhere => response.body_mut().get_mut().keep(tasks),
        }
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        let tasks = self.response.take_tasks();
        if let Some(tasks) = tasks.and_then(|tasks| accept(tasks, self.request)) {
            tasks.start_all(Delivery::Aborted { bytes: 0 });
        }
    }
}

/// A request's body: hyper's, or any other's where an app is a tower service.
pub(crate) trait Arriving {
    fn arrive(self, busy: Option<&Busy>) -> Body;
}

impl Arriving for Incoming {
    #[inline(always)]
    fn arrive(self, busy: Option<&Busy>) -> Body {
        match busy {
            Some(busy) => Body::incoming(self, busy),
            None => Body::new(self),
        }
    }
}

impl Arriving for Body {
    #[inline(always)]
    fn arrive(self, _busy: Option<&Busy>) -> Body {
        self
    }
}

/// Answers what no view answers.
pub(crate) fn answer(
    mut request: Request,
    view: &'static str,
    busy: Option<Busy>,
    build: impl FnOnce(&mut Response),
) -> Answer {
    let mut exchange = Exchange::new(&mut request, view, busy);
    build(&mut exchange.response);
    exchange.hand_over()
}

/// Calls a view.
///
/// One allocation holds the request, its response and the running view, which borrows from both:
/// they stay where they were built. That is why the place comes first, and is filled then.
#[inline]
pub(crate) fn run<R: for<'a> Runs<'a>>(
    view: R,
    name: &'static str,
    busy: Option<Busy>,
    mut request: Request,
) -> Running {
    // Unlike `Box::new`, this writes no more than there is to be written.
    let mut place = Box::into_pin(Box::<Place<_>>::default());
    place.as_mut().project().future.set(Some(async move {
        let mut exchange = Exchange::new(&mut request, name, busy);
        let outcome = Contain {
            view: view.run(exchange.request, &mut exchange.response),
        }
        .await;
        exchange.finish(outcome)
    }));
    place
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
    /// A view whose panics are caught.
    struct Contain<F> {
        #[pin]
        view: F,
    }
}

impl<F: Future> Future for Contain<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let view = self.project().view;
        match catch_unwind(AssertUnwindSafe(|| view.poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
