//! The right to end a response.

use std::sync::Arc;

use super::{conn_state::ConnState, ticket::Ticket};

/// The right to end one response: exactly one exists for each ticket. Dropping it is an event.
#[derive(Debug)]
pub(super) struct Token {
    ticket: Arc<Ticket>,
    conn: Arc<ConnState>,
    is_spent: bool,
}

impl Token {
    pub(super) fn new(ticket: Arc<Ticket>, conn: Arc<ConnState>) -> Self {
        Self {
            ticket,
            conn,
            is_spent: false,
        }
    }

    pub(super) fn ticket(&self) -> &Arc<Ticket> {
        &self.ticket
    }

    /// The end of the response has entered the write buffer: the next flush sends it.
    pub(super) fn complete(mut self) {
        self.is_spent = true;
        self.conn.mark(&self.ticket);
    }

    /// The end of the response will never be written.
    pub(super) fn abort(mut self) {
        self.is_spent = true;
        self.conn.abort(&self.ticket);
    }
}

impl Drop for Token {
    /// h2 has dropped the token: the frame was encoded or thrown away. The wire decides.
    #[inline]
    fn drop(&mut self) {
        if !self.is_spent {
            self.conn.drop_undecided(&self.ticket);
        }
    }
}
