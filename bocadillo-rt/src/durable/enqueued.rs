//! What a test sees of a task that was put into a store in memory.

use serde_json::Value;

use crate::{
    background::{NewTask, TaskId},
    durable::envelope::Args,
};

/// A task that was put into a [`Memory`](super::Memory).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Enqueued {
    /// Its number.
    pub id: TaskId,
    /// The name of its `#[task]`.
    pub name: String,
    /// Its arguments by name, as a JSON object.
    pub args: Value,
}

impl Enqueued {
    pub(super) fn of(task: &NewTask) -> Self {
        Self {
            id: task.id,
            name: task.name.to_string(),
            args: Args::open(&task.payload).map_or(Value::Null, Args::into_json),
        }
    }
}
