//! The tasks that are registered on one response: the latest replaces the others, `add` keeps them.

#[cfg(feature = "durable")]
use std::sync::Arc;
use std::{borrow::Cow, mem, panic::Location};

#[cfg(feature = "durable")]
use super::entry::Entry;
use super::{events, job::When, report::TaskState, task::Task};

/// Upper bound on the registrations of one response. More of them are a loop that went wrong.
const MAX_TASKS: usize = 64;

/// The tasks registered on one response.
///
/// Most responses have no task or one task, which needs no allocation here.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    pub(super) first: Option<Task>,
    /// Further tasks, and tasks that will not start. Most responses have neither.
    rest: Option<Box<Rest>>,
}

#[derive(Debug, Default)]
struct Rest {
    more: Vec<Task>,
    unstarted: Vec<Unstarted>,
}

#[cfg(feature = "durable")]
impl Rest {
    fn has_uncommitted(&self) -> bool {
        self.more.iter().any(Task::is_uncommitted)
    }
}

/// A task that was registered and will never start.
#[derive(Clone, Debug)]
pub(crate) struct Unstarted {
    pub(super) name: Cow<'static, str>,
    pub(super) location: &'static Location<'static>,
    pub(super) state: TaskState,
}

impl Unstarted {
    pub(super) fn new(task: &Task, state: TaskState) -> Self {
        Self {
            name: task.info().meta.name.clone(),
            location: task.info().location(),
            state,
        }
    }
}

impl Registrations {
    /// Registers a task in place of all earlier ones, which the caller discards.
    #[must_use]
    #[inline]
    pub(crate) fn replace(&mut self, task: Task) -> Discarded {
        if !self.is_empty() {
            return self.replace_all(task);
        }
        self.first = Some(task);
        Discarded::Nothing
    }

    #[cold]
    fn replace_all(&mut self, task: Task) -> Discarded {
        if self.is_full() {
            return self.refuse(task);
        }
        let Some(first) = self.first.take() else {
            self.first = Some(task);
            return Discarded::Nothing;
        };
        let rest = self.rest.get_or_insert_default();
        let mut old = mem::take(&mut rest.more);
        old.insert(0, first);
        let replaced = old
            .iter()
            .map(|task| Unstarted::new(task, TaskState::Replaced));
        rest.unstarted.extend(replaced);
        let by = Unstarted::new(&task, TaskState::Replaced);
        self.first = Some(task);
        Discarded::Replaced { old, by }
    }

    /// Registers a task beside the earlier ones.
    #[must_use]
    pub(crate) fn add(&mut self, task: Task) -> Discarded {
        if self.is_full() {
            return self.refuse(task);
        }
        if self.first.is_none() {
            self.first = Some(task);
        } else {
            self.rest.get_or_insert_default().more.push(task);
        }
        Discarded::Nothing
    }

    fn is_full(&self) -> bool {
        self.len() + self.unstarted().len() >= MAX_TASKS
    }

    fn refuse(&mut self, task: Task) -> Discarded {
        let refused = Unstarted::new(&task, TaskState::Refused);
        self.rest.get_or_insert_default().unstarted.push(refused);
        Discarded::Refused(Box::new(task))
    }

    /// Returns how many tasks are to run.
    pub(super) fn len(&self) -> usize {
        let more = self.rest.as_ref().map_or(0, |rest| rest.more.len());
        usize::from(self.first.is_some()) + more
    }

    pub(super) fn unstarted(&self) -> &[Unstarted] {
        self.rest.as_ref().map_or(&[], |rest| &rest.unstarted)
    }

    pub(super) fn take_unstarted(&mut self) -> Vec<Unstarted> {
        let rest = self.rest.as_mut();
        rest.map_or_else(Vec::new, |rest| mem::take(&mut rest.unstarted))
    }

    /// Returns whether there is more than a first task.
    #[inline]
    pub(super) fn has_rest(&self) -> bool {
        self.rest.is_some()
    }

    /// Returns all but the first.
    pub(super) fn more(&mut self) -> impl Iterator<Item = &mut Task> {
        self.rest.iter_mut().flat_map(|rest| rest.more.iter_mut())
    }

    /// Keeps the first `len` tasks, and returns the others.
    pub(super) fn truncate(&mut self, len: usize) -> Vec<Task> {
        let mut all = self.take_tasks();
        let rest = all.split_off(len.min(all.len()));
        self.put(all);
        rest
    }

