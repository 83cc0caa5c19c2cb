//! `Background` as an extractor of axum.

use axum::extract::FromRequestParts;
use http::{StatusCode, request::Parts};

use crate::background::Background;

/// Extracts the handle of the request's response. If no `serve` and no `BackgroundLayer` is around
/// the router, the client gets a 500, and the log says what to add.
impl<S: Sync> FromRequestParts<S> for Background {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, StatusCode> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| {
            tracing::error!(
                path = parts.uri.path(),
                "no `Background` in the request: serve the router by `bocadillo::serve(listener, \
                 router)`, or add `.layer(bocadillo::BackgroundLayer::new(runner))` to it"
            );
            StatusCode::INTERNAL_SERVER_ERROR
        })
    }
}
