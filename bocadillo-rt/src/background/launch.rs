//! The way of a task from its view's end to its start.

use std::{cell::Cell, mem, ptr, sync::Arc};

use super::{
    About, Group, Runner, Slot, State, Task, When,
    info::now,
    ledger::{Begin, Entry, Ledger},
    metrics,
    run::Run,
    runner::next_id,
    slot::Gone,
};
use crate::sent::Delivery;

/// Tasks that wait for their response. Dropping it starts them all the same: a task is never lost.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Each of its tasks knows its runner.
    slot: Slot,
    /// Told when all have been released; a follow-up's is its parent's, and not its to tell.
    group: Option<Arc<Group>>,
}

impl Runner {
    /// Takes what a view has registered: from now on it is waiting for its response.
    pub(crate) fn accept(&self, slot: Slot, about: &mut About) -> Waiting {
        self.accept_as(slot, about, false)
    }

    /// Starts a follow-up.
    pub(super) fn start_one(&self, task: Task, mut about: About, delivery: Delivery) {
        self.accept_as(task.into(), &mut about, true)
            .start_all(delivery);
    }

    fn accept_as(&self, mut slot: Slot, about: &mut About, is_follow_up: bool) -> Waiting {
        if self.tells(&slot, about) {
            about.times.registered_at = Some(now());
        }
        let len = slot.len();
        let accepted = self.ledger().register(len, slot.gone(), self.is_limited());
        metrics::registered(len + slot.gone().len(), accepted);
        if slot.has_rest() || accepted < len {
            self.accept_rest(&mut slot, accepted, about);
        }
        let group = about.group.clone().filter(|_| !is_follow_up);
        if let Some(first) = &mut slot.first {
            let shared = &mut first.info.shared;
            shared.runner = Some(self.clone());
            // Most are the only one: it gets what is known, and no copy of it.
            shared.about = mem::take(about);
        }
        let slot = self.wrap_all(slot);
        Waiting { slot, group }
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
            task.info.shared.runner = Some(self.clone());
            task.info.shared.about.clone_from(about);
        }
    }

    #[cold]
    fn refuse(&self, tasks: Vec<Task>, about: &About) {
        for task in tasks {
            tracing::warn!(
                task = task.info.name(),
                location = %task.info.location(),
                "background task refused: too many are waiting, or the runner has ended"
            );
            self.report_gone(Gone::new(&task, State::Refused), about, None);
        }
    }
}

impl Waiting {
    /// Starts all, in the order of their registration.
    pub(crate) fn start_all(mut self, delivery: Delivery) {
        self.start_rest(delivery);
    }

    fn start_rest(&mut self, delivery: Delivery) {
        let (first, more) = self.slot.take_tasks();
        if let Some(first) = first {
            release(first, delivery);
        }
        for task in more {
            release(task, delivery);
        }
        if let Some(group) = self.group.take() {
            group.released();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.start_rest(Delivery::Aborted { bytes: 0 });
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

    pub(super) fn entry(&self) -> Entry {
        let shared = &self.0.info.shared;
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
fn release(mut task: Task, delivery: Delivery) {
    let info = &mut *task.info;
    let Some(runner) = info.shared.runner.clone() else {
        return;
    };
    info.shared.id = next_id();
    let about = &mut info.shared.about;
    about.delivery = Some(delivery);
    if about.times.registered_at.is_some() {
        about.times.sent_at = Some(now());
    }
    if info.when == When::Delivered && !delivery.is_sent() {
        runner.skip(&task, delivery);
        return;
    }
    if let Some(group) = &about.group {
        group.started(info.shared.id, info.shared.name.clone());
    }
    match runner.ledger().begin(Ready(task)) {
        Begin::Runs(ready, key) => runner.start(ready, key),
        Begin::Kept => {}
        Begin::Closed(ready) => runner.cancel(ready),
    }
}

impl Runner {
    #[cold]
    fn skip(&self, task: &Task, delivery: Delivery) {
        let (name, location) = (task.info.name(), task.info.location());
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
        let shared = &task.info.shared;
        self.report_gone(Gone::new(task, state), &shared.about, Some(shared.id));
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
            self.start(ready, key);
        }
    }

    fn start(&self, ready: Ready, key: usize) {
        let Ready(mut task) = ready;
        let info = &mut *task.info;
        metrics::started();
        info.key = key;
        info.origin.open(&info.shared.name, info.shared.id);
        let runtime = info.shared.about.runtime.take();
        self.spawn(Run::new(task), runtime);
    }

    /// It was ready, and there was no room for it until the end.
    pub(super) fn cancel(&self, ready: Ready) {
        let Ready(task) = ready;
        metrics::left();
        let shared = &task.info.shared;
        tracing::warn!(
            task = task.info.name(),
            location = %shared.location,
            "background task cancelled before its start: the runner has ended"
        );
        let gone = Gone::new(&task, State::Cancelled);
        self.report_gone(gone, &shared.about, Some(shared.id));
    }
}
