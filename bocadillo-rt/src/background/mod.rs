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
//!    own: each is handed to its runtime when the one before it begins. If the client left before
//!    there was a response, they start when the view has ended.
//! 4. **Ended**, in exactly one [`State`]. A task that fails or panics is logged with its name and
//!    the place where it was registered; nothing else notices.
//!
//! Whatever a task leaves behind by [`Context::spawn`] goes through the same states.
//!
//! # Where tasks run
//!
//! By default on a runtime of their own ([`Runner::dedicated`]): a task that blocks its thread, or
//! computes, keeps no request waiting. [`Runner::current`] puts them on the runtime of the requests,
//! where they start sooner and must not block, as in the original. A function that blocks is best
//! a [`Task::blocking`], wherever it is. A poll that takes too long is logged with the task's name.
//!
//! Each has a tokio task to itself while it runs, which then runs the next one: to make a tokio task costs
//! more than all else that is done for a short background task. So `tokio::task::id()` does not tell
//! background tasks apart; [`Context::id`] does.
//!
//! # Limits
//!
//! So many tasks run at a time; the next ones wait for their turn, in order. So many may wait, for
//! their response or their turn; what [`Overflow`] says happens to those beyond. Each may run for so
//! long. The table of defaults is that of [`Runner`]. What a task holds is given back when it ends,
//! and at once if it is refused; what its request holds, when the response is done.
//!
//! # Accounting
//!
//! A [`Runner`] counts every task in exactly one of the numbers of its [`Stats`]. They change
//! together, under one lock: their sum is the number of registrations at every instant. Each task
//! has one [`Report`] in the end, also those that were never started. Failures, panics and timeouts
//! are errors in the log, refusals and cancellations warnings, the rest is for debugging.
//!
//! A registration counts when its view has ended. A view that replaces its own response by another
//! (`*res = Response::new()`) replaces its tasks too: they are counted so, and logged as a warning.
//!
//! # Metrics
//!
//! With the feature `metrics`, the recorder of the `metrics` crate is told:
//!
//! | name | kind | labels | what |
//! | --- | --- | --- | --- |
//! | `bocadillo_tasks_registered_total` | counter | | tasks whose view has ended, and follow-ups |
//! | `bocadillo_tasks_ended_total` | counter | `task`, `outcome` | tasks that have ended or were let go |
//! | `bocadillo_tasks_waiting` | gauge | | their response is on its way, or there is no room to run them yet |
//! | `bocadillo_tasks_running` | gauge | | started and not ended |
//! | `bocadillo_task_wait_seconds` | histogram | `task` | from "sent" to the start |
//! | `bocadillo_task_run_seconds` | histogram | `task` | from the start to the end |
//!
//! Names of tasks are labels: give the tasks of one kind one name. `outcome` is a [`State`]: in lower
//! case, `timed_out` with an underscore.
//!
//! # The end
//!
//! [`Runner::drain`] waits until nothing waits or runs, follow-ups included. Shortly before its time
//! is over it [asks](Context::cancelled) the tasks to end; then it cuts off what is left, and names
//! it. A task that never yields cannot be cut off: it is named as still running.

mod blocking;
mod builder;
mod context;
mod drain;
mod events;
mod executor;
mod gather;
mod group;
mod handle;
mod job;
mod launch;
mod meta;
mod metrics;
mod registrations;
mod report;
mod run;
mod runner;
mod scheduler;
mod task;
mod timer;
mod tokens;
mod trace;
mod worker;
mod wrap;

pub use self::{
    builder::{Builder, Overflow},
    context::{Context, current, try_current},
    drain::DrainReport,
    gather::{Gather, gather},
    handle::Background,
    report::{Report, State, Unfinished},
    runner::Runner,
    scheduler::Stats,
    task::{IntoTask, Outcome, Task, When},
};
pub(crate) use self::{
    drain::Deadline,
    events::cut_off_by_signal,
    group::Group,
    handle::TestDoor,
    meta::{Meta, is_failure},
    registrations::Registrations,
    task::Never,
    tokens::{Connected, Detached},
    worker::Pool,
};
