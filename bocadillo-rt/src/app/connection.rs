//! An app on the connections of our own server.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::body::Incoming;
use tokio::runtime::Handle;

use crate::{
    app::{
        dispatch,
        mount::Layered,
        respond::Respond,
        service::Built,
        shared::{AppConn, Endpoint},
    },
    error::Result,
    message::{body::Body, context::ConnContext, request::Source},
    sent::SentBody,
    server::{detach::Count, limits::Limits, listener::Listener, run::Server, signals::Signalled},
};

/// Serves an app until a shutdown.
pub(crate) async fn serve<L: Listener>(
    listener: L,
    built: Built,
    limits: &Limits,
    shutdown_delay: Duration,
    stopped: impl Future<Output = Option<Signalled>>,
) -> Result<()> {
    let Built { app, layered } = built;
    let pool = app.runner.pool_of(Handle::current());
    let layered = layered.map(|service| Arc::new(Layered(service)) as Arc<dyn Endpoint>);
    let server = Server {
        limits,
        runner: &app.runner,
        end: Some(&app.settings.end),
        shutdown_delay,
    };
    let serve = |_: &L::Io, connection, addr| {
        let context = ConnContext {
            connection,
            addr,
            settings: Arc::clone(&app.settings),
        };
        ConnService(Arc::new(AppConn {
            context: Arc::new(context),
            pool: Arc::clone(&pool),
            detached: Arc::new(Count::default()),
            app: Arc::clone(&app),
            layered: layered.clone(),
        }))
    };
    server.run(listener, stopped, serve).await
}

/// An app, as hyper calls it for one connection.
///
/// One type serves apps with layers and without. hyper's code is compiled for each type of service, and
/// with two types the compiler inlines less of it.
struct ConnService(Arc<AppConn>);

impl hyper::service::Service<http::Request<Incoming>> for ConnService {
    type Response = http::Response<SentBody<Body>>;
    type Error = Infallible;
    type Future = Respond;

    fn call(&self, request: http::Request<Incoming>) -> Respond {
        let conn = &self.0;
        let (head, body) = request.into_parts();
        let busy = conn.context.connection.begin(head.version);
        let body = Source::incoming(body, &busy, head.version);
        let running = dispatch::serve(head, body, conn, busy);
        Respond::new(running, Arc::clone(conn))
    }
}
