//! One request and its response, from the view's call to the response's hand-over.

use std::{
    any::Any,
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

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
    routing::{Params, RouteInfo},
    sent::{Busy, Delivery, SentBody},
};

/// What hyper is given: its own type, so that nobody need move it.
pub(crate) type Answer = Result<http::Response<SentBody<Body>>, Infallible>;

pub(crate) type Running = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A request, its response, and what both need. The response outlives a view that fails, panics,
/// or is dropped: its tasks run in each case.
pub(crate) struct Exchange {
    request: Request,
    response: Response,
    route: RouteInfo,
    busy: Option<Busy>,
}

impl Exchange {
    pub(crate) fn new(
        head: http::request::Parts,
        body: Body,
        params: Params,
        route: RouteInfo,
        host: Host,
        busy: Option<Busy>,
    ) -> Self {
        let request = Request::new(head, body, params, host);
        Self {
            request,
            response: Response::new(),
            route,
            busy,
        }
    }

    /// Answers what no view answers.
    pub(crate) fn answer(mut self, build: impl FnOnce(&mut Response)) -> Answer {
        build(&mut self.response);
        self.hand_over()
    }

    fn finish(&mut self, outcome: std::thread::Result<Result<()>>) -> Answer {
        let view = self.route.name;
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.response.answer_error(&error, view),
            Err(panic) => self.response.answer_panic(&message(&*panic), view),
        }
        self.hand_over()
    }

    fn hand_over(&mut self) -> Answer {
        let (busy, view) = (self.busy.take(), self.route.name);
        let Self {
            request, response, ..
        } = self;
        response.finish(request.method(), request.version(), view);
        let tasks = response.take_tasks();
        // Where it is: it is moved once, to hyper.
        response.hand_over(
            busy,
            tasks.and_then(|tasks| accept(tasks, request)),
            request,
        );
        Ok(response.take_inner())
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
    /// Lets the response's way be followed, for its tasks or for stalling.
    fn hand_over(&mut self, busy: Option<Busy>, tasks: Option<Waiting>, request: &Request) {
        let (response, version) = (self.inner_mut(), request.version());
        if let Some(busy) = busy {
            response.body_mut().keep_busy(busy);
        }
        match (tasks, request.host()) {
            (None, Host::Server(peer)) => peer.connection.watch_wrapped(response, version),
            (None, Host::Service(_) | Host::Nowhere) => {}
            // There is nobody any more to send it to.
            (Some(tasks), _) if detach::is_detached() => {
                tasks.start_all(Delivery::Aborted { bytes: 0 });
            }
            (Some(tasks), Host::Server(peer)) => {
                let on_done = move |delivery| tasks.start_all(delivery);
                peer.connection.track_wrapped(response, version, on_done);
            }
            (Some(tasks), Host::Service(_) | Host::Nowhere) => {
                response.body_mut().get_mut().keep(tasks);
            }
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let tasks = self.response.take_tasks();
        if let Some(tasks) = tasks.and_then(|tasks| accept(tasks, &self.request)) {
            tasks.start_all(Delivery::Aborted { bytes: 0 });
        }
    }
}

/// Calls a view.
///
/// One allocation holds the exchange and the running view, which borrows from it: they stay where
/// they were built.
pub(crate) fn run<R: for<'a> Runs<'a>>(view: R, mut exchange: Exchange) -> Running {
    Box::pin(async move {
        let exchange = &mut exchange;
        let outcome = Contain {
            view: view.run(&mut exchange.request, &mut exchange.response),
        }
        .await;
        exchange.finish(outcome)
    })
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
