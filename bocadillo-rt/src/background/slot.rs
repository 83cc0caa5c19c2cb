//! What a view fills: the latest registration wins, `add` keeps.

use super::Task;

/// More registrations on one response are refused: so many are a loop that went wrong.
const MAX_TASKS: usize = 64;

/// The tasks registered on one response.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(super) tasks: Vec<Task>,
    pub(super) replaced: Vec<Task>,
    pub(super) refused: Vec<Task>,
}

impl Slot {
    /// Registers a task in place of all before it.
    pub(crate) fn replace(&mut self, task: Task) {
        for old in &self.tasks {
            tracing::debug!(
                task = &*old.name,
                location = %old.location,
                by = &*task.name,
                by_location = %task.location,
                "background task replaced by a later one; use `add_background` to keep both"
            );
        }
        self.replaced.append(&mut self.tasks);
        self.add(task);
    }

    /// Registers a task beside those before it.
    pub(crate) fn add(&mut self, task: Task) {
        let registered = self.tasks.len() + self.replaced.len() + self.refused.len();
        if registered >= MAX_TASKS {
            tracing::warn!(
                task = &*task.name,
                location = %task.location,
                "background task refused: {MAX_TASKS} were registered on this response already"
            );
            self.refused.push(task);
        } else {
            self.tasks.push(task);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.replaced.is_empty() && self.refused.is_empty()
    }

    /// Registers what another slot holds beside what this one does.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.tasks.append(&mut other.tasks);
        self.replaced.append(&mut other.replaced);
        self.refused.append(&mut other.refused);
    }
}
