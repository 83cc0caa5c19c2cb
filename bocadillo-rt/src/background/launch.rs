//! The way of a task from its view's end to its own.
//!
//! One rule for handing over: tasks go to their runtime in the order of their registration, and none
//! stays where no other thread can take it. A runtime with one thread polls them in that order; on
//! several threads their first instructions run at the same time, in any order.

use std::{cell::Cell, mem, pin::Pin, ptr, sync::Arc};

use super::{
    Group, Runner, State, Task, When, events,
    meta::{Info, Meta, now},
    metrics,
    registrations::{Registrations, Unstarted},
    report::{Report, Unfinished},
    run::End,
    runner::next_id,
    scheduler::{Aborted, Begin, Schedule, Scheduler},
};
use crate::sent::{Delivery, Done, OnDone};

/// Several tasks that wait for one response. Each knows its runner.
struct Several {
    tasks: Registrations,
    /// Told when all have been released; a follow-up's is its parent's, and not its to tell.
    group: Option<Arc<Group>>,
}

impl Runner {
    /// Takes what a view has registered: from now on it waits for its response. The caller must
    /// invoke the returned callback when the response is done. `fill` says what is known of the
    /// response.
    pub(crate) fn accept(&self, tasks: &mut Registrations, fill: impl FnOnce(&mut Meta)) -> OnDone {
        let group = self.accept_all(tasks, fill, self.is_limited());
        // Most are one, which is in a box already.
        if group.is_none() && !tasks.has_rest() {
            if let Some(only) = tasks.first.take() {
                return only.job.into_done();
            }
        }
        let tasks = mem::take(tasks);
        OnDone::new(Box::pin(Several { tasks, group }))
    }

    /// Starts a follow-up of the task that `of` describes.
    pub(super) fn start_one(&self, task: Task, of: &Meta, delivery: Delivery) {
        let mut tasks = Registrations::from(task);
        self.accept_all(&mut tasks, |meta| meta.describe_response(of), true);
        if let Some(task) = tasks.first.take() {
            if let Some((runner, task)) = begin(task, delivery) {
                runner.hand_over_behind(task);
            }
        }
    }

    /// Starts a task of a response that was handed over already.
    pub(super) fn start_late(&self, task: Task, of: &Meta) {
        self.start_one(task, of, Delivery::Unknown);
    }

    #[inline]
    fn accept_all(
        &self,
        tasks: &mut Registrations,
        fill: impl FnOnce(&mut Meta),
        is_limited: bool,
    ) -> Option<Arc<Group>> {
        let (len, has_rest) = (tasks.len(), tasks.has_rest());
        let Some(first) = &mut tasks.first else {
            let mut meta = Meta::new();
            fill(&mut meta);
            return self.accept_unstarted(tasks, meta);
        };
        let info = first.info_mut();
        // Where it stays: it would be moved otherwise.
        fill(&mut info.meta);
        info.meta.runner = Some(self.clone());
        if self.tells(info) {
            info.meta.registered_at = Some(now());
        }
        if info.meta.pool.is_none() && !self.executor().has_runtime() {
            let meta = info.meta.clone();
            return self.refuse_all(tasks, meta);
        }
        let accepted = self.register(tasks, len, is_limited);
        let Some(first) = &tasks.first else {
            return None;
        };
        let info = first.info();
        let group = info.meta.group.clone();
        if has_rest || accepted < len {
            let meta = info.meta.clone();
            self.accept_rest(tasks, accepted, &meta);
        }
        self.wrap_all(tasks);
        group
    }

    /// Registers what there is, of which `wanted` tasks are to run; returns how many of them may.
    #[inline]
    fn register(&self, tasks: &Registrations, wanted: usize, is_limited: bool) -> usize {
        let gone = tasks.unstarted().iter().map(|gone| gone.state);
        let accepted = self
            .scheduler()
            .register(self.share(), wanted, gone, is_limited);
        metrics::registered(wanted + tasks.unstarted().len(), accepted);
        accepted
    }

