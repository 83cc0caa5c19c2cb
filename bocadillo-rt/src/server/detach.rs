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
    app::{
        exchange::{Answer, Running},
        host::Host,
        shared::Shared,
    },
    background,
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

/// How many views are detached, and how many may be.
#[derive(Debug)]
pub(crate) struct Detached {
    running: Count,
    limit: usize,
    limit_per_connection: usize,
    timeout: Duration,
}

/// A number with a bound.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    fn try_add(&self, limit: usize) -> bool {
        let below = |running| (running < limit).then_some(running + 1);
        self.0.fetch_update(Relaxed, Relaxed, below).is_ok()
    }

    fn remove(&self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Detached {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            running: Count::default(),
            limit: limits.max_detached,
            limit_per_connection: limits.max_detached_per_connection,
            timeout: limits.detached_timeout,
        }
    }
}

/// Lets a view run on without its client, within the limits.
pub(crate) fn detach(view: Running, host: Host) {
    let Ok(runtime) = Handle::try_current() else {
        return drop_guarded("a view", view);
    };
    let Some(permit) = Permit::take(host, &view) else {
        tracing::warn!(
            view = view.name,
            "view dropped: its client has left, and too many views are detached"
        );
        return drop_guarded("a view", view);
    };
    runtime.spawn(run(Alone(view), permit));
}

/// The view has given back what it holds before its permit goes.
async fn run(view: Alone, permit: Permit) {
    let (name, location) = (view.0.name, view.0.location);
    let timeout = permit.shared.detached.timeout;
    tokio::select! {
        biased;
        // It starts its tasks itself, and its response is for nobody.
        _ = view => {}
        // The report of the shutdown names it.
        () = permit.shared.runner.aborted() => {}
        () = sleep(timeout) => tracing::warn!(
            view = name, %location, ?timeout,
            "view dropped: it ran for too long after its client had left"
        ),
    }
    drop(permit);
}

/// A view without its client.
struct Alone(Running);

impl Future for Alone {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let _restore = Restore(IS_DETACHED.replace(true));
        Pin::new(&mut self.0).poll(cx)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let view = mem::replace(&mut self.0, Running::service(future::pending()));
        drop_guarded("a view", view);
    }
}

struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        IS_DETACHED.set(self.0);
    }
}

/// One detached view, counted.
struct Permit {
    shared: Arc<Shared>,
    host: Host,
    /// The end of the server waits for it.
    _token: background::Detached,
}

impl Permit {
    fn take(host: Host, view: &Running) -> Option<Self> {
        let shared = Arc::clone(host.shared()?);
        let detached = &shared.detached;
        let peer = host.peer();
        if peer.is_some_and(|peer| !peer.detached.try_add(detached.limit_per_connection)) {
            return None;
        }
        if !detached.running.try_add(detached.limit) {
            if let Some(peer) = peer {
                peer.detached.remove();
            }
            return None;
        }
        let token = shared.runner.detached(view.name, view.location);
        Some(Self {
            shared,
            host,
            _token: token,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let detached = &self.shared.detached;
        detached.running.remove();
        if let Some(peer) = self.host.peer() {
            peer.detached.remove();
        }
    }
}
