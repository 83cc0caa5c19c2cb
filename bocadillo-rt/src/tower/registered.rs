//! What was registered for one response, until somebody knows what becomes of it.

use http::StatusCode;

#[cfg(feature = "durable")]
use crate::tower::commit::Commit;
use crate::{
    background::{Background, Meta, Runner},
    sent::{Delivery, OnDone},
};

/// The registrations of a service for one response. Whatever becomes of the service, they are
/// accepted: dropping this starts those that no response was found for.
pub(super) struct Registered {
    pub(super) background: Background,
    pub(super) runner: Runner,
}

impl Registered {
    /// Commits the durable tasks among them before the response; none if there are none.
    #[cfg(feature = "durable")]
    pub(super) fn commit(&self, has_failed: bool) -> Option<Commit> {
        self.background.commit(&self.runner, has_failed)
    }

    /// Accepts what was registered, if anything was; from now on registrations are late.
    pub(super) fn accept(&self, status: Option<StatusCode>, has_failed: bool) -> Option<OnDone> {
        let mut tasks = self.background.close(&self.runner);
        if tasks.is_empty() {
            return None;
        }
        if has_failed {
            tasks.view_failed();
        }
        Some(self.runner.accept(&mut tasks, |meta: &mut Meta| {
            self.background.describe(meta);
            meta.status = status;
            meta.has_failed = has_failed;
        }))
    }
}

impl Drop for Registered {
    /// The client has left, or the service has failed: what was registered runs.
    fn drop(&mut self) {
        if let Some(on_done) = self.accept(None, true) {
            on_done.done(Delivery::Aborted { bytes: 0 });
        }
    }
}
