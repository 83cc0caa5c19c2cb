//! Lets views run on whose client has left before the response.
//!
//! hyper drops a view's future when its client leaves. A view that is cancelled half-way may have
//! charged the card and not saved the order. So the drop of the future hands the running view over to
//! the runtime. A request whose client stays pays nothing for that. The number of such views, their
//! number for each connection, and their time are bounded. A view beyond a bound is dropped. The tasks
//! that the view has registered run in each case.

use std::{
    cell::Cell,
    future, mem,
    panic::Location,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{runtime::Handle, time::sleep};

use crate::{
    background::{self, Runner},
    guard::drop_guarded,
    server::limits::Limits,
};

thread_local! {
    /// Set while this thread polls a detached view.
    static IS_DETACHED: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether the view that this thread polls has lost its client.
pub(crate) fn is_detached() -> bool {
    IS_DETACHED.get()
}

/// A running view or service, with its name for the log.
pub(crate) struct Running<T> {
    future: Pin<Box<dyn Future<Output = T> + Send>>,
    name: &'static str,
    location: &'static Location<'static>,
}

impl<T: 'static> Running<T> {
    pub(crate) fn new(
        future: Pin<Box<dyn Future<Output = T> + Send>>,
        name: &'static str,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            future,
            name,
            location,
        }
    }

    /// Wraps a service, or an answer that is ready.
    #[track_caller]
    pub(crate) fn service(answer: impl Future<Output = T> + Send + 'static) -> Self {
        Self::new(Box::pin(answer), "service", Location::caller())
    }

    /// Takes the future, and leaves one that never ends.
    #[cold]
    pub(crate) fn take(&mut self) -> Self {
        mem::replace(self, Self::service(future::pending()))
    }
}

impl<T> Future for Running<T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.future.as_mut().poll(cx)
    }
}

/// A view that was called. It may outlive the future that polls it.
pub(crate) struct Begun<T: 'static> {
    view: Running<T>,
    has_ended: bool,
}

impl<T> Begun<T> {
    pub(crate) fn new(view: Running<T>) -> Self {
        Self {
            view,
            has_ended: false,
        }
    }

    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        // A view that panics has ended too, and must not be polled again.
        self.has_ended = true;
        let answer = Pin::new(&mut self.view).poll(cx);
        self.has_ended = answer.is_ready();
        answer
    }

    /// Takes the view if it still runs.
    #[inline]
    pub(crate) fn take_running(&mut self) -> Option<Running<T>> {
        (!self.has_ended).then(|| self.view.take())
    }
}

/// The number of detached views, and its limits.
#[derive(Debug)]
pub(crate) struct Detached {
    running: Arc<Count>,
    limit: usize,
    limit_per_connection: usize,
    timeout: Duration,
}

/// A number of detached views.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

/// Adds one to a count until it is dropped.
struct Counted(Arc<Count>);

impl Count {
    fn try_add(self: &Arc<Self>, limit: usize) -> Option<Counted> {
        let below = |running| (running < limit).then_some(running + 1);
        let added = self.0.fetch_update(Relaxed, Relaxed, below).is_ok();
        added.then(|| Counted(Arc::clone(self)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

impl Detached {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            running: Arc::default(),
            limit: limits.max_detached,
            limit_per_connection: limits.max_detached_per_connection,
            timeout: limits.detached_timeout,
        }
    }

    /// Returns a permit if the view may run on without its client. `connection` is the count of the client's
    /// connection.
    pub(crate) fn permit<T>(
        &self,
        connection: Option<&Arc<Count>>,
        runner: &Runner,
        view: &Running<T>,
    ) -> Option<Permit> {
        let of_connection = match connection {
            Some(count) => Some(count.try_add(self.limit_per_connection)?),
            None => None,
        };
        Some(Permit {
            _of_connection: of_connection,
            _of_all: self.running.try_add(self.limit)?,
            _token: runner.detached(view.name, view.location),
            runner: runner.clone(),
            timeout: self.timeout,
        })
    }
}

/// The right of one view to run on without its client.
pub(crate) struct Permit {
    _of_connection: Option<Counted>,
    _of_all: Counted,
    /// The shutdown of the server waits for this token.
    _token: background::Active,
    runner: Runner,
    timeout: Duration,
}

/// Lets a view run on without its client if it gets a permit. Without a runtime no permit is requested.
pub(crate) fn detach<T: Send + 'static>(
    view: Running<T>,
    permit: impl FnOnce(&Running<T>) -> Option<Permit>,
) {
    let Ok(runtime) = Handle::try_current() else {
        return drop_guarded("a view", view);
    };
    let Some(permit) = permit(&view) else {
        tracing::warn!(
            view = view.name,
            "view dropped: its client has left, and too many views are detached"
        );
        return drop_guarded("a view", view);
    };
    runtime.spawn(run(Alone(view), permit));
}

/// Runs a detached view to its end or its limit. The view is dropped before its permit.
async fn run<T: 'static>(view: Alone<T>, permit: Permit) {
    let (name, location) = (view.0.name, view.0.location);
    let timeout = permit.timeout;
    tokio::select! {
        biased;
        // The view starts its tasks itself, and nobody reads its response.
        _ = view => {}
        // The report of the shutdown names the view.
        () = permit.runner.aborted() => {}
        () = sleep(timeout) => tracing::warn!(
            view = name, %location, ?timeout,
            "view dropped: it ran for too long after its client had left"
        ),
    }
    drop(permit);
}

/// Marks the thread while it polls a view that has lost its client.
struct Alone<T: 'static>(Running<T>);

impl<T> Future for Alone<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let _restore = Restore(IS_DETACHED.replace(true));
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for Alone<T> {
    fn drop(&mut self) {
        drop_guarded("a view", self.0.take());
    }
}

struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        IS_DETACHED.set(self.0);
    }
}