    /// There are only tasks that will not start.
    #[cold]
    fn accept_unstarted(&self, tasks: &mut Registrations, mut meta: Meta) -> Option<Arc<Group>> {
        self.register(tasks, 0, false);
        meta.registered_at = Some(now());
        self.report_unstarted(tasks.take_unstarted(), &meta);
        meta.group
    }

    /// All but the first task, and those that will not start.
    #[cold]
    fn accept_rest(&self, tasks: &mut Registrations, accepted: usize, meta: &Meta) {
        self.report_unstarted(tasks.take_unstarted(), meta);
        if accepted < tasks.len() {
            self.refuse(
                tasks.truncate(accepted),
                meta,
                "too many wait, or the runner has ended",
            );
        }
        for task in tasks.more() {
            task.info_mut().meta.describe_response(meta);
        }
    }

    /// There is no runtime for them.
    #[cold]
    fn refuse_all(&self, tasks: &mut Registrations, meta: Meta) -> Option<Arc<Group>> {
        let all = tasks.take_tasks();
        let gone = tasks.unstarted().iter().map(|gone| gone.state);
        let gone: Vec<_> = gone.chain(all.iter().map(|_| State::Refused)).collect();
        metrics::registered(gone.len(), 0);
        self.scheduler()
            .register(self.share(), 0, gone.into_iter(), false);
        self.report_unstarted(tasks.take_unstarted(), &meta);
        let why = "there is no tokio runtime here; `Runner::current()` needs that of the server";
        self.refuse(all, &meta, why);
        meta.group
    }

    #[cold]
    fn refuse(&self, tasks: Vec<Task>, meta: &Meta, why: &str) {
        for task in tasks {
            events::refused(task.info(), why);
            self.report_unstarted(vec![Unstarted::new(&task, State::Refused)], meta);
            task.discard();
        }
    }
}

impl Done for Several {
    /// Starts all, in the order of their registration.
    fn done(mut self: Pin<Box<Self>>, delivery: Delivery) {
        let tasks = self.tasks.take_tasks();
        let (mut last, mut are_several) = (None::<(Runner, Task)>, false);
        for task in tasks {
            let Some(begun) = begin(task, delivery) else {
                continue;
            };
            if let Some((runner, task)) = last.replace(begun) {
                are_several = true;
                runner.hand_over(task);
            }
        }
        // The last one would be the first: see `Pool::clear_last_woken`.
        match last {
            Some((runner, task)) if are_several => runner.hand_over_behind(task),
            Some((runner, task)) => runner.hand_over(task),
            None => {}
        }
        if let Some(group) = self.group.take() {
            group.released();
        }
    }
}

/// A task whose response is out, and that is to run when there is room.
impl Schedule for Task {
    fn describe(&self) -> Unfinished {
        self.info().meta.unfinished()
    }

    fn share(&self) -> usize {
        let runner = self.info().meta.runner.as_ref();
        runner.map_or(super::scheduler::NO_SERVER, Runner::share)
    }

    fn needs_thread(&self) -> bool {
        self.info().needs_thread
    }
}

thread_local! {
    /// Whose ready tasks are being started on this thread. Only compared, never followed.
    static STARTING: Cell<*const Scheduler<Task>> = const { Cell::new(ptr::null()) };
}

struct Restore(*const Scheduler<Task>);

impl Drop for Restore {
    fn drop(&mut self) {
        STARTING.set(self.0);
    }
}

/// The task's response is out: it runs, or not, or as soon as there is room.
pub(super) fn release(task: Task, delivery: Delivery) {
    if let Some((runner, task)) = begin(task, delivery) {
        runner.hand_over(task);
    }
}

