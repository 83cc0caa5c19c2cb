//! What an app answers errors with.

use std::error::Error as StdError;

use crate::{error::Error, request::Request, response::Response};

type Handler = Box<dyn Fn(&Request, &mut Response, &Error) -> bool + Send + Sync>;

/// The handlers, each for one type of error; the first that is for it answers.
#[derive(Default)]
pub(crate) struct OnError(Vec<Handler>);

impl OnError {
    pub(crate) fn add<E: StdError + 'static>(
        &mut self,
        handler: impl Fn(&Request, &mut Response, &E) + Send + Sync + 'static,
    ) {
        self.0.push(Box::new(move |req, res, error| {
            let Some(error) = error.downcast_ref() else {
                return false;
            };
            handler(req, res, error);
            true
        }));
    }

    /// Whether there was a handler for this error.
    pub(crate) fn handle(&self, req: &Request, res: &mut Response, error: &Error) -> bool {
        self.0.iter().any(|handler| handler(req, res, error))
    }
}
