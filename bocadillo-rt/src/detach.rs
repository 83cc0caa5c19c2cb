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
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify};

use crate::{
    app::Shared,
    background::dropped,
    exchange::{Answer, Running},
    host::Host,
    limits::Limits,
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
    /// One has ended.
    ended: Notify,
}

/// A number with a bound. `SeqCst`, as its partner is [`Detached::idle`]: that looks after it is to
/// be told, and is told after the number has changed.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    fn try_add(&self, limit: usize) -> bool {
        let below = |running| (running < limit).then_some(running + 1);
        self.0.fetch_update(SeqCst, SeqCst, below).is_ok()
    }

    fn remove(&self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Detached {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            running: Count::default(),
            limit: limits.max_detached,
            limit_per_connection: limits.max_detached_per_connection,
            timeout: limits.detached_timeout,
            ended: Notify::new(),
        }
    }

    /// Waits until there are none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn idle(&self) {
        loop {
            // Before the look, so that no end between the two is missed.
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.running.0.load(SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// Lets a view run on without its client, within the limits.
pub(crate) fn detach(view: Running, host: Host) {
    let Ok(runtime) = Handle::try_current() else {
        return dropped(view);
    };
    let Some(permit) = Permit::take(host) else {
        tracing::debug!("view dropped: its client has left, and too many views are detached");
        return dropped(view);
    };
    runtime.spawn(run(Alone(view), permit));
}

async fn run(view: Alone, permit: Permit) {
    let timeout = permit.shared.detached.timeout;
    // It starts its tasks itself, and its response is for nobody.
    if tokio::time::timeout(timeout, view).await.is_err() {
        tracing::warn!(
            ?timeout,
            "view dropped: it ran for too long after its client had left"
        );
    }
}

/// A view without its client.
struct Alone(Running);

impl Future for Alone {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let _restore = Restore(IS_DETACHED.replace(true));
        self.0.as_mut().poll(cx)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        dropped(mem::replace(&mut self.0, Box::pin(future::pending())));
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
}

impl Permit {
    fn take(host: Host) -> Option<Self> {
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
        Some(Self { shared, host })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let detached = &self.shared.detached;
        detached.running.remove();
        detached.ended.notify_waiters();
        if let Some(peer) = self.host.peer() {
            peer.detached.remove();
        }
    }
}
