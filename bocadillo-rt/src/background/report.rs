//! What became of a task.

use std::{borrow::Cow, panic::Location};

use super::Context;
use crate::sent::Delivery;

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It ran to its end.
    Completed,
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
    /// Its runtime was shut down before it ended.
    Cancelled,
    /// A later registration on the same response took its place; it was not started.
    Replaced,
}

/// What became of one task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Unique within the process, in the order of the starts.
    pub id: u64,
    /// The name of its function, or the one that it was given.
    pub name: Cow<'static, str>,
    /// Where it was registered.
    pub location: &'static Location<'static>,
    /// What became of its response.
    pub delivery: Delivery,
    /// How it ended.
    pub outcome: State,
    /// The error or the panic's message, with its causes.
    pub error: Option<String>,
}

impl Report {
    pub(super) fn new(context: &Context, outcome: State, error: Option<String>) -> Self {
        Self {
            id: context.id(),
            name: context.shared().name.clone(),
            location: context.location(),
            delivery: context.delivery(),
            outcome,
            error,
        }
    }
}
