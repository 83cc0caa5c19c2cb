//! The tasks that were registered for one response, until its fate is known.

use http::StatusCode;

#[cfg(feature = "durable")]
use crate::tower::commit::Commit;
use crate::{
    background::{Background, Meta, Runner},
    sent::{Delivery, OnDone},
};

/// The tasks that a service has registered for one response. They are accepted in each case:
/// dropping this value starts the tasks if there was no response.
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

    /// Accepts the tasks, if there are any. Tasks that are registered afterwards are late.
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
    /// Starts the tasks: the client has left, or the service has failed.
    fn drop(&mut self) {
        if let Some(on_done) = self.accept(None, true) {
            on_done.done(Delivery::Aborted { bytes: 0 });
        }
    }
}
