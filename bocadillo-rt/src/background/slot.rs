//! What a view fills: the latest registration wins, `add` keeps.

use std::{borrow::Cow, panic::Location};

use super::Task;

/// More registrations on one response are refused: so many are a loop that went wrong.
const MAX_TASKS: usize = 64;

/// The tasks registered on one response.
///
/// Most responses have none, most others one: neither allocates.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(super) first: Option<Task>,
    /// What most responses do not have.
    rest: Option<Box<Rest>>,
}

#[derive(Debug, Default)]
struct Rest {
    more: Vec<Task>,
    /// How many were registered and are not here.
    replaced: u32,
    refused: u32,
}

impl Slot {
    /// Registers a task in place of all before it, which the caller lets go.
    #[must_use]
    pub(crate) fn replace(&mut self, task: Task) -> LetGo {
        if self.is_full() {
            return self.refuse(task);
        }
        let Some(first) = self.first.take() else {
            self.first = Some(task);
            return LetGo::Nothing;
        };
        let rest = self.rest.get_or_insert_default();
        let mut old = std::mem::take(&mut rest.more);
        old.insert(0, first);
        rest.replaced += old.len() as u32;
        let by = (task.name.clone(), task.location);
        self.first = Some(task);
        LetGo::Replaced { old, by }
    }

    /// Registers a task beside those before it.
    #[must_use]
    pub(crate) fn add(&mut self, task: Task) -> LetGo {
        if self.is_full() {
            return self.refuse(task);
        }
        if self.first.is_none() {
            self.first = Some(task);
        } else {
            self.rest.get_or_insert_default().more.push(task);
        }
        LetGo::Nothing
    }

    fn is_full(&self) -> bool {
        self.len() + (self.replaced() + self.refused()) as usize >= MAX_TASKS
    }

    fn refuse(&mut self, task: Task) -> LetGo {
        self.rest.get_or_insert_default().refused += 1;
        LetGo::Refused(Box::new(task))
    }

    /// How many tasks there are to run.
    pub(super) fn len(&self) -> usize {
        let more = self.rest.as_ref().map_or(0, |rest| rest.more.len());
        usize::from(self.first.is_some()) + more
    }

    /// How many were registered and are not here, since others took their place.
    pub(super) fn replaced(&self) -> u32 {
        self.rest.as_ref().map_or(0, |rest| rest.replaced)
    }

    /// How many were one too many.
    pub(super) fn refused(&self) -> u32 {
        self.rest.as_ref().map_or(0, |rest| rest.refused)
    }

    /// The tasks to run, in the order of their registration: the first, and the others.
    pub(super) fn take_tasks(&mut self) -> (Option<Task>, Vec<Task>) {
        let more = self.rest.take().map(|rest| rest.more);
        (self.first.take(), more.unwrap_or_default())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }

    /// Registers what another slot holds beside what this one does.
    pub(crate) fn append(&mut self, mut other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let rest = self.rest.get_or_insert_default();
        rest.replaced += other.replaced();
        rest.refused += other.refused();
        let (first, more) = other.take_tasks();
        rest.more.extend(first.into_iter().chain(more));
    }
}

/// Tasks that a registration has let go. They are logged and dropped by whoever registers, outside
/// of any lock: dropping what a user captured may do anything.
pub(crate) enum LetGo {
    Nothing,
    Replaced {
        old: Vec<Task>,
        by: (Cow<'static, str>, &'static Location<'static>),
    },
    Refused(Box<Task>),
}

impl LetGo {
    #[inline]
    pub(crate) fn log(self) {
        match self {
            Self::Nothing => {}
            Self::Replaced { old, by } => log_replaced(old, &by),
            Self::Refused(task) => log_refused(&task),
        }
    }
}

#[cold]
fn log_replaced(
    old: Vec<Task>,
    (by, by_location): &(Cow<'static, str>, &'static Location<'static>),
) {
    for old in old {
        tracing::debug!(
            task = &*old.name,
            location = %old.location,
            by = &**by,
            %by_location,
            "background task replaced by a later one; use `add_background` to keep both"
        );
    }
}

#[cold]
fn log_refused(task: &Task) {
    tracing::warn!(
        task = &*task.name,
        location = %task.location,
        "background task refused: {MAX_TASKS} were registered on this response already"
    );
}

impl From<Task> for Slot {
    fn from(task: Task) -> Self {
        Self {
            first: Some(task),
            ..Self::default()
        }
    }
}
