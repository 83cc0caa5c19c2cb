//! A built app as a tower service.

use std::sync::Arc;

use crate::{
    app::{
        dispatch,
        mount::respond,
        respond::ServiceFuture,
        shared::{AppInner, Around, Caller},
    },
    message::body::Body,
    tower::boxed::{BoxedService, Responding, SharedService},
};

/// A built app, with its layers if it has any.
#[derive(Clone)]
pub(crate) struct Built {
    pub(crate) app: Arc<AppInner>,
    pub(crate) layered: Option<BoxedService>,
}

impl Built {
    pub(crate) fn call(&self, request: http::Request<Body>) -> ServiceFuture {
        match &self.layered {
            None => {
                let around = request.extensions().get::<Around>().cloned();
                let caller = match around {
                    Some(Around(conn)) => Caller::Server(conn),
                    None => Caller::Service(Arc::clone(&self.app)),
                };
                ServiceFuture::view(dispatch::call(&self.app, request), caller)
            }
            Some(layered) => {
                let responding = respond(layered, request, &self.app.runner);
                ServiceFuture::layered(responding)
            }
        }
    }
}

impl SharedService for Built {
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
