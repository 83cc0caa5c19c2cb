//! Tasks that start when a response has been sent.
//!
//! # The life of a task
//!
//! 1. **Registered**: a view calls [`Response::background`](crate::Response::background), or has an
//!    inner function with `#[background]`. The latest registration replaces those before it;
//!    `add_background` keeps them.
//! 2. **Waiting**: the view has ended, and its response is on its way. This is also true after an error
//!    or a panic of the view, which has a response too.
//! 3. **Started**: the response was [sent or aborted](crate::sent). If the client left before the
//!    response was ready, the tasks start when the view has ended.
//! 4. **Ended**, in exactly one [`TaskState`]. A task that fails or panics is logged with its name and
//!    the place of its registration, and affects nothing else.
//!
//! Follow-ups, which a task starts by [`Context::spawn`], go through the same states.
//!
//! # The order of several tasks
//!
//! The tasks of one response are handed to their runtime in the order of their registration, and run
//! concurrently. On a runtime with one thread they begin in that order. On several threads they begin at
//! the same time, in any order. A ready task never waits behind a task that computes while another thread
//! is idle.
//!
//! # Where tasks run
//!
//! By default tasks run on a runtime of their own ([`Runner::dedicated`]): a task that blocks its
//! thread, or computes, keeps no request waiting. [`Runner::current`] runs them on the runtime of the
//! requests, where they start sooner and must not block, as in the original. Use [`Task::blocking`] for a
//! function that blocks. A poll that takes too long is logged with the task's name.
//!
//! Each task has a tokio task to itself while it runs. That tokio task then runs further background tasks,
//! since creating a tokio task is the larger part of the cost of a short one. So background tasks may have
//! equal `tokio::task::id()`s; [`Context::id`] is unique.
//!
//! # Limits
//!
//! A limited number of tasks runs at a time; further tasks wait for their turn, in order. A limited number
//! of tasks may wait, for their response or for their turn; [`Overflow`] decides about tasks beyond the
//! limit. Each task may run for a limited time, also a task that is always busy. [`Builder`] has the table
//! of defaults. A task drops everything that it captured when it ends, or when it is refused.
//!
//! # Accounting
//!
//! A [`Runner`] counts every task in exactly one of the numbers of its [`Stats`]. The numbers change
//! together, under one lock: at every instant their sum is the number of registrations. Each task has
//! exactly one [`Report`] in the end, also a task that never started. A registration counts from the end
//! of its view.
//!
//! Failures, panics and timeouts are errors in the log, refusals and cancellations warnings, and a
//! replaced task is a line at `info`. All other lines are for debugging. Lines that each request could
//! cause are written once a second for each task, with the number of lines left out. Where no
//! subscriber takes errors, failures go to stderr.
//!
//! # Traces
//!
//! A task has a span `background` of its own, with its name, its `id`, and when it was sent, started
//! and ended (microseconds after its registration). The span *follows from* that of the request, and
//! is no child of it: the request's span ends with its response, not with its tasks. The link leads to the
//! request's fields: `tracing-opentelemetry` exports it as a span link. The subscriber is that of the
//! registration, also on another thread.
//!
//! # Panics
//!
//! All code of a user may panic. The panic is caught where the code is called, and is logged in one line:
//!
//! | code | when it panics |
//! | --- | --- |
//! | a view, or an error's `Display`, `Debug`, `source` | the client gets a 500; the tasks run |
//! | a handler of `on_error` | the client gets a 500; the tasks run |
//! | a task, what it has captured, its error's `Display` | the task is `Panicked` |
//! | a task that will not run, when it is dropped | its state is as it was |
//! | `wrap`, and the future that it returns | the task is `Panicked` |
//! | `on_report`, the recorder of `metrics`, a subscriber | nothing else: the task is accounted for before |
//! | a payload of a panic, when it is dropped | nothing else |
//! | a layer or a mounted service, when it is called or polled | the client gets a 500; the tasks run |
//! | such a service's future, when it is dropped | its answer stands |
//! | a function of `on_startup` | `serve` returns the error, after the functions of `on_shutdown` |
//! | a function of `on_shutdown` | `serve` returns the error; the others are called |
//!
//! Two panics at once, as a destructor that panics while another panic unwinds, end the process: that
//! is Rust's own rule.
//!
//! # Metrics
//!
//! With the feature `metrics`, the recorder of the `metrics` crate gets:
//!
//! | name | kind | labels | what |
//! | --- | --- | --- | --- |
//! | `bocadillo_tasks_registered_total` | counter | | tasks whose view has ended, and follow-ups |
//! | `bocadillo_tasks_ended_total` | counter | `task`, `outcome` | tasks that have ended or will not start |
//! | `bocadillo_tasks_waiting` | gauge | | their response is on its way, or there is no room to run them yet |
//! | `bocadillo_tasks_running` | gauge | | started and not ended |
//! | `bocadillo_task_wait_seconds` | histogram | `task` | from "sent" to the start |
//! | `bocadillo_task_run_seconds` | histogram | `task` | from the start to the end |
//!
//! Names of tasks are labels: give the tasks of one kind one name. `outcome` is a [`TaskState`]: in lower
//! case, `timed_out` with an underscore.
//!
//! # The end
//!
//! [`Runner::drain`] waits until all tasks have ended and are reported, follow-ups included. Shortly before
//! its time is over it [asks](Context::cancelled) the tasks to end. Then it cuts off the tasks that are
//! left, and names them. A task that never yields cannot be cut off: it is named as still running. A
//! server drains the tasks of its own requests alone, so several servers may share one runner.

mod accept;
mod account;
#[cfg(feature = "durable")]
mod attempt;
mod blocking;
mod builder;
#[cfg(feature = "durable")]
mod commit;
mod context;
mod drain;
#[cfg(feature = "durable")]
mod entry;
mod events;
mod executor;
mod gather;
mod group;
mod handle;
mod here;
mod job;
mod launch;
mod metrics;
mod outcome;
#[cfg(feature = "durable")]
mod policy;
mod registrations;
mod report;
mod run;
mod runner;
mod scheduler;
#[cfg(feature = "durable")]
mod states;
mod stats;
#[cfg(feature = "durable")]
mod store;
#[cfg(feature = "durable")]
mod store_error;
mod task;
#[cfg(feature = "durable")]
mod task_id;
mod timer;
mod trace;
mod worker;

#[cfg(feature = "durable")]
#[doc(hidden)]
pub use self::attempt::Work;
#[cfg(feature = "durable")]
pub(crate) use self::here::take_collected;
#[cfg(feature = "durable")]
pub(crate) use self::{
    attempt::dead, commit::Refused, entry::Entry, handle::Commit, policy::Policy,
};
pub use self::{
    builder::{Builder, Overflow},
    context::{Context, current, try_current},
    drain::DrainReport,
    gather::{Gather, gather},
    handle::Background,
    here::after_response,
    job::When,
    outcome::Outcome,
    report::{Report, TaskState, Unfinished},
    runner::Runner,
    stats::Stats,
    task::{IntoTask, Task},
};
pub(crate) use self::{
    drain::Deadline,
    events::{LogLimit, cut_off_by_signal},
    group::Group,
    handle::{Peer, TestDoor},
    here::{collect, collecting},
    job::{Meta, is_failure},
    outcome::Never,
    registrations::Registrations,
    runner::{Active, Connected},
    worker::Pool,
};
#[cfg(feature = "durable")]
pub use self::{
    store::{Claimed, Counts, Due, End, KeptState, KeptTask, NewTask, Store, StoreFuture},
    store_error::StoreError,
    task_id::TaskId,
};
