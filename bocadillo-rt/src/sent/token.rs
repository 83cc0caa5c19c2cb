//! The right to end a response.

use std::sync::Arc;

use super::{conn_state::ConnState, ticket::Ticket};

/// A response on its way, with its connection.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub(super) ticket: Arc<Ticket>,
    pub(super) conn: Arc<ConnState>,
}

impl Tracked {
    /// The end of the response has entered the write buffer: the next flush sends it.
    pub(super) fn complete(&self) {
        self.conn.mark(&self.ticket);
    }

    /// The end of the response will never be written.
    pub(super) fn abort(&self) {
        self.conn.abort(&self.ticket);
    }
}

/// The right to end one response: exactly one exists for each ticket. Dropping it is an event.
#[derive(Debug)]
pub(super) struct Token {
    tracked: Tracked,
    is_spent: bool,
}

impl Token {
    pub(super) fn new(tracked: Tracked) -> Self {
        Self {
            tracked,
            is_spent: false,
        }
    }

    pub(super) fn ticket(&self) -> &Arc<Ticket> {
        &self.tracked.ticket
    }

    /// Gives up the right in favour of another token of this ticket.
    pub(super) fn forget(mut self) {
        self.is_spent = true;
    }

    pub(super) fn complete(mut self) {
        self.is_spent = true;
        self.tracked.complete();
    }

    pub(super) fn abort(mut self) {
        self.is_spent = true;
        self.tracked.abort();
    }
}

impl Drop for Token {
    /// h2 has dropped the token: the frame was encoded or thrown away. The wire decides.
    #[inline]
    fn drop(&mut self) {
        if !self.is_spent {
            self.tracked.conn.drop_undecided(&self.tracked.ticket);
        }
    }
}
