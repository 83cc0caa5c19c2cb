//! The way of a task from its view's end to its start.

use std::{cell::Cell, mem, pin::Pin, ptr, sync::Arc};

use super::{
    About, Group, Runner, Slot, State, Task, When, home,
    info::now,
    ledger::{Begin, Entry, Ledger},
    metrics,
    runner::next_id,
    slot::Gone,
};
use crate::sent::{Delivery, Done, OnDone};

/// Several tasks that wait for one response. Each knows its runner.
struct Several {
    slot: Slot,
    /// Told when all have been released; a follow-up's is its parent's, and not its to tell.
    group: Option<Arc<Group>>,
}

impl Runner {
    /// Takes what a view has registered: from now on it is waiting for its response. Whoever gets
    /// what that is to call calls it. `fill` says what is known of the response.
    pub(crate) fn accept(&self, slot: &mut Slot, fill: impl FnOnce(&mut About)) -> OnDone {
        let group = self.accept_all(slot, fill);
        // Most are one, which is in a box already.
        if group.is_none() && !slot.has_rest() {
            if let Some(only) = slot.first.take() {
                return only.job.into_done();
            }
        }
        let slot = mem::take(slot);
        OnDone::new(Box::pin(Several { slot, group }))
    }

    /// Starts a follow-up.
    pub(super) fn start_one(&self, task: Task, about: About, delivery: Delivery) {
        let mut slot = Slot::from(task);
        self.accept_all(&mut slot, |known| *known = about);
        if let Some(task) = slot.first.take() {
            release(task, delivery);
        }
    }

    #[inline]
    fn accept_all(&self, slot: &mut Slot, fill: impl FnOnce(&mut About)) -> Option<Arc<Group>> {
        let (len, has_rest) = (slot.len(), slot.has_rest());
        let accepted = self.ledger().register(len, slot.gone(), self.is_limited());
        metrics::registered(len + slot.gone().len(), accepted);
        let Some(first) = &mut slot.first else {
            let mut about = About::default();
            fill(&mut about);
            return self.accept_gone(slot, about);
        };
        let info = first.info_mut();
        // Where it stays: it would be moved otherwise.
        fill(&mut info.shared.about);
        info.shared.runner = Some(self.clone());
        if self.tells(info) {
            info.shared.about.times.registered_at = Some(now());
        }
        let about = &info.shared.about;
        let group = about.group.clone();
        if has_rest || accepted < len {
            let about = about.clone();
            self.accept_rest(slot, accepted, &about);
        }
        self.wrap_all(slot);
        group
    }

    /// There are only tasks that are gone.
    #[cold]
    fn accept_gone(&self, slot: &mut Slot, mut about: About) -> Option<Arc<Group>> {
        about.times.registered_at = Some(now());
        for gone in slot.take_gone() {
            self.report_gone(gone, &about, None);
        }
        about.group
    }

    /// All but the first task, and those that are gone or have no room.
    #[cold]
    fn accept_rest(&self, slot: &mut Slot, accepted: usize, about: &About) {
        for gone in slot.take_gone() {
            self.report_gone(gone, about, None);
        }
        if accepted < slot.len() {
            self.refuse(slot.truncate(accepted), about);
        }
        for task in slot.more() {
            let shared = &mut task.info_mut().shared;
            shared.runner = Some(self.clone());
            shared.about.clone_from(about);
        }
    }

    #[cold]
    fn refuse(&self, tasks: Vec<Task>, about: &About) {
        for task in tasks {
            tracing::warn!(
                task = task.info().name(),
                location = %task.info().location(),
                "background task refused: too many are waiting, or the runner has ended"
            );
            self.report_gone(Gone::new(&task, State::Refused), about, None);
            task.discard();
        }
    }
}

impl Done for Several {
    /// Starts all, in the order of their registration.
    fn done(mut self: Pin<Box<Self>>, delivery: Delivery) {
        let (first, more) = self.slot.take_tasks();
        let tasks = first.into_iter().chain(more);
        let begun: Vec<_> = tasks.filter_map(|task| begin(task, delivery)).collect();
        // Each starts the next one when it is polled for the first time: that is in order on any
        // runtime, and on any number of threads.
        let mut next = None;
        for (_, mut task) in begun.into_iter().rev() {
            task.info_mut().next = next;
            next = Some(task);
        }
        if let Some(first) = next {
            hand_over_next(first);
        }
        if let Some(group) = self.group.take() {
            group.released();
        }
    }
}

