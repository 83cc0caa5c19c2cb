//! The commit of durable tasks, at the door of a tower service.

#[cfg(feature = "durable")]
use http::{HeaderValue, header::RETRY_AFTER};

#[cfg(feature = "durable")]
pub(super) use crate::background::{Commit, Refused};
use crate::tower::answer::OrEmpty;
#[cfg(feature = "durable")]
use crate::tower::answer::empty;

/// Without the feature nothing is committed, and nothing refused.
#[cfg(not(feature = "durable"))]
pub(super) type Refused = std::convert::Infallible;

#[cfg(not(feature = "durable"))]
pub(super) type Commit = std::pin::Pin<Box<dyn Future<Output = Option<Refused>> + Send>>;

/// Returns the answer in place of one whose durable tasks could not be committed.
#[cfg(feature = "durable")]
#[cold]
pub(super) fn refused_by<B>(refused: Refused) -> http::Response<OrEmpty<B>> {
    let mut response = empty(refused.error().status());
    if let Some(time) = refused.retry_after() {
        let time = HeaderValue::from_static(time);
        response.headers_mut().insert(RETRY_AFTER, time);
    }
    response
}

#[cfg(not(feature = "durable"))]
pub(super) fn refused_by<B>(refused: Refused) -> http::Response<OrEmpty<B>> {
    match refused {}
}
