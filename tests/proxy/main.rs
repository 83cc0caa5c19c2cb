//! Behind a real nginx: rolling restarts under load, and events that come at once.
//!
//! Needs nginx; `./test --all` runs it. Everything that nginx has is in a folder of its own below
//! `target/`, it listens on loopback alone, and runs as whoever runs the test.
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

mod events;
mod load;
mod nginx;
mod restarts;
mod upstream;
