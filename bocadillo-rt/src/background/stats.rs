//! Numbers of what is under way.

use super::report::TaskState;

/// How many tasks are in which state.
///
/// All numbers are of one instant: `registered` is the sum of all the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks whose view has ended, and follow-ups.
    pub registered: u64,
    /// Their response is on its way, or there is no room to run them yet.
    pub waiting: u64,
    /// Started and not ended.
    pub running: u64,
    /// Ran to their end.
    pub completed: u64,
    /// Returned an error.
    pub failed: u64,
    /// Panicked.
    pub panicked: u64,
    /// Ran for longer than they may.
    pub timed_out: u64,
    /// Cut off by a shutdown.
    pub cancelled: u64,
    /// A later registration took their place.
    pub replaced: u64,
    /// Their condition did not hold.
    pub skipped: u64,
    /// Over a limit.
    pub refused: u64,
}

impl Stats {
    pub(super) fn of(&mut self, state: TaskState) -> &mut u64 {
        match state {
            TaskState::Completed => &mut self.completed,
            TaskState::Failed => &mut self.failed,
            TaskState::Panicked => &mut self.panicked,
            TaskState::TimedOut => &mut self.timed_out,
            TaskState::Cancelled => &mut self.cancelled,
            TaskState::Replaced => &mut self.replaced,
            TaskState::Skipped => &mut self.skipped,
            TaskState::Refused => &mut self.refused,
        }
    }
}

/// What is pending in a scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Everything, connections included.
    pub(super) all: usize,
    pub(super) connections: usize,
    pub(super) waiting: usize,
}

impl Pending {
    /// Returns how many connections are open.
    pub(crate) fn connections(self) -> usize {
        self.connections
    }

    /// Returns how many tasks wait, for their response or for room.
    pub(crate) fn waiting(self) -> usize {
        self.waiting
    }

    /// Returns whether nothing but connections is under way.
    pub(super) fn is_idle(self) -> bool {
        self.all <= self.connections
    }
}
