//! Wakes tasks whose time is over, without a tokio timer for each task.
//!
//! Most tasks end long before their timeout. A tokio timer costs some 1000 instructions for each
//! task that waits, and makes each park of its runtime dearer. So a deadline is an entry in the
//! scheduler's ordered set, and one thread of the process sleeps until the nearest deadline of all
//! schedulers. The thread is started with the first deadline.
//!
//! The thread knows the system's clock alone. Tokio's clock can be paused, for tests, on a runtime of
//! the current-thread flavor: tasks there have a tokio timer of their own.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    thread,
    time::Instant,
};

/// A value with deadlines: a scheduler.
pub(super) trait Expire: Send + Sync {
    /// Wakes the tasks whose deadline has passed; returns the next deadline.
    fn expire(&self, now: Instant) -> Option<Instant>;
}

static ALARM: OnceLock<Alarm> = OnceLock::new();

#[derive(Default)]
struct Alarm {
    due: Mutex<Due>,
    /// There is an earlier deadline than before.
    changed: Condvar,
}

#[derive(Default)]
struct Due {
    /// By deadline; the number tells equal deadlines apart.
    all: BTreeMap<(Instant, u64), Weak<dyn Expire>>,
    next_number: u64,
}

/// Has `target` called at this time.
pub(super) fn set(at: Instant, target: Weak<dyn Expire>) {
    let alarm = ALARM.get_or_init(Alarm::default);
    let mut due = alarm.due();
    let is_first = due.next_number == 0;
    let number = due.next_number;
    due.next_number += 1;
    due.all.insert((at, number), target);
    let is_earliest = due.all.keys().next() == Some(&(at, number));
    drop(due);
    if is_first {
        start(alarm);
    } else if is_earliest {
        alarm.changed.notify_one();
    }
}

fn start(alarm: &'static Alarm) {
    let started = thread::Builder::new()
        .name("bocadillo-timer".into())
        .spawn(|| alarm.run());
    if let Err(error) = started {
        tracing::error!(%error, "no thread for timeouts: background tasks have none");
    }
}

impl Alarm {
    fn run(&self) {
        let mut due = self.due();
        loop {
            let now = Instant::now();
            let Some((&(at, number), _)) = due.all.first_key_value() else {
                due = self
                    .changed
                    .wait(due)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if at > now {
                let waited = self.changed.wait_timeout(due, at - now);
                due = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let target = due.all.remove(&(at, number));
            drop(due);
            if let Some(target) = target {
                let next = target.upgrade().and_then(|target| target.expire(now));
                if let Some(next) = next {
                    set(next, target);
                }
            }
            due = self.due();
        }
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
