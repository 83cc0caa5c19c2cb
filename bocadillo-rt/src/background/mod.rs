//! Work that begins when a response has been sent.
//!
//! # The life of a task
//!
//! 1. **Registered**: a view calls [`Response::background`](crate::Response::background), or has an
//!    inner function with `#[background]`. The latest registration replaces those before it;
//!    `add_background` keeps them.
//! 2. **Waiting**: the view has ended, and its response is on its way. An error or a panic of the
//!    view changes nothing about it: there is a response then too.
//! 3. **Started**: the response was [sent or aborted](crate::sent). All tasks of a response are
//!    started in the order of their registration and run concurrently, each with a fate of its
//!    own. If the client left before there was a response, they start when the view has ended.
//! 4. **Ended**, in exactly one [`State`]. A task that fails or panics is logged with its name and
//!    the place where it was registered; nothing else notices.
//!
//! Whatever a task leaves behind by [`Context::spawn`] goes through the same states.
//!
//! # Accounting
//!
//! A [`Runner`] counts every task in exactly one of the numbers of its [`Stats`], beside the number
//! of registrations: `registered = replaced + waiting + running + completed + failed + panicked +
//! cancelled + refused`. Each number is counted where it happens; they are read one by one, so that
//! the sum holds when nothing changes meanwhile. A task that was refused or replaced was never
//! started and has no report; the log names it.
//!
//! # Which thread
//!
//! Tasks run on the runtime that serves the requests ([`Runner::current`]): a task must not block
//! its thread, as in the original. A runtime of their own is planned.

mod blocking;
mod config;
mod context;
mod drain;
mod gather;
mod group;
mod handle;
mod home;
mod info;
mod launch;
mod ledger;
mod origin;
mod report;
mod run;
mod runner;
mod slot;
mod task;
mod wrap;

pub use self::{
    config::Overflow,
    context::{Context, current, try_current},
    drain::{DrainReport, Unfinished},
    gather::{Gather, gather},
    handle::Background,
    ledger::Stats,
    report::{Report, State},
    runner::Runner,
    task::{IntoTask, Outcome, Task, When},
};
pub(crate) use self::{
    group::Group, info::About, launch::Waiting, run::message, slot::Slot, task::Never,
};