/// A task whose response is out, and that is to run when there is room.
#[derive(Debug)]
pub(super) struct Ready(Task);

impl Ready {
    #[cfg(all(test, bocadillo_loom))]
    pub(super) fn of(task: Task) -> Self {
        Self(task)
    }

    #[inline(always)]
    fn begun(self, key: usize) -> Task {
        let Self(mut task) = self;
        metrics::started();
        let info = task.info_mut();
        info.key = key;
        info.origin.open(&info.shared.name, info.shared.id);
        task
    }

    pub(super) fn entry(&self) -> Entry {
        let shared = &self.0.info().shared;
        Entry {
            id: shared.id,
            name: shared.name.clone(),
            location: shared.location,
            waker: None,
        }
    }
}

thread_local! {
    /// Whose ready tasks are being started on this thread. Only compared, never followed.
    static STARTING: Cell<*const Ledger> = const { Cell::new(ptr::null()) };
}

struct Restore(*const Ledger);

impl Drop for Restore {
    fn drop(&mut self) {
        STARTING.set(self.0);
    }
}

/// The task's response is out: it runs, or not, or as soon as there is room.
pub(super) fn release(task: Task, delivery: Delivery) {
    if let Some((runner, task)) = begin(task, delivery) {
        hand_over(&runner, task);
    }
}

/// Accounts for a task whose response is out; returns it if it runs now.
#[inline(always)]
fn begin(mut task: Task, delivery: Delivery) -> Option<(Runner, Task)> {
    let info = task.info_mut();
    let runner = info.shared.runner.clone()?;
    info.shared.id = next_id();
    let about = &mut info.shared.about;
    about.delivery = Some(delivery);
    if about.times.registered_at.is_some() {
        about.times.sent_at = Some(now());
    }
    if info.when == When::Delivered && !delivery.is_sent() {
        runner.skip(task, delivery);
        return None;
    }
    if let Some(group) = &about.group {
        group.started(info.shared.id, info.shared.name.clone());
    }
    match runner.ledger().begin(Ready(task)) {
        Begin::Runs(ready, key) => return Some((runner, ready.begun(key))),
        Begin::Kept => {}
        Begin::Closed(ready) => runner.cancel(ready),
    }
    None
}

/// Hands a task that has begun over to its runtime.
#[inline(always)]
fn hand_over(runner: &Runner, mut task: Task) {
    let pool = task.info_mut().shared.about.pool.take();
    runner.run(task.job, pool);
}

/// Hands over what is to follow a task that is about to be polled, or never will be.
#[cold]
pub(super) fn hand_over_next(next: Task) {
    if let Some(runner) = next.info().shared.runner.clone() {
        hand_over(&runner, next);
        home::push_out();
    }
}

impl Runner {
    #[cold]
    fn skip(&self, task: Task, delivery: Delivery) {
        let (name, location) = (task.info().name(), task.info().location());
        let state = if delivery == Delivery::Unknown {
            tracing::warn!(
                task = name, %location,
                "background task refused: here nobody can tell whether its response was delivered"
            );
            State::Refused
        } else {
            tracing::debug!(
                task = name, %location,
                "background task skipped: its response was not delivered"
            );
            State::Skipped
        };
        self.ledger().leave(state);
        metrics::left();
        let shared = &task.info().shared;
        self.report_gone(Gone::new(&task, state), &shared.about, Some(shared.id));
        task.discard();
    }

    /// Starts what the end of others has made room for. Not within itself: a runtime that is gone
    /// drops what it is given at once, which ends it.
    pub(super) fn start_ready(&self) {
        let ledger: *const Ledger = self.ledger();
        let outer = STARTING.replace(ledger);
        // Also if something unwinds.
        let _restore = Restore(outer);
        if ptr::eq(outer, ledger) {
            return;
        }
        while let Some((ready, key)) = self.ledger().next() {
            hand_over(self, ready.begun(key));
            // Behind those that were started before.
            home::push_out();
        }
    }

    /// It was ready, and there was no room for it until the end.
    pub(super) fn cancel(&self, ready: Ready) {
        let Ready(task) = ready;
        metrics::left();
        let shared = &task.info().shared;
        tracing::warn!(
            task = task.info().name(),
            location = %shared.location,
            "background task cancelled before its start: the runner has ended"
        );
        let gone = Gone::new(&task, State::Cancelled);
        self.report_gone(gone, &shared.about, Some(shared.id));
        task.discard();
    }
}
