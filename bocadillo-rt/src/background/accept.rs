//! Accepts the tasks of a response, which wait until the response is sent or aborted.

use std::{mem, pin::Pin, sync::Arc};

use super::{
    events,
    group::Group,
    job::{BoxedJob, Meta, now},
    launch, metrics,
    registrations::{Registrations, Unstarted},
    report::TaskState,
    run,
    runner::Runner,
    task::Task,
};
use crate::sent::{Delivery, Done, OnDone};

/// Several tasks that wait for one response. Each knows its runner.
struct Several {
    tasks: Registrations,
    /// Notified when all tasks were released. Never that of a follow-up, whose parent notifies it.
    group: Option<Arc<Group>>,
}

impl Runner {
    /// Accepts the tasks that a view has registered: they wait for its response. The caller must invoke
    /// the returned callback when the response is done. `fill` describes the response.
    pub(crate) fn accept(&self, tasks: &mut Registrations, fill: impl FnOnce(&mut Meta)) -> OnDone {
        let is_limited = self.refuses_overflow();
        let group = self.accept_all(tasks, fill, is_limited);
        // Most responses have one task, which is in a box already.
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
            if let Some((runner, job)) = launch::begin(task.job, delivery) {
                launch::hand_over_behind(&runner, job);
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
        // Filled in place: `Meta` is large.
        fill(&mut info.meta);
        info.meta.runner = Some(self.clone());
        if launch::needs_times(self, info) {
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
        if let Some(wrap) = &self.settings().wrap {
            tasks.map(|task| Task::from_job(run::wrap(task.job, &**wrap)));
        }
        group
    }

    /// Registers `wanted` tasks and those that will not start; returns how many tasks may run.
    #[inline]
    fn register(&self, tasks: &Registrations, wanted: usize, is_limited: bool) -> usize {
        let unstarted = tasks.unstarted().iter().map(|unstarted| unstarted.state);
        let accepted = self
            .scheduler()
            .register(self.share(), wanted, unstarted, is_limited);
        metrics::registered(wanted + tasks.unstarted().len(), accepted);
        accepted
    }

    /// Accepts a response with only tasks that will not start.
    #[cold]
    fn accept_unstarted(&self, tasks: &mut Registrations, mut meta: Meta) -> Option<Arc<Group>> {
        self.register(tasks, 0, false);
        meta.registered_at = Some(now());
        self.report_unstarted(tasks.take_unstarted(), &meta);
        meta.group
    }

    /// Accepts all tasks but the first one, and those that will not start.
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

    /// Refuses all tasks: no runtime can run them.
    #[cold]
    fn refuse_all(&self, tasks: &mut Registrations, meta: Meta) -> Option<Arc<Group>> {
        let all = tasks.take_tasks();
        let unstarted = tasks.unstarted().iter().map(|unstarted| unstarted.state);
        let refused = all.iter().map(|_| TaskState::Refused);
        let states: Vec<_> = unstarted.chain(refused).collect();
        metrics::registered(states.len(), 0);
        self.scheduler()
            .register(self.share(), 0, states.into_iter(), false);
        self.report_unstarted(tasks.take_unstarted(), &meta);
        let why = "there is no tokio runtime here; `Runner::current()` needs that of the server";
        self.refuse(all, &meta, why);
        meta.group
    }

    #[cold]
    fn refuse(&self, tasks: Vec<Task>, meta: &Meta, why: &str) {
        for task in tasks {
            events::refused(task.info(), why);
            self.report_unstarted(vec![Unstarted::new(&task, TaskState::Refused)], meta);
            task.discard();
        }
    }

    /// Reports tasks of this response that will not start.
    fn report_unstarted(&self, unstarted: Vec<Unstarted>, response: &Meta) {
        let count = unstarted.len();
        for Unstarted {
            name,
            location,
            state,
        } in unstarted
        {
            let meta = Meta {
                name,
                location,
                ..response.clone()
            };
            launch::report_unstarted(self, &meta, state);
        }
        self.scheduler().settle(self.share(), count);
    }
}

impl Done for Several {
    /// Starts all, in the order of their registration.
    fn done(mut self: Pin<Box<Self>>, delivery: Delivery) {
        let tasks = self.tasks.take_tasks();
        let (mut last, mut are_several) = (None::<(Runner, BoxedJob)>, false);
        for task in tasks {
            let Some(begun) = launch::begin(task.job, delivery) else {
                continue;
            };
            if let Some((runner, job)) = last.replace(begun) {
                are_several = true;
                launch::hand_over(&runner, job);
            }
        }
        // Otherwise the last task would run first: see `Pool::clear_last_woken`.
        match last {
            Some((runner, job)) if are_several => launch::hand_over_behind(&runner, job),
            Some((runner, job)) => launch::hand_over(&runner, job),
            None => {}
        }
        if let Some(group) = self.group.take() {
            group.released();
        }
    }
}
