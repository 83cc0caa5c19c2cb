//! The error handlers of an app.

use std::{error::Error as StdError, sync::Arc};

use crate::{
    error::Error,
    message::{request::Request, response::Response},
};

type Handler = Arc<dyn Fn(&Request, &mut Response, &Error) -> bool + Send + Sync>;
type AnyHandler = Arc<dyn Fn(&Request, &mut Response, &Error) + Send + Sync>;

/// The handlers, each for one type of error. The first one that fits answers.
#[derive(Clone, Default)]
pub(crate) struct OnError {
    by_type: Vec<Handler>,
    any: Option<AnyHandler>,
}

impl OnError {
    pub(crate) fn add<E: StdError + 'static>(
        &mut self,
        handler: impl Fn(&Request, &mut Response, &E) + Send + Sync + 'static,
    ) {
        self.by_type.push(Arc::new(move |req, res, error| {
            let Some(error) = error.downcast_ref() else {
                return false;
            };
            handler(req, res, error);
            true
        }));
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.by_type.extend(other.by_type);
        self.any = other.any.or(self.any.take());
    }

    pub(crate) fn set_any(
        &mut self,
        handler: impl Fn(&Request, &mut Response, &Error) + Send + Sync + 'static,
    ) {
        self.any = Some(Arc::new(handler));
    }

    /// Calls the handler for this error. Returns whether there was one.
    pub(crate) fn handle(&self, req: &Request, res: &mut Response, error: &Error) -> bool {
        if self.by_type.iter().any(|handler| handler(req, res, error)) {
            return true;
        }
        let Some(any) = &self.any else { return false };
        // An error of the server is logged, whatever the handler tells the client.
        if error.status().is_server_error() {
            tracing::error!(%error, path = req.path(), "view failed");
        }
        res.status(error.status());
        any(req, res, error);
        true
    }
}
