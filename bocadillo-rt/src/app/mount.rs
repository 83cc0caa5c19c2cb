//! The endpoints of tower services: beneath a path of an app, and around the app.

use std::{borrow::Cow, sync::Arc};

use http::{Uri, request::Parts, uri::PathAndQuery};

use crate::{
    app::{
        router::RouteId,
        shared::{AppConn, Around, Caller, Endpoint, RunningView},
    },
    background::{Background, Peer, Runner, TestDoor},
    message::{body::Body, contain, params::Params, request::Source},
    sent::{Origin, RequestGuard, SentBody},
    server::detach::Running,
    tower::{
        boxed::{BoxedService, Responding},
        handed,
        service::TrackedService,
    },
};

/// A mounted service. It does not see the prefix of the path.
pub(crate) struct Mount(pub(crate) BoxedService);

/// Removes the first segments of the path. The router has matched them.
fn strip(uri: &mut Uri, segments: usize) {
    let path = uri.path();
    let mut slashes = path.match_indices('/').skip(segments);
    let stripped = slashes.next().map_or("/", |(at, _)| &path[at..]);
    let query = uri
        .query()
        .map_or(Cow::Borrowed(""), |query| format!("?{query}").into());
    let path = PathAndQuery::try_from(format!("{stripped}{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path.ok();
    if let Ok(stripped) = Uri::from_parts(parts) {
        *uri = stripped;
    }
}

/// Returns the number of segments in a prefix.
pub(crate) fn segments(prefix: &str) -> usize {
    prefix
        .split('/')
        .filter(|segment| !segment.is_empty())
        .count()
}

/// The path beneath which an app is mounted, in the extensions of its requests. Reports of the app's tasks
/// have the whole route.
#[derive(Clone)]
pub(crate) struct Prefix {
    /// The path of the mount's route. Its first segments are the prefix.
    path: Arc<str>,
    segments: usize,
    /// The prefix of the app around.
    outer: Option<Arc<Self>>,
}

impl Prefix {
    /// Returns the whole route for a route of the mounted app.
    pub(crate) fn join(&self, path: &str) -> String {
        let mut slashes = self.path.match_indices('/').skip(self.segments);
        let prefix = slashes
            .next()
            .map_or(&*self.path, |(at, _)| &self.path[..at]);
        let path = format!("{prefix}{path}");
        match &self.outer {
            Some(outer) => outer.join(&path),
            None => path,
        }
    }
}

/// The layers of an app. They see a request before the routes do.
#[derive(Clone)]
pub(crate) struct Layered(pub(crate) BoxedService);

impl Endpoint for Layered {
    fn serve(
        &self,
        head: Parts,
        body: Source,
        _params: Params,
        _route: RouteId,
        caller: Caller,
        busy: Option<RequestGuard>,
    ) -> RunningView {
        let origin = Origin::Path(head.uri.clone());
        serve(&self.0, head, body, &caller, busy, origin)
    }
}

impl Endpoint for Mount {
    fn serve(
        &self,
        mut head: Parts,
        body: Source,
        _params: Params,
        route: RouteId,
        caller: Caller,
        busy: Option<RequestGuard>,
    ) -> RunningView {
        let mut origin = Origin::Unknown;
        if let Some(route) = caller.app().router.route(route) {
            strip(&mut head.uri, route.prefix);
            let prefix = Prefix {
                path: Arc::clone(&route.path),
                segments: route.prefix,
                outer: head.extensions.remove().map(Arc::new),
            };
            origin = Origin::Route(Arc::clone(&route.path));
            head.extensions.insert(prefix);
        }
        serve(&self.0, head, body, &caller, busy, origin)
    }
}

/// Gives a service the handle of the test client, as a server gives its own.
fn show_door(request: &mut http::Request<Body>) {
    if let Some(TestDoor(door)) = request.extensions().get().cloned() {
        request.extensions_mut().insert(door);
    }
}

#[cold]
fn serve(
    service: &BoxedService,
    head: Parts,
    mut body: Source,
    caller: &Caller,
    busy: Option<RequestGuard>,
    origin: Origin,
) -> RunningView {
    body.keep_busy(busy.clone());
    let request = http::Request::from_parts(head, body.into());
    if let (Caller::Server(conn), Some(busy)) = (caller, busy) {
        return serve_tracked(service, request, conn, busy, origin);
    }
    let responding = respond(service, request, &caller.app().runner);
    Running::service(async move { Ok(responding.await.map(SentBody::plain)) })
}

/// Calls a service of an app in another server. A door around the app takes its tasks. Without a
/// door, the app's own runner does.
pub(crate) fn respond(
    service: &BoxedService,
    mut request: http::Request<Body>,
    runner: &Runner,
) -> Responding {
    show_door(&mut request);
    if request.extensions().get::<Background>().is_some() {
        return service.respond(request);
    }
    let answering = handed::answer(service.clone(), request, runner.clone());
    Box::pin(async move {
        match answering.await {
            Ok(response) => response.map(Body::new),
            Err(never) => match never {},
        }
    })
}

/// Calls a service for our own server, which tracks the response.
fn serve_tracked(
    service: &BoxedService,
    mut request: http::Request<Body>,
    conn: &Arc<AppConn>,
    busy: RequestGuard,
    origin: Origin,
) -> RunningView {
    let runner = conn.app.runner.clone();
    let peer = Peer {
        connection: conn.context.connection.clone(),
        addr: conn.context.addr,
    };
    let tracked = TrackedService::new(service.clone(), runner, Arc::new(peer));
    request.extensions_mut().insert(Around(Arc::clone(conn)));
    let answering = tracked.begin(request, busy, origin);
    Running::service(async move {
        let response = answering.await?;
        Ok(response.map(|body| body.map(|body| contain::of_service(body.into()))))
    })
}
