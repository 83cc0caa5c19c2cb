//! One request and its response, from the view's call to the response's hand-over.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
};

use http::{Method, Version};

use crate::{
    app::Shared,
    background::{Background, Group, Slot, Waiting, message},
    body::Body,
    error::Result,
    request::Request,
    response::Response,
    route_fn::Runs,
    routing::{Call, Params, RouteInfo},
    sent::Delivery,
};

/// What a view has answered.
pub(crate) struct Answer {
    pub(crate) response: http::Response<Body>,
    /// None, for most.
    pub(crate) tasks: Option<Waiting>,
}

pub(crate) type Running = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Calls a view.
///
/// One allocation holds the request, the response and the running view, which borrows them: they
/// are built where they stay.
pub(crate) fn run<R: for<'a> Runs<'a>>(view: R, call: Call) -> Running {
    Box::pin(async move {
        let Call {
            request,
            params,
            shared,
            route,
            client,
        } = call;
        let (method, version) = (request.method().clone(), request.version());
        let outer = request.extensions().get::<Background>().cloned();
        let (state, limit) = (Arc::clone(&shared.state), shared.body_limit);
        let mut request = Request::new(request, params, state, client, limit);
        let mut guard = Guard {
            response: Response::new(),
            shared,
            outer,
        };
        let outcome = {
            let view = pin!(view.run(&mut request, &mut guard.response));
            contain(view).await
        };
        // Whatever the tasks do, the request's own data is not kept for them.
        drop(request);
        guard.finish(outcome, &route, &method, version)
    })
}

/// Answers what no view answers.
pub(crate) fn answer(call: Call, build: impl FnOnce(&mut Response)) -> Answer {
    let (method, version) = (call.request.method().clone(), call.request.version());
    let mut response = Response::new();
    build(&mut response);
    Answer {
        response: response.finish(&method, version, call.route.name),
        tasks: None,
    }
}

/// The response outlives a view that fails, panics, or is dropped: its tasks run in each case.
struct Guard {
    response: Response,
    shared: Arc<Shared>,
    /// The door around this app: whoever sends the response, and starts the tasks.
    outer: Option<Background>,
}

impl Guard {
    fn finish(
        mut self,
        outcome: Result<Result<()>, Box<dyn Any + Send>>,
        route: &RouteInfo,
        method: &Method,
        version: Version,
    ) -> Answer {
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.response.answer_error(&error, route.name),
            Err(panic) => self.response.answer_panic(&message(&*panic), route.name),
        }
        let tasks = self.response.take_tasks();
        let tasks = if tasks.is_empty() {
            None
        } else {
            self.wait(tasks)
        };
        let response = std::mem::take(&mut self.response);
        Answer {
            response: response.finish(method, version, route.name),
            tasks,
        }
    }

    fn wait(&self, tasks: Slot) -> Option<Waiting> {
        match &self.outer {
            None => Some(self.shared.runner.accept(tasks, None::<Arc<Group>>)),
            Some(outer) => {
                outer.append(tasks);
                None
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let tasks = self.response.take_tasks();
        if !tasks.is_empty()
            && let Some(waiting) = self.wait(tasks)
        {
            waiting.start_all(Delivery::Aborted { bytes: 0 });
        }
    }
}

/// Polls to the end, and catches what a poll throws.
async fn contain<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, Box<dyn Any + Send>> {
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        },
    )
    .await
}

impl Call {
    pub(crate) fn new(
        request: http::Request<Body>,
        params: Params,
        shared: Arc<Shared>,
        route: RouteInfo,
        client: Option<std::net::SocketAddr>,
    ) -> Self {
        Self {
            request,
            params,
            shared,
            route,
            client,
        }
    }
}
