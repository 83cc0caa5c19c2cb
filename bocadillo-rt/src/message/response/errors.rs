//! Replaces what the view has built by the answer to its error.

use http::{StatusCode, header::ALLOW};

use super::build::{JSON, Response};
use crate::{
    error::{Error, HttpError, Title},
    guard::log,
};

impl Response {
    /// Answers `error` with this response. Its headers and tasks stay.
    pub(crate) fn answer_error(&mut self, error: &Error, view: &str) {
        let Some(http) = error.as_http() else {
            self.answer_internal();
            tracing::error!(view, error = %error, "view failed");
            return;
        };
        self.answer_http(http);
        if http.status().is_server_error() {
            tracing::error!(view, error = %error, "view failed");
        }
    }

    /// Resets what belonged to the view's own answer: its faults, and the headers that describe its
    /// content.
    pub(crate) fn begin_error(&mut self) {
        self.is_endless = false;
        self.forget_content();
        self.fault = None;
    }

    pub(crate) fn answer_http(&mut self, error: &HttpError) {
        self.begin_error();
        self.status(error.status());
        self.content(JSON, error.body().into());
    }

    pub(crate) fn answer_panic(&mut self, panic: &str, view: &str) {
        self.answer_internal();
        log(|| tracing::error!(view, panic, "view panicked"));
    }

    pub(super) fn answer_internal(&mut self) {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        self.begin_error();
        self.head.status = status;
        self.text(Title(status).to_string());
    }

    pub(crate) fn allow(&mut self, methods: &str) {
        self.header(ALLOW, methods);
    }

    /// Answers an OPTIONS request for which the app has no view.
    pub(crate) fn answer_options(&mut self, methods: &str) {
        self.status(StatusCode::NO_CONTENT);
        self.allow(methods);
    }
}