/// Accounts for a task whose response is out; returns it if it runs now.
#[inline]
fn begin(mut task: Task, delivery: Delivery) -> Option<(Runner, Task)> {
    let meta = &mut task.info_mut().meta;
    let runner = meta.runner.clone()?;
    meta.id = next_id();
    meta.delivery = Some(delivery);
    if meta.registered_at.is_some() {
        meta.sent_at = Some(now());
    }
    if task.info().when == When::Delivered && !delivery.is_sent() {
        runner.skip(task, delivery);
        return None;
    }
    let meta = &task.info().meta;
    if let Some(group) = &meta.group {
        group.started(meta.id, meta.name.clone());
    }
    match runner.scheduler().begin(task) {
        Begin::Runs(task, key, permit) => return Some((runner, started(task, key, permit))),
        Begin::Kept => {}
        Begin::Closed(task) => runner.cancel(task),
    }
    None
}

#[inline]
fn started(mut task: Task, key: usize, permit: Option<tokio::sync::OwnedSemaphorePermit>) -> Task {
    metrics::started();
    let info = task.info_mut();
    info.key = key;
    if permit.is_some() {
        info.permit.set(permit);
    }
    info.trace.name(&info.meta.name, info.meta.id);
    task
}

impl Runner {
    /// Hands a task that has begun over to its runtime.
    #[inline]
    fn hand_over(&self, mut task: Task) {
        let pool = task.info_mut().meta.pool.take();
        self.executor().run(task.job, pool);
    }

    /// Hands a task over from within another one, or from its end: that one may go on.
    #[cold]
    fn hand_over_behind(&self, mut task: Task) {
        let pool = task.info_mut().meta.pool.take();
        self.executor().run_behind(task.job, pool);
    }

    #[cold]
    fn skip(&self, task: Task, delivery: Delivery) {
        let info = task.info();
        let state = if delivery == Delivery::Unknown {
            events::refused(
                info,
                "this server cannot tell whether its response was delivered",
            );
            State::Refused
        } else {
            events::skipped(info, "its response was not delivered");
            State::Skipped
        };
        self.leave(task, state);
    }

    /// The runner has ended before there was room for the task.
    pub(super) fn cancel(&self, task: Task) {
        events::cancelled(task.info());
        metrics::left();
        self.report_and_discard(task, State::Cancelled);
    }

    fn leave(&self, task: Task, state: State) {
        self.scheduler().leave(self.share(), state);
        metrics::left();
        self.report_and_discard(task, state);
    }

    /// Tells of a task that does not wait any more, and has not started.
    fn report_and_discard(&self, task: Task, state: State) {
        self.report_unstarted(vec![Unstarted::new(&task, state)], &task.info().meta);
        task.discard();
    }

    /// Starts what the end of others has made room for. Not within itself: a runtime that is gone
    /// drops what it is given at once, which ends it.
    pub(super) fn start_ready(&self) {
        let scheduler: *const Scheduler<Task> = self.scheduler();
        let outer = STARTING.replace(scheduler);
        // Also if something unwinds.
        let _restore = Restore(outer);
        if ptr::eq(outer, scheduler) {
            return;
        }
        while let Some((task, key, permit)) = self.scheduler().next() {
            self.hand_over_behind(started(task, key, permit));
        }
    }

    /// Aborts what is under way; returns what ran, and what was ready.
    pub(super) fn abort(&self, scope: super::scheduler::Scope) -> Vec<Unfinished> {
        let Aborted { mut running, ready } = self.scheduler().abort(scope);
        for task in ready {
            running.push(task.describe());
            self.cancel(task);
        }
        running
    }
}

/// A started task has ended.
pub(super) fn ended(info: &Info, end: End) {
    let Some(runner) = &info.meta.runner else {
        return;
    };
    let has_listener = runner.has_listener(&info.meta);
    let is_logged = info.trace.is_listened_to() || end.error.is_some();
    let is_told = !has_listener && !is_logged;
    let has_ready = runner.scheduler().end(info.key, end.state, is_told);
    metrics::ended();
    if has_ready {
        runner.start_ready();
    }
    if is_told {
        return;
    }
    if is_logged {
        events::ended(info, &end);
    }
    if has_listener {
        runner.report(&info.meta, Report::of(info, end));
    }
    runner.scheduler().told(runner.share(), 1);
}
