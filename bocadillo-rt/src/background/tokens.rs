//! What a server has under way beside tasks: connections, and views without their client.
//!
//! Each holds a token of the same account as tasks do, so that the end of a server waits for one
//! number. A token counts from its creation to its drop.

use std::panic::Location;

use super::{
    account::Scope,
    report::Unfinished,
    runner::{Runner, next_id},
    stats::Pending,
};

/// The token of a connection: also of its streams, and of the IO that an upgrade took over.
#[derive(Debug)]
pub(crate) struct Connected(Runner);

/// The token of a view that runs on without its client.
#[derive(Debug)]
pub(crate) struct Detached {
    runner: Runner,
    key: usize,
}

impl Runner {
    /// A connection was accepted.
    pub(crate) fn connected(&self) -> Connected {
        self.scheduler().connect(self.share());
        Connected(self.clone())
    }

    /// A view has lost its client, and runs on.
    pub(crate) fn detached(
        &self,
        name: &'static str,
        location: &'static Location<'static>,
    ) -> Detached {
        let key = self.enter(Unfinished {
            id: next_id(),
            name: name.into(),
            location,
        });
        Detached {
            runner: self.clone(),
            key,
        }
    }

    /// Waits until no connection of this server is left.
    pub(crate) async fn no_connection(&self) {
        let scope = Scope::Share(self.share());
        let is_enough = |pending: Pending| pending.connections() == 0;
        self.scheduler().wait_until(scope, is_enough).await;
    }

    /// Returns what is under way in this server's share.
    pub(crate) fn pending(&self) -> Pending {
        self.scheduler().pending(Scope::Share(self.share()))
    }

    /// Returns the names of what runs in this server's share.
    pub(crate) fn unfinished(&self) -> Vec<Unfinished> {
        self.scheduler().running(Scope::Share(self.share()))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.scheduler().disconnect(self.0.share());
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        self.runner.exit(self.key);
    }
}
