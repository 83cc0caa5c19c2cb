//! Decides who answers a request: a view, the app's layers, or the app itself by an error or a
//! redirect.

use std::{future, sync::Arc};

use http::{Method, StatusCode, Uri, header::RETRY_AFTER, request::Parts};

use crate::{
    app::{
        exchange,
        router::{Found, RouteId},
        shared::{AppConn, AppInner, Caller, Endpoint, RunningView},
    },
    error::HttpError,
    message::{
        authority,
        body::Body,
        params::Params,
        request::{Request, Source},
    },
    sent::RequestGuard,
    server::detach::Running,
};

/// Calls the layers, or else the view, that answer a request of our own server.
pub(crate) fn serve(
    head: Parts,
    body: Source,
    conn: &Arc<AppConn>,
    busy: RequestGuard,
) -> RunningView {
    let app = &conn.app;
    let target = if is_full(app) {
        Target::NoRoom
    } else if !authority::has_valid_host(&head) {
        Target::NoHost
    } else if let Some(layered) = &conn.layered {
        Target::Endpoint(&**layered, RouteId::NONE, Params::default())
    } else {
        find(app, &head)
    };
    let caller = Caller::Server(Arc::clone(conn));
    dispatch(target, head, body, caller, Some(busy))
}

/// Calls the view that answers a request of another server or service.
pub(crate) fn call(app: &Arc<AppInner>, request: http::Request<Body>) -> RunningView {
    let (head, body) = request.into_parts();
    let target = if is_full(app) {
        Target::NoRoom
    } else {
        find(app, &head)
    };
    let caller = Caller::Service(Arc::clone(app));
    dispatch(target, head, Source::Body(body), caller, None)
}

/// Who answers a request.
enum Target<'a> {
    Endpoint(&'a dyn Endpoint, RouteId, Params),
    /// The router has found no view.
    NoView(Found<'a, Arc<dyn Endpoint>>),
    /// The runner holds requests back.
    NoRoom,
    /// The request does not name its host.
    NoHost,
}

/// Returns whether the runner has no room for the tasks that a view would register.
#[inline]
fn is_full(app: &AppInner) -> bool {
    app.runner.holds_back()
}

// Inlined into both callers, of which each request takes one.
#[inline(always)]
fn find<'a>(app: &'a AppInner, head: &Parts) -> Target<'a> {
    match app.router.find(&head.method, head.uri.path()) {
        Found::View(route, id, params) => Target::Endpoint(&*route.endpoint, id, params),
        other => Target::NoView(other),
    }
}

#[inline(always)]
fn dispatch(
    target: Target<'_>,
    head: Parts,
    body: Source,
    caller: Caller,
    busy: Option<RequestGuard>,
) -> RunningView {
    match target {
        Target::Endpoint(endpoint, id, params) => {
            endpoint.serve(head, body, params, id, caller, busy)
        }
        other => answer(head, body, &other, caller, busy),
    }
}

/// Answers a request that no endpoint answers.
#[cold]
fn answer(
    head: Parts,
    body: Source,
    target: &Target<'_>,
    caller: Caller,
    busy: Option<RequestGuard>,
) -> RunningView {
    let beside = match target {
        Target::NoView(Found::Slash) => Some(with_slash(&head.uri)),
        Target::NoView(Found::NoSlash) => Some(without_slash(&head.uri)),
        _ => None,
    };
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    let request = Request::new(head, body, Params::default(), caller.transport());
    let answer = exchange::answer(request, caller, busy, |res| match target {
        Target::NoView(Found::WrongMethod(methods)) => {
            res.allow(methods);
            Err(HttpError::new(405).into())
        }
        Target::NoView(Found::Options(methods)) => {
            res.answer_options(methods);
            Ok(())
        }
        Target::NoView(Found::Slash | Found::NoSlash) => {
            res.redirect(beside.unwrap_or_default());
            // After a 302 browsers send a GET without the body.
            if !is_read {
                res.status(StatusCode::TEMPORARY_REDIRECT);
            }
            Ok(())
        }
        Target::NoRoom => {
            res.header(RETRY_AFTER, "1");
            let detail = "Too much background work is waiting.";
            Err(HttpError::new(503).detail(detail).into())
        }
        Target::NoHost => {
            let detail = "The request must have one valid `Host` header.";
            Err(HttpError::new(400).detail(detail).into())
        }
        Target::NoView(Found::Nothing | Found::View(..)) | Target::Endpoint(..) => {
            Err(HttpError::new(404).into())
        }
    });
    Running::service(future::ready(answer))
}

/// Returns the redirect to a path with a slash at its end. It is relative and names the last
/// segment only: so it is right beneath any prefix, and browsers cannot take it for another host.
fn with_slash(uri: &Uri) -> String {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    format!("./{last}/{}", query(uri))
}

/// Returns the redirect to a path without its slash. Browsers resolve it from within the folder.
fn without_slash(uri: &Uri) -> String {
    let path = uri.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let last = path.rsplit('/').next().unwrap_or_default();
    format!("../{last}{}", query(uri))
}

fn query(uri: &Uri) -> String {
    let query = uri.query().map(|query| format!("?{query}"));
    query.unwrap_or_default()
}
