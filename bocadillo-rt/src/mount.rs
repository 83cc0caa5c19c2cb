//! A tower service beneath a path of an app, or around the app.

use std::{borrow::Cow, sync::Arc};

use http::{Uri, uri::PathAndQuery};
use hyper::body::Incoming;

use crate::{
    app::Shared,
    body::Body,
    boxed::BoxedService,
    exchange::Running,
    foreign,
    host::Peer,
    routing::{Endpoint, Params, RouteId},
    sent::{Busy, SentBody},
};

/// The service, and what of the path it does not see.
pub(crate) struct Mount {
    pub(crate) service: BoxedService,
    /// How many segments of the path are the prefix.
    pub(crate) segments: usize,
}

impl Mount {
    /// The path begins with the prefix, or it would not have been found.
    fn strip<B>(&self, request: &mut http::Request<B>) {
        let uri = request.uri();
        let path = uri.path();
        let mut slashes = path.match_indices('/').skip(self.segments);
        let stripped = slashes.next().map_or("/", |(at, _)| &path[at..]);
        let query = uri
            .query()
            .map_or(Cow::Borrowed(""), |query| format!("?{query}").into());
        let path = PathAndQuery::try_from(format!("{stripped}{query}"));
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = path.ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}

/// An app beneath its layers: they come before its routes.
#[derive(Clone)]
pub(crate) struct Layered(pub(crate) BoxedService);

impl Endpoint for Layered {
    fn serve(
        &self,
        request: http::Request<Incoming>,
        _params: Params,
        _route: RouteId,
        peer: Arc<Peer>,
        busy: Busy,
    ) -> Running {
        foreign::serve(&self.0, request, &peer, busy)
    }

    fn call(
        &self,
        request: http::Request<Body>,
        _params: Params,
        _route: RouteId,
        _shared: Arc<Shared>,
    ) -> Running {
        let responding = self.0.respond(request);
        Box::pin(async move { Ok(responding.await.map(SentBody::untracked)) })
    }
}

impl Endpoint for Mount {
    fn serve(
        &self,
        mut request: http::Request<Incoming>,
        _params: Params,
        _route: RouteId,
        peer: Arc<Peer>,
        busy: Busy,
    ) -> Running {
        self.strip(&mut request);
        foreign::serve(&self.service, request, &peer, busy)
    }

    /// Its tasks are left to the door around the app.
    fn call(
        &self,
        mut request: http::Request<Body>,
        _params: Params,
        _route: RouteId,
        _shared: Arc<Shared>,
    ) -> Running {
        self.strip(&mut request);
        let responding = self.service.respond(request);
        Box::pin(async move { Ok(responding.await.map(SentBody::untracked)) })
    }

    fn nest(&mut self, segments: usize) {
        self.segments += segments;
    }
}
