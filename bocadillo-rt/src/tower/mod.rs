//! Any tower service as a door.

pub(crate) mod boxed;
pub(crate) mod serve;
pub(crate) mod service;
