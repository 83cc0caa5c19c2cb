//! Builds an app, and calls it as a tower service.

use std::{
    convert::Infallible,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::{
    app::{
        builder::App,
        respond::ServiceFuture,
        router::{Conflict, Router},
        service::Built,
        shared::AppInner,
    },
    message::{body::Body, context::RequestSettings},
    server::detach::Detached,
    tower::boxed::BoxedService,
};

impl App {
    /// Makes it a tower service that can be cloned: to be [mounted](Self::mount), or for somebody
    /// else's server. Routes that conflict are logged, and left out.
    #[must_use]
    pub fn into_service(mut self) -> BoxedService {
        BoxedService::of(self.built().clone())
    }

    pub(super) fn build(self) -> (Built, Vec<Conflict>) {
        let (router, conflicts) = Router::build(self.routes);
        let app = Arc::new(AppInner {
            router,
            settings: Arc::new(RequestSettings::new(self.states, &self.limits)),
            runner: self.runner.of_server(),
            detached: Arc::new(Detached::new(&self.limits)),
            on_error: self.on_error,
        });
        let innermost = Built {
            app: Arc::clone(&app),
            layered: None,
        };
        let layered = (!self.layers.is_empty()).then(|| {
            let innermost = BoxedService::of(innermost);
            self.layers
                .into_iter()
                .fold(innermost, |inner, wrap| wrap(inner))
        });
        (Built { app, layered }, conflicts)
    }

    /// The built application; what is wrong is logged, since nobody is there to be told.
    pub(super) fn built(&mut self) -> &Built {
        if self.built.is_none() {
            let mut this = mem::take(self);
            // A server of its own may come later.
            self.limits = this.limits.clone();
            self.shutdown = mem::take(&mut this.shutdown);
            self.shutdown_delay = this.shutdown_delay;
            self.on_startup = mem::take(&mut this.on_startup);
            self.on_shutdown = mem::take(&mut this.on_shutdown);
            for fault in &this.faults {
                tracing::error!(fault, "route ignored");
            }
            let (built, conflicts) = this.build();
            for conflict in conflicts {
                tracing::error!(%conflict, "route ignored");
            }
            self.built = Some(built);
        }
        self.built.get_or_insert_with(|| unreachable!("set above"))
    }
}

impl Service<http::Request<Body>> for App {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = ServiceFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> ServiceFuture {
        self.built().call(request)
    }
}
