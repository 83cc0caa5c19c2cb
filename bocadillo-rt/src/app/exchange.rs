//! An exchange: calls a view, answers its error or panic, and hands over its response and its tasks.

use std::{
    mem,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

#[cfg(feature = "durable")]
use http::header::RETRY_AFTER;
use http::{Method, Version, request::Parts};
use pin_project_lite::pin_project;

use crate::{
    app::{
        mount::Prefix,
        route_fn::Runs,
        router::{Route, RouteId},
        shared::{Answer, AppConn, Caller, Endpoint, RunningView},
    },
    background::{Background, Meta, Task, TestDoor, collecting, is_failure},
    error::{Error, Result},
    guard::{catch, drop_guarded, guarded},
    message::{
        params::Params,
        request::{Request, Source},
        response::Response,
    },
    sent::{Connection, Delivery, OnDone, Origin, RequestGuard},
    server::detach::{self, Running},
};

/// A request and its response. The response outlives a view that fails, panics or is dropped, so its
/// tasks run in each of these cases.
struct Exchange<'a> {
    request: &'a mut Request,
    response: &'a mut Response,
    route: RouteId,
    caller: Caller,
    busy: Option<RequestGuard>,
    /// What code below the view has registered.
    late: Vec<Task>,
    /// The view returned an error, panicked, or was dropped.
    has_failed: bool,
}

impl<'a> Exchange<'a> {
    #[inline]
    fn new(
        request: &'a mut Request,
        response: &'a mut Response,
        route: RouteId,
        caller: Caller,
        busy: Option<RequestGuard>,
    ) -> Self {
        Self {
            request,
            response,
            route,
            caller,
            busy,
            late: Vec::new(),
            has_failed: true,
        }
    }

    fn route(&self) -> Option<&Route<Arc<dyn Endpoint>>> {
        self.caller.app().router.route(self.route)
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

    #[inline(always)]
    fn finish(mut self, outcome: Result<Result<()>, String>) {
        self.conclude(outcome);
        self.end();
    }

    #[allow(
        clippy::mem_forget,
        reason = "to drop what is empty takes its time too"
    )]
    #[inline(always)]
    fn end(mut self) {
        self.hand_over();
        // `Drop` has nothing left to do: `hand_over` has taken the tasks.
        mem::forget(self);
    }

    /// Commits the durable tasks of the view before its response; or answers that this failed.
    #[cfg(feature = "durable")]
    async fn commit(&mut self) {
        let runner = self.caller.app().runner.clone();
        if runner.store().is_none() && self.door().is_some() {
            // A door around this app has the store, and commits them.
            return;
        }
        if self.has_failed || is_failure(self.response.status_code()) {
            self.response.tasks_mut().view_failed();
        }
        let entries = self.response.tasks_mut().uncommitted();
        let Err(refused) = runner.commit_or_refuse(&entries).await else {
            return;
        };
        self.response.tasks_mut().refuse_uncommitted();
        self.has_failed = true;
        self.answer_error(&refused.error().into());
        if let Some(time) = refused.retry_after() {
            self.response.header(RETRY_AFTER, time);
        }
    }

    /// Answers a view that has failed.
    #[inline(always)]
    fn conclude(&mut self, outcome: Result<Result<()>, String>) {
        match outcome {
            Ok(Ok(())) => self.has_failed = false,
            Ok(Err(error)) => {
                self.answer_error(&error);
                drop_guarded("a view's error", error);
            }
            Err(panic) => {
                let view = self.view_name();
                self.response.answer_panic(&panic, view);
            }
        }
    }

    /// Calls the app's handler for this error, if there is one. The handler and the error's `Display` are a
    /// user's code, and may panic.
    #[cold]
    fn answer_error(&mut self, error: &Error) {
        let view = self.view_name();
        self.response.begin_error();
        let (request, response) = (&*self.request, &mut *self.response);
        let handlers = &self.caller.app().on_error;
        let answered = guarded(|| {
            if !handlers.handle(request, response, error) {
                response.answer_error(error, view);
            }
        });
        if let Err(panic) = answered {
            self.response.answer_panic(&panic, view);
        }
    }

    #[inline(always)]
    fn hand_over(&mut self) {
        let version = self.request.version();
        if !self.response.is_ordinary(version) {
            let settings = &self.caller.app().settings;
            self.response.end_with(settings.end.begun());
            let view = self.view_name();
            let extensions = self.request.extensions();
            let door = extensions.get::<Background>();
            let is_outermost = door.is_none_or(|door| door.peer().is_none());
            self.response
                .finish(self.request.method(), version, view, is_outermost);
            if self.caller.conn().is_some() {
                self.response.hand_to_hyper();
            }
        }
        if !self.response.is_plain() && self.caller.conn().is_some() {
            let view = self.view_name();
            let (headers, body) = self.response.tracked_mut();
            body.keep(headers, Origin::View(view));
        }
        match self.accept() {
            None => self.response.watch(&self.caller, version),
            Some(on_done) => {
                let method = self.request.method();
                self.response.track(on_done, &self.caller, version, method);
            }
        }
        if let Some(busy) = self.busy.take() {
            self.response.tracked_mut().1.keep_busy(busy);
        }
    }

    /// Accepts the tasks of the response, unless a door around this app does.
    #[inline]
    fn accept(&mut self) -> Option<OnDone> {
        if !self.late.is_empty() {
            self.add_late();
        }
        if self.response.tasks_mut().is_empty() {
            return None;
        }
        self.accept_some()
    }

    /// Returns the door around this app, which takes care of its tasks.
    #[inline]
    fn door(&self) -> Option<&Background> {
        let extensions = self.request.extensions();
        let test = || extensions.get().map(|TestDoor(door)| door);
        extensions.get::<Background>().or_else(test)
    }

    #[cold]
    fn add_late(&mut self) {
        for task in mem::take(&mut self.late) {
            self.response.add_background(task);
        }
    }

    fn accept_some(&mut self) -> Option<OnDone> {
        let status = self.response.status_code();
        let has_failed = self.has_failed || is_failure(status);
        if has_failed {
            self.response.tasks_mut().view_failed();
        }
        if let Some(door) = self.door().cloned() {
            door.append(mem::take(self.response.tasks_mut()), self.route_path());
            return None;
        }
        let caller = &self.caller;
        let runner = &caller.app().runner;
        // Only reports have the route.
        let route = runner.reports().then(|| self.route_path()).flatten();
        let fill = |meta: &mut Meta| {
            meta.status = Some(status);
            meta.route = route;
            meta.has_failed = has_failed;
            meta.pool = caller
                .conn()
                .filter(|_| runner.is_current())
                .map(|conn| Arc::clone(&conn.pool));
        };
        Some(runner.accept(self.response.tasks_mut(), fill))
    }
}

