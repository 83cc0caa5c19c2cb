//! Builds an app, and calls it as a tower service.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::{
    app::{builder::App, respond::ServiceFuture, router::Router, service::Built, shared::AppInner},
    message::{body::Body, context::RequestSettings},
    server::detach::Detached,
    tower::boxed::BoxedService,
};

impl App {
    /// Builds the app: returns a tower service that can be cloned. It can be
    /// [mounted](Self::mount), or run by another server. A route that conflicts with an earlier one
    /// is logged and left out.
    #[must_use]
    pub fn into_service(mut self) -> BoxedService {
        BoxedService::of(self.built().clone())
    }

    /// Returns the built app, and all faults of its routes and settings.
    pub(super) fn build(&self) -> (Built, Vec<String>) {
        let (router, conflicts) = Router::build(self.routes.clone());
        let app = Arc::new(AppInner {
            router,
            settings: Arc::new(RequestSettings::new(self.states.clone(), &self.limits)),
            runner: self.runner.of_server(),
            detached: Arc::new(Detached::new(&self.limits)),
            on_error: self.on_error.clone(),
        });
        #[cfg(feature = "durable")]
        self.states
            .values()
            .for_each(|it| app.runner.adopt_state(it));
        let innermost = Built {
            app: Arc::clone(&app),
            layered: None,
        };
        let layered = (!self.layers.is_empty()).then(|| {
            let innermost = BoxedService::of(innermost);
            self.layers
                .iter()
                .fold(innermost, |inner, wrap| wrap(inner))
        });
        let conflicts = conflicts.iter().map(ToString::to_string);
        let faults = self.faults.iter().cloned().chain(conflicts).collect();
        (Built { app, layered }, faults)
    }

    fn build_and_log(&self) -> Built {
        let (built, faults) = self.build();
        for fault in faults {
            tracing::error!(fault, "route ignored");
        }
        built
    }

    /// Returns the built app. Its faults are logged, because the caller of a service cannot handle
    /// them.
    fn built(&mut self) -> &Built {
        let built = match self.built.take() {
            Some(built) => built,
            None => self.build_and_log(),
        };
        self.built.insert(built)
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
