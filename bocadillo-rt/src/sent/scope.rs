//! Keeps reports of HTTP/2 until no lock of h2 is held.
//!
//! h2 drops buffers under its own lock, and some versions flush under it. A report may drop values that a
//! user captured, such as a request's body of the same connection, which takes that lock again. So within
//! the polls that we wrap, reports wait for the end of the poll. A server without
//! [`drive`](super::Connection::drive), or with another executor than [`Streams`](super::Streams), has no
//! such end: there another thread reports.

use std::{
    cell::{Cell, RefCell},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{
        OnceLock,
        mpsc::{self, SendError, Sender},
    },
    thread,
};

use super::delivery::{Delivery, OnDone};

thread_local! {
    /// The connection whose poll runs on this thread. Only compared, never followed.
    static POLLING: Cell<*const ()> = const { Cell::new(ptr::null()) };
    /// How many of our polls are nested on this thread.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// `REPORTS` is not empty. A variable of its own, because the end of each poll reads it.
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
    static REPORTS: RefCell<Vec<(OnDone, Delivery)>> = const { RefCell::new(Vec::new()) };
}

/// Calls `poll`, and then the callbacks of its reports.
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

/// Begins the poll of a connection, which ends when the guard is dropped. A connection is known by its
/// address.
pub(super) fn enter_connection<C>(connection: *const C) -> (Polling, Leave) {
    (Polling(POLLING.replace(connection.cast())), enter())
}

/// Returns whether this thread polls this connection.
pub(super) fn is_polling<C>(connection: *const C) -> bool {
    POLLING
        .try_with(|polling| ptr::eq(polling.get(), connection.cast()))
        .unwrap_or(false)
}

/// Restores the connection that was polled before, when the poll returns or unwinds.
pub(super) struct Polling(*const ());

impl Drop for Polling {
    fn drop(&mut self) {
        POLLING.set(self.0);
    }
}

/// Reports at the end of the poll that runs, or else by another thread.
pub(super) fn report(on_done: OnDone, delivery: Delivery) {
    let mut kept = Some(on_done);
    if DEPTH.get() > 0 {
        // If this thread is ending and has no local state any more, another thread reports.
        let _ = REPORTS.try_with(|reports| {
            reports
                .borrow_mut()
                .extend(kept.take().map(|on_done| (on_done, delivery)));
            IS_WAITING.set(true);
        });
    }
    if let Some(on_done) = kept {
        report_elsewhere((on_done, delivery));
    }
}

type Report = (OnDone, Delivery);

/// The thread is started by the first report that needs it, and lives as long as the process.
#[cold]
fn report_elsewhere(report: Report) {
    static REPORTER: OnceLock<Option<Sender<Report>>> = OnceLock::new();
    let reporter = REPORTER.get_or_init(|| {
        let (sender, reports) = mpsc::channel::<Report>();
        let run = move || {
            for (on_done, delivery) in reports {
                // Callbacks must not panic. One that does is lost, and the thread goes on.
                let _ = catch_unwind(AssertUnwindSafe(|| on_done.done(delivery)));
            }
        };
        let thread = thread::Builder::new().name("bocadillo-reports".into());
        thread.spawn(run).ok().map(|_| sender)
    });
    let report = match reporter {
        Some(sender) => sender.send(report).map_err(|SendError(report)| report),
        None => Err(report),
    };
    // Without a thread the report would never come: a call under a lock is better.
    if let Err((on_done, delivery)) = report {
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

fn report_all() {
    let taken = REPORTS.try_with(|reports| mem::take(&mut *reports.borrow_mut()));
    let mut taken = taken.unwrap_or_default();
    for (on_done, delivery) in taken.drain(..) {
        on_done.done(delivery);
    }
    // The memory is used again, unless further reports have come meanwhile.
    let _ = REPORTS.try_with(|reports| {
        let mut reports = reports.borrow_mut();
        if reports.capacity() == 0 {
            *reports = taken;
        }
    });
}
