//! What a view fills: the latest registration wins, `add` keeps.

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
    /// Registers a task in place of all before it.
    pub(crate) fn replace(&mut self, task: Task) {
        if self.first.is_some() {
            let counts = Self {
                first: None,
                more: Vec::new(),
                ..*self
            };
            for old in std::mem::replace(self, counts).into_tasks() {
                log_replaced(&old, &task);
                self.replaced += 1;
            }
        }
        self.add(task);
    }

    /// Registers a task beside those before it.
    pub(crate) fn add(&mut self, task: Task) {
        if self.len() + (self.replaced + self.refused) as usize >= MAX_TASKS {
            tracing::warn!(
                task = &*task.name,
                location = %task.location,
                "background task refused: {MAX_TASKS} were registered on this response already"
            );
            self.refused += 1;
        } else if self.first.is_none() {
            self.first = Some(task);
        } else {
            self.more.push(task);
        }
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
    pub(crate) fn append(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let (replaced, refused) = (other.replaced, other.refused);
        for task in other.into_tasks() {
            self.add(task);
        }
        self.replaced += replaced;
        self.refused += refused;
    }
}

#[cold]
fn log_replaced(old: &Task, new: &Task) {
    tracing::debug!(
        task = &*old.name,
        location = %old.location,
        by = &*new.name,
        by_location = %new.location,
        "background task replaced by a later one; use `add_background` to keep both"
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
