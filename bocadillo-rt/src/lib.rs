//! The runtime of bocadillo: knows when a response was sent, runs tasks, serves.

pub mod sent;
