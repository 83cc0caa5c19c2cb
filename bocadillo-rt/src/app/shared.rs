//! A built app, what it answers requests with, and the two ways in which it is called.

use std::{convert::Infallible, sync::Arc};

use http::request::Parts;

use crate::{
    app::{
        on_error::OnError,
        router::{RouteId, Router},
    },
    background::{Pool, Runner},
    message::{
        body::Body,
        context::{ConnContext, RequestSettings, Transport},
        params::Params,
        request::Source,
    },
    sent::{RequestGuard, SentBody},
    server::detach::{self, Count, Detached, Running},
};

/// The response of an app. This is the type that hyper gets, so no conversion moves it.
pub(crate) type Answer = Result<http::Response<SentBody<Body>>, Infallible>;

/// A running view or service.
pub(crate) type RunningView = Running<Answer>;

/// Answers the requests of a route.
pub(crate) trait Endpoint: Send + Sync {
    /// The request comes in two parts, because moving a large value takes longer.
    fn serve(
        &self,
        head: Parts,
        body: Source,
        params: Params,
        route: RouteId,
        caller: Caller,
        busy: Option<RequestGuard>,
    ) -> RunningView;
}

/// A built app, shared by all its requests.
pub(crate) struct AppInner {
    pub(crate) router: Router<Arc<dyn Endpoint>>,
    pub(crate) settings: Arc<RequestSettings>,
    pub(crate) runner: Runner,
    pub(crate) detached: Arc<Detached>,
    pub(crate) on_error: OnError,
}

/// An app on one connection of our own server.
pub(crate) struct AppConn {
    pub(crate) context: Arc<ConnContext>,
    /// The workers of the runtime that serves the connection.
    pub(crate) pool: Arc<Pool>,
    /// The views that run on although this client has left.
    pub(crate) detached: Arc<Count>,
    pub(crate) app: Arc<AppInner>,
    /// The app within its layers, if it has any.
    pub(crate) layered: Option<Arc<dyn Endpoint>>,
}

/// Who calls an app.
#[derive(Clone)]
pub(crate) enum Caller {
    /// Our own server.
    Server(Arc<AppConn>),
    /// Another server or service: the app is a tower service there.
    Service(Arc<AppInner>),
}

impl Caller {
    #[inline]
    pub(crate) fn conn(&self) -> Option<&AppConn> {
        match self {
            Self::Server(conn) => Some(conn),
            Self::Service(_) => None,
        }
    }

    #[inline]
    pub(crate) fn app(&self) -> &Arc<AppInner> {
        match self {
            Self::Server(conn) => &conn.app,
            Self::Service(app) => app,
        }
    }

    #[inline]
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::Server(conn) => Transport::Server(Arc::clone(&conn.context)),
            Self::Service(app) => Transport::Service(Arc::clone(&app.settings)),
        }
    }

    /// Lets a view run on without its client, within the app's limits.
    #[cold]
    pub(crate) fn detach(&self, view: RunningView) {
        let app = self.app();
        let conn = self.conn().map(|conn| &conn.detached);
        detach::detach(view, |view| app.detached.permit(conn, &app.runner, view));
    }
}

/// The connection and the app around a mounted app, in the extensions of a request: a view of the app
/// within that runs on without its client counts there.
#[derive(Clone)]
pub(crate) struct Around(pub(crate) Arc<AppConn>);
