//! Keeps reports of aborted responses until no lock of h2 is held.
//!
//! A buffer is dropped by h2 under its own lock. What a report leads to may drop what a user
//! captured, a request's body of the same connection for instance, and that takes the lock again.
//! So within the polls that we wrap, such reports wait for the poll's end.

use std::{cell::RefCell, mem};

use super::ticket::{Delivery, OnDone};

#[derive(Default)]
struct Scope {
    depth: usize,
    reports: Vec<(OnDone, Delivery)>,
}

thread_local! {
    static SCOPE: RefCell<Scope> = const { RefCell::new(Scope { depth: 0, reports: Vec::new() }) };
}

/// Calls `poll`, then what it has to report.
pub(super) fn within<R>(poll: impl FnOnce() -> R) -> R {
    let _leave = Leave::enter();
    poll()
}

/// Reports now, or at the end of the poll that runs.
pub(super) fn report(on_done: OnDone, delivery: Delivery) {
    let mut kept = Some(on_done);
    // Without the thread's local state (it is ending), nothing is polled either.
    let _ = SCOPE.try_with(|scope| {
        let mut scope = scope.borrow_mut();
        if scope.depth > 0
            && let Some(on_done) = kept.take()
        {
            scope.reports.push((on_done, delivery));
        }
    });
    if let Some(on_done) = kept {
        on_done(delivery);
    }
}

/// Leaves the scope when the poll returns or unwinds.
struct Leave;

impl Leave {
    fn enter() -> Self {
        SCOPE.with_borrow_mut(|scope| scope.depth += 1);
        Self
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let reports = SCOPE.with_borrow_mut(|scope| {
            scope.depth -= 1;
            let is_due = scope.depth == 0 && !scope.reports.is_empty();
            if is_due {
                mem::take(&mut scope.reports)
            } else {
                Vec::new()
            }
        });
        for (on_done, delivery) in reports {
            on_done(delivery);
        }
    }
}