#[inline]
fn connection(conn: &AppConn) -> &Connection {
    &conn.context.connection
}

impl Response {
    /// Returns whether the content is bytes in memory, as in most responses.
    #[inline]
    fn is_plain(&mut self) -> bool {
        self.tracked_mut().1.get_mut().is_plain()
    }

    /// Watches a response without tasks, so that it is aborted if it stalls.
    #[inline]
    fn watch(&mut self, caller: &Caller, version: Version) {
        if let Caller::Server(conn) = caller {
            let (headers, body) = self.tracked_mut();
            connection(conn).watch_wrapped(headers, body, version);
        }
    }

    /// Tracks the response until it is sent or aborted, which starts its tasks.
    #[inline(always)]
    fn track(&mut self, on_done: OnDone, caller: &Caller, version: Version, method: &Method) {
        let status = self.status_code();
        let (headers, body) = self.tracked_mut();
        match caller {
            // The client has left, so nothing is sent.
            _ if detach::is_detached() => on_done.done(Delivery::Aborted { bytes: 0 }),
            Caller::Server(conn) => {
                connection(conn).track_wrapped(status, headers, body, version, on_done);
            }
            Caller::Service(_) => body.get_mut().keep(method, status, headers, on_done),
        }
    }
}

impl Drop for Exchange<'_> {
    /// Starts the tasks of a view that was dropped.
    fn drop(&mut self) {
        if let Some(on_done) = self.accept() {
            on_done.done(Delivery::Aborted { bytes: 0 });
        }
    }
}

/// Answers a request without a view. An error of `build` is answered like the error of a view.
pub(crate) fn answer(
    mut request: Request,
    caller: Caller,
    busy: Option<RequestGuard>,
    build: impl FnOnce(&mut Response) -> Result<()>,
) -> Answer {
    let mut response = Response::new();
    let exchange = Exchange::new(&mut request, &mut response, RouteId::NONE, caller, busy);
    let built = build(exchange.response);
    exchange.finish(Ok(built));
    Ok(response.into_inner())
}

/// The endpoint of a view.
pub(crate) struct ViewEndpoint<V> {
    pub(crate) view: V,
    pub(crate) name: &'static str,
    pub(crate) location: &'static Location<'static>,
}

impl<R: for<'a> Runs<'a>, V: Fn() -> R + Send + Sync> Endpoint for ViewEndpoint<V> {
    /// Calls the view.
    ///
    /// One allocation holds the request, its response and the running view, which borrows from both. The
    /// allocation comes first and is filled afterwards, so that none of them is moved.
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
        caller: Caller,
        busy: Option<RequestGuard>,
    ) -> RunningView {
        // `Box::new` would build the future on the stack and copy it.
        let mut place = Box::<Place<_>>::default();
        let view = (self.view)();
        let mut request = Request::new(head, body, params, caller.transport());
        // The place was empty, so there is nothing to drop.
        mem::forget(place.future.replace(async move {
            let mut response = Response::new();
            let mut exchange = Exchange::new(&mut request, &mut response, route, caller, busy);
            let view = view.run(exchange.request, exchange.response);
            let late = &mut exchange.late;
            let outcome = collecting(catch(view), |task| late.push(task)).await;
            if !exchange.late.is_empty() {
                exchange.add_late();
            }
            exchange.conclude(outcome);
            #[cfg(feature = "durable")]
            if exchange.response.tasks_mut().has_uncommitted() {
                Box::pin(exchange.commit()).await;
            }
            exchange.end();
            // A method would move the response.
            let Response {
                head, body, tasks, ..
            } = response;
            // They are empty after `accept`, and dropping an empty value takes time too.
            if tasks.is_empty() {
                mem::forget(tasks);
            }
            Ok(http::Response::from_parts(head, body))
        }));
        Running::new(Box::into_pin(place), self.name, self.location)
    }
}

pin_project! {
    /// The place in which a future is built.
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
            // `serve` fills each place before it returns it.
            None => Poll::Pending,
        }
    }
}
