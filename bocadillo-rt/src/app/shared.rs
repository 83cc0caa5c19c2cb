//! The built application, and what it does with a request.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    future,
    sync::Arc,
    time::Duration,
};

use http::{Method, StatusCode, Uri, header::RETRY_AFTER, request::Parts};

use crate::{
    app::{
        exchange::{self, Running},
        host::{Host, Peer},
        mount::show_door,
        on_error::OnError,
        respond::ServiceFuture,
        router::{Endpoint, Found, Params, RouteId, Router},
    },
    background::Runner,
    error::HttpError,
    message::{
        authority,
        body::Body,
        request::{Request, Source},
    },
    sent::Busy,
    server::{detach::Detached, shutdown::End},
    tower::{
        boxed::{BoxedService, Call, Responding},
        service::Around,
    },
};

/// The built application, shared by all requests.
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) state: State,
    pub(crate) runner: Runner,
    pub(crate) body_limit: usize,
    pub(crate) body_timeout: Duration,
    /// Of the app's own server.
    pub(crate) end: End,
    pub(crate) detached: Detached,
    pub(crate) on_error: OnError,
}

/// An app that can be called: with its layers, if it has any.
#[derive(Clone)]
pub(crate) struct Built {
    pub(crate) shared: Arc<Shared>,
    pub(crate) layered: Option<BoxedService>,
}

impl Built {
    pub(super) fn call(&self, mut request: http::Request<Body>) -> ServiceFuture {
        match &self.layered {
            None => {
                let around = request.extensions().get::<Around>().cloned();
                let host = match around {
                    Some(Around(peer)) => Host::Server(peer),
                    None => Host::Service(Arc::clone(&self.shared)),
                };
                ServiceFuture::view(self.shared.call(request), host)
            }
            Some(layered) => {
                show_door(&mut request);
                ServiceFuture::layered(layered.respond(request))
            }
        }
    }
}

impl Call for Built {
    fn call(&self, request: http::Request<Body>) -> Responding {
        let responding = Self::call(self, request);
        Box::pin(async move {
            match responding.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    }
}

/// Values by their type.
#[derive(Default)]
pub(crate) struct State(pub(super) HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl State {
    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

impl Shared {
    /// Calls what answers a request of our own server: the layers, or else a view.
    pub(crate) fn serve(&self, head: Parts, body: Source, peer: &Arc<Peer>, busy: Busy) -> Running {
        let found = if self.is_full() {
            Found::NoRoom
        } else if !authority::is_told(&head) {
            Found::NoHost
        } else if let Some(layered) = &peer.layered {
            Found::Layers(layered)
        } else {
            self.router.find(&head.method, head.uri.path())
        };
        let host = Host::Server(Arc::clone(peer));
        respond(found, head, body, host, Some(busy))
    }

    /// Returns whether there is no room for what a view would register.
    #[inline]
    fn is_full(&self) -> bool {
        self.runner.holds_back()
    }

    /// Calls the view that answers a request of somebody else's.
    fn call(self: &Arc<Self>, request: http::Request<Body>) -> Running {
        let (head, body) = request.into_parts();
        let found = if self.is_full() {
            Found::NoRoom
        } else {
            self.router.find(&head.method, head.uri.path())
        };
        let host = Host::Service(Arc::clone(self));
        respond(found, head, Source::Body(body), host, None)
    }
}

#[inline(always)]
fn respond(found: Found<'_>, head: Parts, body: Source, host: Host, busy: Option<Busy>) -> Running {
    // One call for both: each would move the request.
    let (endpoint, id, params): (&dyn Endpoint, _, _) = match found {
        Found::View(route, id, params) => (&*route.endpoint, id, params),
        Found::Layers(layered) => (layered, RouteId::NONE, Params::default()),
        other => return answer(head, body, &other, host, busy),
    };
    endpoint.serve(head, body, params, id, host, busy)
}

/// Answers what no view answers.
#[cold]
fn answer(head: Parts, body: Source, found: &Found<'_>, host: Host, busy: Option<Busy>) -> Running {
    let beside = match found {
        Found::Slash => Some(with_slash(&head.uri)),
        Found::NoSlash => Some(without_slash(&head.uri)),
        _ => None,
    };
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    let request = Request::new(head, body, Params::default(), host);
    let answer = exchange::answer(request, busy, |res| match found {
        Found::WrongMethod(methods) => {
            res.allow(methods);
            Err(HttpError::new(405).into())
        }
        Found::Options(methods) => {
            res.answer_options(methods);
            Ok(())
        }
        Found::Slash | Found::NoSlash => {
            res.redirect(beside.unwrap_or_default());
            // With a 302 browsers forget the method and the body.
            if !is_read {
                res.status(StatusCode::TEMPORARY_REDIRECT);
            }
            Ok(())
        }
        Found::NoRoom => {
            res.header(RETRY_AFTER, "1");
            let detail = "Too much background work is waiting.";
            Err(HttpError::new(503).detail(detail).into())
        }
        Found::NoHost => {
            let detail = "The request must have one valid `Host` header.";
            Err(HttpError::new(400).detail(detail).into())
        }
        Found::Nothing | Found::View(..) | Found::Layers(_) => Err(HttpError::new(404).into()),
    });
    Running::service(future::ready(answer))
}

/// Beside what was asked for, and by its last part alone: so it is right beneath a prefix too, and
/// cannot be taken for another host.
fn with_slash(uri: &Uri) -> String {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    format!("./{last}/{}", query(uri))
}

/// As [`with_slash`], seen from within what looks like a folder.
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
