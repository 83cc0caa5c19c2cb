//! Keeps reports of aborted responses until no lock of h2 is held.
//!
//! A buffer is dropped by h2 under its own lock. What a report leads to may drop what a user
//! captured, a request's body of the same connection for instance, and that takes the lock again.
//! So within the polls that we wrap, such reports wait for the poll's end.

use std::{
    cell::{Cell, RefCell},
    mem,
};

use super::ticket::{Delivery, OnDone};

thread_local! {
    /// How many of our polls run on this thread, one within the other.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Something waits in `REPORTS`; apart from those, since this is read at the end of each poll.
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
    static REPORTS: RefCell<Vec<(OnDone, Delivery)>> = const { RefCell::new(Vec::new()) };
}

/// Calls `poll`, then what it has to report.
pub(super) fn within<R>(poll: impl FnOnce() -> R) -> R {
    let _leave = enter();
    poll()
}

/// Begins a poll, which ends when the guard is dropped.
#[inline]
pub(super) fn enter() -> Leave {
    DEPTH.set(DEPTH.get() + 1);
    Leave
}

/// Reports now, or at the end of the poll that runs.
pub(super) fn report(on_done: OnDone, delivery: Delivery) {
    let mut kept = Some(on_done);
    if DEPTH.get() > 0 {
        // Without the thread's local state (the thread is ending), it is reported now.
        let _ = REPORTS.try_with(|reports| {
            reports
                .borrow_mut()
                .extend(kept.take().map(|on_done| (on_done, delivery)));
            IS_WAITING.set(true);
        });
    }
    if let Some(on_done) = kept {
        on_done.done(delivery);
    }
}

/// Leaves the poll when it returns or unwinds.
pub(super) struct Leave;

impl Drop for Leave {
    #[inline]
    fn drop(&mut self) {
        let depth = DEPTH.get() - 1;
        DEPTH.set(depth);
        if depth == 0 && IS_WAITING.replace(false) {
            report_all();
        }
    }
}

#[cold]
fn report_all() {
    let reports = REPORTS.try_with(|reports| mem::take(&mut *reports.borrow_mut()));
    for (on_done, delivery) in reports.unwrap_or_default() {
        on_done.done(delivery);
    }
}
