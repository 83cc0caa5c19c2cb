//! What the last look of [`Watch`](super::Watch) saw of a connection.

use std::{
    collections::HashMap,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::Instant,
};

use super::{conn_state::ConnState, ticket::Ticket};

/// The state of a connection at the last look, and when it changed.
pub(super) struct Seen {
    pub(super) now: State,
    /// When bytes of responses last moved, or a request last began or ended.
    pub(super) moved: Instant,
    /// When bytes last came.
    pub(super) heard: Instant,
    /// When the connection was last busy.
    pub(super) busy: Instant,
    /// The value of `received` at that time.
    pub(super) received_busy: u64,
    /// When the head of the next request began to come.
    pub(super) head: Option<Instant>,
    /// When the connection began to linger.
    pub(super) lingers: Option<Instant>,
    /// When its streams were reset.
    pub(super) cut: Option<Instant>,
    pub(super) is_told_to_finish: bool,
    pub(super) waiting: Waiting,
    /// Keeps the address, which is the key of this entry, from being used again.
    _conn: Weak<ConnState>,
}

/// A connection's counters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) accepted: u64,
    pub(super) received: u64,
    pub(super) requests: usize,
    pub(super) begun: u64,
}

/// The responses whose bytes wait, by the address of their ticket.
pub(super) type Waiting = HashMap<*const (), Waits>;

/// The progress of a response whose bytes wait.
pub(super) struct Waits {
    pub(super) progress: (u64, u64),
    pub(super) since: Instant,
    /// Keeps the address from being used again.
    pub(super) _ticket: Weak<Ticket>,
}

impl State {
    fn of(conn: &ConnState) -> Self {
        let activity = &conn.activity;
        Self {
            accepted: activity.accepted.load(Relaxed),
            received: activity.received.load(Relaxed),
            requests: activity.requests.load(Relaxed),
            begun: activity.begun.load(Relaxed),
        }
    }
}

impl Seen {
    pub(super) fn new(conn: &Arc<ConnState>, now: Instant) -> Self {
        let state = State::of(conn);
        Self {
            now: state,
            moved: now,
            heard: now,
            busy: now,
            received_busy: state.received,
            head: None,
            lingers: None,
            cut: None,
            is_told_to_finish: false,
            waiting: Waiting::new(),
            _conn: Arc::downgrade(conn),
        }
    }

    pub(super) fn update(&mut self, conn: &ConnState, is_busy: bool, now: Instant) {
        let (before, state) = (self.now, State::of(conn));
        if (before.accepted, before.requests) != (state.accepted, state.requests) {
            self.moved = now;
        }
        if before.received != state.received {
            self.heard = now;
        }
        if is_busy || state.requests > 0 || before.begun != state.begun {
            self.busy = now;
            self.received_busy = state.received;
            self.head = None;
            self.is_told_to_finish = false;
        } else if state.received != self.received_busy {
            self.head.get_or_insert(now);
        }
        since(
            &mut self.lingers,
            conn.activity.is_lingering.load(Relaxed),
            now,
        );
        since(&mut self.cut, conn.kill.is_cut.load(Relaxed), now);
        self.now = state;
    }
}

/// Notes since when a condition holds.
fn since(slot: &mut Option<Instant>, is_so: bool, now: Instant) {
    *slot = is_so.then(|| slot.unwrap_or(now));
}
