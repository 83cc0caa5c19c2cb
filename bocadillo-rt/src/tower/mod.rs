//! Any tower service as a door.

mod answer;
pub(crate) mod boxed;
pub(crate) mod serve;
pub(crate) mod service;
