//! Writes the log lines of tasks.
//!
//! A failure is never invisible: where no subscriber takes errors, they go to stderr. Lines that many
//! requests could cause are limited to one a second for each kind and place. The next line says how many
//! were left out. A subscriber is a user's code: its panics are caught here.

use std::{
    collections::HashMap,
    panic::Location,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use tracing::Level;

use super::{
    job::{End, Info},
    report::{TaskState, Unfinished},
    runner::Runner,
};
use crate::guard::log;

/// The minimal time between two lines of the same kind and places.
const PAUSE: Duration = Duration::from_secs(1);

type Place = &'static Location<'static>;

/// The place of lines that belong to no task.
const HERE: Place = Location::caller();

/// Calls `write` within the span of the task, and with the subscriber of its registration.
fn of_task(info: &Info, write: impl FnOnce()) {
    log(|| info.trace.within(write));
}

/// Logs the end of a task, within its span.
pub(super) fn ended(info: &Info, end: &End) {
    of_task(info, || log_end(info, end));
}

fn log_end(info: &Info, end: &End) {
    record_times(info, end);
    let (task, location) = (info.name(), info.location());
    let (state, error) = (end.state, end.error.as_deref().unwrap_or_default());
    let status = info.meta.status.map(|status| status.as_u16());
    match state {
        TaskState::Completed => tracing::debug!(task, %location, "background task completed"),
        _ if !tracing::enabled!(Level::ERROR) => {
            eprintln!("background task {state}: task={task} location={location} error={error}");
        }
        TaskState::Cancelled => {
            tracing::warn!(task, %location, status, error, "background task cancelled");
        }
        _ => tracing::error!(task, %location, status, error, "background task {state}"),
    }
}

/// Records on the task's span when it was sent, started and ended.
fn record_times(info: &Info, end: &End) {
    let Some(registered_at) = info.meta.registered_at else {
        return;
    };
    let points = [
        ("sent_us", info.meta.sent_at),
        ("started_us", info.started_at),
        ("ended_us", Some(end.at)),
    ];
    for (field, at) in points {
        if let Some(at) = at {
            let after = at.saturating_duration_since(registered_at);
            let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
            info.trace.record(field, micros);
        }
    }
}

#[cold]
pub(super) fn replaced(info: &Info, by: &str, by_location: Place) {
    let (task, location) = (info.name(), info.location());
    let Some(left_out) = limited(("replaced", task.to_owned(), location, Some(by_location))) else {
        return;
    };
    of_task(info, || {
        tracing::info!(
            task, %location, by, %by_location, left_out,
            "background task replaced by a later one; use `add_background` to keep both"
        );
    });
}

#[cold]
pub(super) fn refused(info: &Info, why: &str) {
    let (task, location) = (info.name(), info.location());
    let Some(left_out) = limited(("refused", task.to_owned(), location, None)) else {
        return;
    };
    of_task(info, || {
        if tracing::enabled!(Level::WARN) {
            tracing::warn!(task, %location, left_out, "background task refused: {why}");
        } else {
            eprintln!("background task refused: {why}: task={task} location={location}");
        }
    });
}

#[cold]
pub(super) fn skipped(info: &Info, why: &str) {
    let (task, location) = (info.name(), info.location());
    of_task(
        info,
        || tracing::debug!(task, %location, "background task skipped: {why}"),
    );
}

/// Logs a task whose response is out and that was cancelled before its start.
#[cold]
pub(super) fn cancelled(info: &Info) {
    let (task, location) = (info.name(), info.location());
    of_task(info, || {
        let why = "the runner has ended";
        if tracing::enabled!(Level::WARN) {
            tracing::warn!(task, %location, "background task cancelled before its start: {why}");
        } else {
            eprintln!(
                "background task cancelled before its start: task={task} location={location}"
            );
        }
    });
}

/// Logs a task that was registered after its response was handed over.
#[cold]
pub(super) fn nowhere(info: &Info) {
    let (task, location) = (info.name(), info.location());
    of_task(info, || {
        tracing::warn!(
            task, %location,
            "no handler runs here, so the task starts at once; `after_response` belongs into a handler, \
             not into a future of `tokio::spawn`"
        );
    });
}

pub(super) fn late(info: &Info) {
    let (task, location) = (info.name(), info.location());
    of_task(info, || {
        tracing::debug!(
            task, %location,
            "background task registered after its response was handed over; it starts now"
        );
    });
}

/// Logs a task that has blocked its thread.
#[cold]
pub(super) fn blocked(info: &Info, took: Duration) {
    let (task, location) = (info.name(), info.location());
    let Some(left_out) = limited(("blocked", task.to_owned(), location, None)) else {
        return;
    };
    of_task(info, || {
        tracing::warn!(
            task, %location, ?took, left_out,
            "background task blocked its thread; move the work to `Task::blocking`"
        );
    });
}

/// Logs a panic of a destructor of a task that will not run.
#[cold]
pub(super) fn destructor_panicked(info: &Info, panic: &str) {
    let task = info.name();
    of_task(info, || {
        tracing::error!(task, panic, "background task panicked when it was dropped");
    });
}

/// Logs a panic of a user's callback.
#[cold]
pub(super) fn callback_panicked(what: &'static str, panic: &str) {
    let Some(left_out) = limited((what, String::new(), HERE, None)) else {
        return;
    };
    log(|| tracing::error!(panic, left_out, "{what} panicked"));
}

/// Logs what this server has under way when a second signal ends the process.
pub(crate) fn cut_off_by_signal(runner: &Runner) {
    cut_off("cut off by a second signal", &runner.unfinished());
    let waiting = runner.pending().waiting();
    if waiting > 0 {
        log(|| tracing::error!(waiting, "background tasks cut off before their start"));
    }
}

/// Logs what a drain has cut off. `what` says how.
pub(super) fn cut_off(what: &'static str, unfinished: &[Unfinished]) {
    for Unfinished { name, location, .. } in unfinished {
        log(|| {
            if tracing::enabled!(Level::ERROR) {
                tracing::error!(name = &**name, %location, "{what}");
            } else {
                eprintln!("{what}: name={name} location={location}");
            }
        });
    }
}

/// The kind of a line: its text, its task, its places.
type Key = (&'static str, String, Place, Option<Place>);

/// So many kinds are told apart within a second; more are a flood, of which nothing is written.
const MAX_KINDS: usize = 1024;

/// Returns `None` if such a line was written within the last second; else how many were left out
/// since the one before.
fn limited(key: Key) -> Option<u64> {
    static LINES: OnceLock<Mutex<HashMap<Key, LogLimit>>> = OnceLock::new();
    let lines = LINES.get_or_init(Mutex::default);
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    if lines.len() >= MAX_KINDS && !lines.contains_key(&key) {
        lines.retain(|_, line| line.is_early(now, PAUSE));
        if lines.len() >= MAX_KINDS {
            return None;
        }
    }
    lines.entry(key).or_default().take(now, PAUSE)
}

/// Lets a line into the log once in a while, with the number of lines that were left out.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    written_at: Option<Instant>,
    left_out: u64,
}

impl LogLimit {
    fn is_early(&self, now: Instant, pause: Duration) -> bool {
        self.written_at
            .is_some_and(|at| now.saturating_duration_since(at) < pause)
    }

    /// Returns how many lines were left out since the last one. Returns `None` if it was written less
    /// than `pause` ago: the line is left out.
    pub(crate) fn take(&mut self, now: Instant, pause: Duration) -> Option<u64> {
        if self.is_early(now, pause) {
            self.left_out += 1;
            return None;
        }
        self.written_at = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_second_and_the_count_of_those_between() {
        let begun = Instant::now();
        let mut line = LogLimit::default();
        assert_eq!(line.take(begun, PAUSE), Some(0));
        assert_eq!(line.take(begun + PAUSE / 2, PAUSE), None);
        assert_eq!(line.take(begun + PAUSE / 2, PAUSE), None);
        assert_eq!(line.take(begun + PAUSE, PAUSE), Some(2));
        assert_eq!(line.take(begun + 2 * PAUSE, PAUSE), Some(0));
    }

    #[test]
    fn tasks_and_places_do_not_silence_each_other() {
        let (one, other) = (Location::caller(), Location::caller());
        let line = |kind, task: &str, place| limited((kind, task.to_owned(), place, None));
        assert_eq!(line("test", "mail", one), Some(0));
        assert_eq!(line("test", "mail", one), None);
        assert_eq!(line("test", "audit", one), Some(0));
        assert_eq!(line("test", "mail", other), Some(0));
        assert_eq!(line("another kind", "mail", one), Some(0));
    }
}
