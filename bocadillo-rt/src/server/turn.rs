//! Decides whether a request waits for the next poll of its connection.

use crate::{background::Runner, sent::Connection};

/// Returns whether a request has to wait for its next poll: this poll of its connection has released
/// a task to the runtime that runs both.
///
/// The task is in the slot of this thread, from which no other thread takes. A pipelined request whose
/// view computes would keep the task there although another thread is idle. When the connection yields,
/// the task runs next, and other threads can take the connection.
pub(crate) fn must_yield(runner: &Runner, connection: &Connection) -> bool {
    runner.is_current() && connection.has_reported()
}
