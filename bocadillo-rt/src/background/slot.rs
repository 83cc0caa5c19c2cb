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
    more: Vec<Task>,
    /// How many were registered and are not here.
    pub(super) replaced: u32,
    pub(super) refused: u32,
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
        self.replaced += 1 + self.more.len() as u32;
        let old = Self {
            first: Some(first),
            more: std::mem::take(&mut self.more),
            ..Self::default()
        };
        let by = (task.name.clone(), task.location);
        self.first = Some(task);
        LetGo::Replaced {
            old: Box::new(old),
            by,
        }
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
            self.more.push(task);
        }
        LetGo::Nothing
    }

    fn is_full(&self) -> bool {
        self.len() + (self.replaced + self.refused) as usize >= MAX_TASKS
    }

    fn refuse(&mut self, task: Task) -> LetGo {
        self.refused += 1;
        LetGo::Refused(Box::new(task))
    }

    /// How many tasks there are to run.
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    /// The tasks to run, in the order of their registration.
    pub(super) fn into_tasks(self) -> impl Iterator<Item = Task> {
        self.first.into_iter().chain(self.more)
    }

    /// The same, without an iterator, which costs the many that have one task.
    pub(super) fn take_tasks(&mut self) -> (Option<Task>, Vec<Task>) {
        (self.first.take(), std::mem::take(&mut self.more))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.replaced == 0 && self.refused == 0
    }

    /// Registers what another slot holds beside what this one does.
    pub(crate) fn append(&mut self, mut other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let (first, more) = other.take_tasks();
        self.replaced += other.replaced;
        self.refused += other.refused;
        self.more.extend(first.into_iter().chain(more));
    }
}

/// Tasks that a registration has let go. They are logged and dropped by whoever registers, outside
/// of any lock: dropping what a user captured may do anything.
pub(crate) enum LetGo {
    Nothing,
    Replaced {
        old: Box<Slot>,
        by: (Cow<'static, str>, &'static Location<'static>),
    },
    Refused(Box<Task>),
}

impl LetGo {
    #[inline]
    pub(crate) fn log(self) {
        match self {
            Self::Nothing => {}
            Self::Replaced { old, by } => log_replaced(*old, &by),
            Self::Refused(task) => log_refused(&task),
        }
    }
}

#[cold]
fn log_replaced(old: Slot, (by, by_location): &(Cow<'static, str>, &'static Location<'static>)) {
    for old in old.into_tasks() {
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
