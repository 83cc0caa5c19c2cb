//! Views whose client has left before there was a response.
//!
//! hyper drops a view's future when its client leaves. A view that was cut off in the middle has
//! charged the card and not saved the order. So the future's drop hands the running view over to
//! the runtime, which costs nothing when nobody leaves. What that may cost is bounded: in number,
//! in number for each connection, and in time. A view beyond the bounds is dropped; in each case
//! the tasks that it has registered run.

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
    /// The view that is polled on this thread is detached.
    static IS_DETACHED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the view that asks has lost its client.
pub(crate) fn is_detached() -> bool {
    IS_DETACHED.get()
}

/// A view or a service that answers a request, with its name for the log.
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

    /// A service, or an answer that is there already.
    #[track_caller]
    pub(crate) fn service(answer: impl Future<Output = T> + Send + 'static) -> Self {
        Self::new(Box::pin(answer), "service", Location::caller())
    }

    /// Takes the future; what stays never ends.
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

/// How many views are detached, and how many may be.
#[derive(Debug)]
pub(crate) struct Detached {
    running: Arc<Count>,
    limit: usize,
    limit_per_connection: usize,
    timeout: Duration,
}

/// A number with a bound.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

/// One more in a count, until it is dropped.
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

    /// Returns a permit if a view may run on without its client. `connection` counts those of the
    /// client's connection.
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

/// One detached view, counted.
pub(crate) struct Permit {
    _of_connection: Option<Counted>,
    _of_all: Counted,
    /// The end of the server waits for it.
    _token: background::Detached,
    runner: Runner,
    timeout: Duration,
}

/// Lets a view run on without its client, if it gets a permit. None is taken where there is no runtime.
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

/// The view has given back what it holds before its permit goes.
async fn run<T: 'static>(view: Alone<T>, permit: Permit) {
    let (name, location) = (view.0.name, view.0.location);
    let timeout = permit.timeout;
    tokio::select! {
        biased;
        // It starts its tasks itself, and its response is for nobody.
        _ = view => {}
        // The report of the shutdown names it.
        () = permit.runner.aborted() => {}
        () = sleep(timeout) => tracing::warn!(
            view = name, %location, ?timeout,
            "view dropped: it ran for too long after its client had left"
        ),
    }
    drop(permit);
}

/// A view without its client.
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
