//! The way of one task from its response to its end.
//!
//! Tasks go to their runtime in the order of their registration, and never to a place from which no
//! other thread can take them. A runtime with one thread polls them in that order. On several threads
//! they begin at the same time, in any order.

use super::{
    account::{Place, Turn},
    events,
    job::{BoxedJob, End, Info, Meta, When, now},
    metrics,
    report::{Report, TaskState},
    runner::{Runner, next_id},
    scheduler::Begin,
};
use crate::{guard::guarded, sent::Delivery};

/// Releases a task whose response is out: it runs, or not, or as soon as there is room.
pub(super) fn release(job: BoxedJob, delivery: Delivery) {
    if let Some((runner, job)) = begin(job, delivery) {
        hand_over(&runner, job);
    }
}

/// Counts a task whose response is out; returns the task if it starts now.
#[inline]
pub(super) fn begin(mut job: BoxedJob, delivery: Delivery) -> Option<(Runner, BoxedJob)> {
    let info = job.as_mut().info_mut();
    let meta = &mut info.meta;
    let runner = meta.runner.clone()?;
    meta.id = next_id();
    meta.delivery = Some(delivery);
    if meta.registered_at.is_some() {
        meta.sent_at = Some(now());
    }
    if info.when == When::Delivered && !delivery.is_sent() {
        skip(&runner, job, delivery);
        return None;
    }
    let meta = &info.meta;
    if let Some(group) = &meta.group {
        group.started(meta.id, meta.name.clone());
    }
    let (share, task) = (runner.share(), meta.unfinished());
    let place = match runner.scheduler().begin(share, task, info.needs_thread) {
        Begin::Starts(place) => place,
        Begin::Waits(queue) => {
            queue.push(Box::new(|turn| take_turn(job, turn)));
            return None;
        }
        Begin::Closed => {
            cancel(&runner, job);
            return None;
        }
    };
    Some((runner, started(job, place)))
}

/// A task that waited for room starts, or is cancelled.
fn take_turn(job: BoxedJob, turn: Turn) {
    let Some(runner) = job.info().meta.runner.clone() else {
        return;
    };
    match turn {
        Turn::Starts(place) => hand_over_behind(&runner, started(job, place)),
        Turn::Cancelled => cancel(&runner, job),
    }
}

#[inline]
fn started(mut job: BoxedJob, place: Place) -> BoxedJob {
    metrics::started();
    let info = job.as_mut().info_mut();
    info.key = Some(place.key);
    if place.permit.is_some() {
        info.permit.set(place.permit);
    }
    info.trace.name(&info.meta.name, info.meta.id);
    job
}

/// Gives a started task to its runtime.
#[inline]
pub(super) fn hand_over(runner: &Runner, mut job: BoxedJob) {
    let pool = job.as_mut().info_mut().meta.pool.take();
    runner.executor().run(job.into_work(), pool);
}

/// Gives a started task to its runtime from within another task, which may go on.
#[cold]
pub(super) fn hand_over_behind(runner: &Runner, mut job: BoxedJob) {
    let pool = job.as_mut().info_mut().meta.pool.take();
    runner.executor().run_behind(job.into_work(), pool);
}

#[cold]
fn skip(runner: &Runner, job: BoxedJob, delivery: Delivery) {
    let info = job.info();
    let state = if delivery == Delivery::Unknown {
        events::refused(
            info,
            "this server cannot tell whether its response was delivered",
        );
        TaskState::Refused
    } else {
        events::skipped(info, "its response was not delivered");
        TaskState::Skipped
    };
    runner.scheduler().leave(runner.share(), state);
    leave(runner, job, state);
}

/// Cancels a task: the runner has ended before there was room for it.
fn cancel(runner: &Runner, job: BoxedJob) {
    events::cancelled(job.info());
    leave(runner, job, TaskState::Cancelled);
}

/// Reports a task that does not wait any more and will not start, and drops it.
fn leave(runner: &Runner, job: BoxedJob, state: TaskState) {
    metrics::left();
    report_unstarted(runner, &job.info().meta, state);
    runner.scheduler().settle(runner.share(), 1);
    discard(job);
}

/// Drops a task that will not run. A panic of its destructors is logged, and stays here.
#[cold]
pub(super) fn discard(mut job: BoxedJob) {
    if let Err(panic) = job.as_mut().drop_future() {
        events::destructor_panicked(job.info(), &panic);
    }
}

/// Accounts for the end of a started task, once.
pub(super) fn ended(info: &mut Info, end: End) {
    let (Some(runner), Some(key)) = (&info.meta.runner, info.key.take()) else {
        return;
    };
    let has_listener = has_listener(runner, &info.meta);
    let is_logged = info.trace.is_listened_to() || end.error.is_some();
    let is_reported = !has_listener && !is_logged;
    let has_ready = runner.scheduler().end(key, end.state, is_reported);
    metrics::ended();
    if has_ready {
        runner.start_ready();
    }
    if is_reported {
        return;
    }
    if is_logged {
        events::ended(info, &end);
    }
    if has_listener {
        report(runner, &info.meta, info.report(end));
    }
    runner.scheduler().settle(runner.share(), 1);
}

/// Returns whether the times of this task are needed.
#[inline]
pub(super) fn needs_times(runner: &Runner, info: &Info) -> bool {
    has_listener(runner, &info.meta) || info.trace.is_listened_to()
}

/// Returns whether the report of this task is needed.
#[inline]
fn has_listener(runner: &Runner, meta: &Meta) -> bool {
    runner.reports() || meta.group.is_some()
}

impl Runner {
    /// Returns whether the reports of all tasks are needed.
    #[inline]
    pub(crate) fn reports(&self) -> bool {
        metrics::ARE_ON || self.settings().on_report.is_some()
    }
}

/// Reports a task that never started.
pub(super) fn report_unstarted(runner: &Runner, meta: &Meta, state: TaskState) {
    if !has_listener(runner, meta) {
        return;
    }
    let mut unstarted = meta.report(state, now());
    if unstarted.id == 0 {
        unstarted.id = next_id();
    }
    report(runner, meta, unstarted);
}

fn report(runner: &Runner, meta: &Meta, report: Report) {
    metrics::reported(&report);
    if let Some(on_report) = &runner.settings().on_report {
        if let Err(panic) = guarded(|| on_report(&report)) {
            events::callback_panicked("`on_report`", &panic);
        }
    }
    if let Some(group) = &meta.group {
        group.ended(report);
    }
}
