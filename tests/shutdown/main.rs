//! The end of a server: on signals to a process of its own, and by a handle.
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

mod child;
mod client;
mod handle;
mod signals;
