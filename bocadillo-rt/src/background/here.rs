//! Registers from anywhere below a handler: on the response whose handler is polled on this thread.
//!
//! While a handler is polled, the thread has a scope. A task that is registered meanwhile is kept for
//! the scope, and whoever polls the handler takes it afterwards. So nothing of a response is in the
//! thread, and a poll in which nothing is registered costs the exchange of one number.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    context::try_current,
    events,
    job::Meta,
    runner::Runner,
    task::{IntoTask, Task},
};

/// The scope of a thread. Scopes are within each other, where one handler polls another.
#[derive(Clone, Copy)]
struct Scope {
    /// 0 outside of any handler.
    depth: u32,
    /// How many tasks were registered in it.
    tasks: u32,
}

thread_local! {
    static SCOPE: Cell<Scope> = const { Cell::new(Scope { depth: 0, tasks: 0 }) };
    /// The tasks of all scopes of this thread, those of the innermost last.
    static TASKS: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
}

/// Registers a task on the response of the handler that runs here.
///
/// For code deep below a handler, to which nobody has handed the response: a repository that sends a
/// mail, a service that writes to an audit log. The task is kept beside all others of the response, as by
/// [`add_background`](crate::Response::add_background), and starts when the response was sent. Within a
/// background task it is a [follow-up](super::Context::spawn).
///
/// Only what the server polls itself is known to be a handler: not a future that the handler has given to
/// `tokio::spawn`, and not a thread of `spawn_blocking`. There, and outside of any request, the task
/// starts at once on a runner with the default settings, and a warning names the place of the call.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, Request, Response, after_response, route, testing::Client};
///
/// fn audit(what: &'static str) {
///     after_response(async move { println!("audit: {what}") });
/// }
///
/// #[route("/orders", methods = ["post"])]
/// async fn create_order(_req: &mut Request, res: &mut Response) {
///     audit("an order");
///     res.status(201);
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let response = Client::new(App::new().route(create_order)).post("/orders").await;
/// assert_eq!(response.tasks().await.len(), 1);
/// # }
/// ```
#[track_caller]
pub fn after_response(task: impl IntoTask) {
    let task = task.into_task();
    let scope = SCOPE.get();
    if scope.depth > 0 {
        let tasks = scope.tasks + 1;
        TASKS.with_borrow_mut(|all| all.push(task));
        SCOPE.set(Scope { tasks, ..scope });
    } else if let Some(context) = try_current() {
        context.spawn(task);
    } else {
        events::nowhere(task.info());
        static RUNNER: OnceLock<Runner> = OnceLock::new();
        let runner = RUNNER.get_or_init(Runner::default);
        runner.start_late(task, &Meta::new());
    }
}

/// Calls `f`, which polls a handler, and must not panic; hands on what was registered meanwhile.
#[inline]
pub(crate) fn collect<R>(f: impl FnOnce() -> R, register: impl FnMut(Task)) -> R {
    let outer = SCOPE.get();
    let depth = outer.depth + 1;
    SCOPE.set(Scope { depth, tasks: 0 });
    let result = f();
    let Scope { tasks, .. } = SCOPE.replace(outer);
    if tasks > 0 {
        take(tasks).into_iter().for_each(register);
    }
    result
}

/// Takes what was registered so far where a handler is being polled.
#[cfg(feature = "durable")]
pub(crate) fn take_collected() -> Vec<Task> {
    let scope = SCOPE.get();
    SCOPE.set(Scope { tasks: 0, ..scope });
    take(scope.tasks)
}

#[cold]
fn take(tasks: u32) -> Vec<Task> {
    TASKS.with_borrow_mut(|all| {
        let begin = all.len().saturating_sub(tasks as usize);
        all.split_off(begin)
    })
}

pin_project! {
    /// Awaits a handler that does not panic, and hands on what is registered meanwhile.
    pub(crate) struct Collecting<F, R> {
        #[pin]
        handler: F,
        register: R,
    }
}

pub(crate) fn collecting<F, R>(handler: F, register: R) -> Collecting<F, R>
where
    F: Future,
    R: FnMut(Task),
{
    Collecting { handler, register }
}

impl<F: Future, R: FnMut(Task)> Future for Collecting<F, R> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        collect(|| this.handler.poll(cx), this.register)
    }
}
