//! Records the metrics of tasks with the `metrics` crate.
//! The table of names is in the module's docs.

#[cfg(not(feature = "metrics"))]
pub(super) use self::off::*;
#[cfg(feature = "metrics")]
pub(super) use self::on::*;

#[cfg(feature = "metrics")]
mod on {
    use metrics::{SharedString, counter, gauge, histogram};

    use crate::{
        background::{
            events,
            report::{Report, TaskState},
        },
        guard::guarded,
    };

    /// Calls the recorder, which is a user's code: its panics are caught here.
    fn record(tell: impl FnOnce()) {
        if let Err(panic) = guarded(tell) {
            events::callback_panicked("the recorder of `metrics`", &panic);
        }
    }

    /// Whether every task needs its report.
    pub(in super::super) const ARE_ON: bool = true;

    #[allow(
        clippy::cast_precision_loss,
        reason = "no response has that many tasks"
    )]
    pub(in super::super) fn registered(all: usize, waiting: usize) {
        record(|| {
            counter!("bocadillo_tasks_registered_total").increment(all as u64);
            gauge!("bocadillo_tasks_waiting").increment(waiting as f64);
        });
    }

    /// A waiting task will not start.
    pub(in super::super) fn left() {
        record(|| gauge!("bocadillo_tasks_waiting").decrement(1.0));
    }

    pub(in super::super) fn started() {
        record(|| {
            gauge!("bocadillo_tasks_waiting").decrement(1.0);
            gauge!("bocadillo_tasks_running").increment(1.0);
        });
    }

    pub(in super::super) fn ended() {
        record(|| gauge!("bocadillo_tasks_running").decrement(1.0));
    }

    pub(in super::super) fn reported(report: &Report) {
        record(|| tell(report));
    }

    fn tell(report: &Report) {
        let task = SharedString::from(report.name.clone());
        if let Some(started_at) = report.started_at {
            let run = report.ended_at.saturating_duration_since(started_at);
            histogram!("bocadillo_task_run_seconds", "task" => task.clone()).record(run);
            if let Some(sent_at) = report.sent_at {
                let wait = started_at.saturating_duration_since(sent_at);
                histogram!("bocadillo_task_wait_seconds", "task" => task.clone()).record(wait);
            }
        }
        let outcome = label(report.outcome);
        let labels = [("task", task), ("outcome", outcome.into())];
        counter!("bocadillo_tasks_ended_total", &labels).increment(1);
    }

    fn label(state: TaskState) -> &'static str {
        match state {
            TaskState::Completed => "completed",
            TaskState::Failed => "failed",
            TaskState::Panicked => "panicked",
            TaskState::TimedOut => "timed_out",
            TaskState::Cancelled => "cancelled",
            TaskState::Replaced => "replaced",
            TaskState::Skipped => "skipped",
            TaskState::Refused => "refused",
        }
    }
}

/// Nothing, at no cost.
#[cfg(not(feature = "metrics"))]
mod off {
    use crate::background::report::Report;

    pub(in super::super) const ARE_ON: bool = false;

    pub(in super::super) fn registered(_all: usize, _waiting: usize) {}
    pub(in super::super) fn left() {}
    pub(in super::super) fn started() {}
    pub(in super::super) fn ended() {}
    pub(in super::super) fn reported(_report: &Report) {}
}
