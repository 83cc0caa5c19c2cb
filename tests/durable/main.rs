//! Tasks that survive the death of their process.

#![allow(clippy::print_stdout, reason = "says what a killed process has done")]

#[path = "../support/mod.rs"]
mod support;

mod attempts;
mod calls;
mod child;
mod doors;
mod kills;
mod sqlite;
mod suite;
mod worker;
