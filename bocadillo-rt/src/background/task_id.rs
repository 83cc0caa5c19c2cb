//! The number of a durable task.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::store_error::StoreError;

/// The number of a durable task: unique everywhere, the same for all of its attempts.
///
/// Its text is that of a UUID. Give it to a service that takes an idempotency key.
///
/// # Examples
///
/// ```
/// use bocadillo::durable::TaskId;
///
/// let id = TaskId::new();
/// assert_eq!(id.to_string().parse::<TaskId>().ok(), Some(id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(Uuid);

impl TaskId {
    /// Creates an id that no other task has. Later ids are greater, to the millisecond.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "no id is a default")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Returns the id of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Returns the bytes, in an order that sorts by time.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.0)
    }
}

impl FromStr for TaskId {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let id = Uuid::try_parse(text);
        id.map(Self)
            .map_err(|error| StoreError::with("not the id of a task", error))
    }
}