    /// Replaces each task by the result of `f`.
    #[cold]
    pub(super) fn map(&mut self, f: impl Fn(Task) -> Task) {
        let all = self.take_tasks();
        self.put(all.into_iter().map(f).collect());
    }

    /// Skips the tasks that run only after a successful view: the view has failed.
    #[cold]
    pub(crate) fn view_failed(&mut self) {
        let is_for_success = |task: &Task| task.info().when == When::Success;
        let (skipped, rest) = self.take_tasks().into_iter().partition(is_for_success);
        self.put(rest);
        let skipped: Vec<Task> = skipped;
        let unstarted = skipped
            .iter()
            .map(|task| Unstarted::new(task, TaskState::Skipped));
        self.rest
            .get_or_insert_default()
            .unstarted
            .extend(unstarted);
        for task in skipped {
            events::skipped(task.info(), "it is for successful views");
            task.discard();
        }
    }

    /// Returns whether a durable task is to be committed.
    #[cfg(feature = "durable")]
    #[inline]
    pub(crate) fn has_uncommitted(&self) -> bool {
        // There is no other without a first.
        self.first.as_ref().is_some_and(|first| {
            first.is_uncommitted()
                || self
                    .rest
                    .as_ref()
                    .is_some_and(|rest| rest.has_uncommitted())
        })
    }

    /// Returns what is to be committed.
    #[cfg(feature = "durable")]
    pub(crate) fn uncommitted(&self) -> Vec<Arc<Entry>> {
        let more = self.rest.iter().flat_map(|rest| &rest.more);
        let all = self.first.iter().chain(more);
        let uncommitted = all.filter(|task| task.is_uncommitted());
        uncommitted.filter_map(|task| task.entry.clone()).collect()
    }

    /// Refuses the durable tasks: they could not be committed.
    #[cfg(feature = "durable")]
    #[cold]
    pub(crate) fn refuse_uncommitted(&mut self) {
        let (refused, rest): (Vec<_>, _) = self
            .take_tasks()
            .into_iter()
            .partition(Task::is_uncommitted);
        self.put(rest);
        let unstarted = refused
            .iter()
            .map(|task| Unstarted::new(task, TaskState::Refused));
        self.rest
            .get_or_insert_default()
            .unstarted
            .extend(unstarted);
        for task in refused {
            events::refused(task.info(), "it could not be committed to its store");
            task.discard();
        }
    }

    /// Takes the tasks to run, in the order of their registration.
    pub(super) fn take_tasks(&mut self) -> Vec<Task> {
        let rest = self.rest.as_mut();
        let mut all = rest.map_or_else(Vec::new, |rest| mem::take(&mut rest.more));
        all.splice(..0, self.first.take());
        all
    }

    fn put(&mut self, tasks: Vec<Task>) {
        let mut tasks = tasks.into_iter();
        self.first = tasks.next();
        if tasks.len() > 0 {
            self.rest.get_or_insert_default().more = tasks.collect();
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }

    /// Adds the tasks of another response.
    pub(crate) fn append(&mut self, mut other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let rest = self.rest.get_or_insert_default();
        rest.unstarted.append(&mut other.take_unstarted());
        if self.first.is_none() {
            let all = other.take_tasks();
            self.put(all);
        } else {
            rest.more.append(&mut other.take_tasks());
        }
    }
}

/// Tasks that a registration has discarded. The caller logs and drops them outside of any lock, because
/// the destructors of captured values are a user's code.
pub(crate) enum Discarded {
    Nothing,
    Replaced { old: Vec<Task>, by: Unstarted },
    Refused(Box<Task>),
}

impl Discarded {
    #[inline]
    pub(crate) fn log(self) {
        match self {
            Self::Nothing => {}
            Self::Replaced { old, by } => {
                for old in old {
                    events::replaced(old.info(), &by.name, by.location);
                    old.discard();
                }
            }
            Self::Refused(task) => {
                events::refused(
                    task.info(),
                    "64 tasks were registered on this response already",
                );
                task.discard();
            }
        }
    }
}

impl From<Task> for Registrations {
    fn from(task: Task) -> Self {
        Self {
            first: Some(task),
            rest: None,
        }
    }
}
