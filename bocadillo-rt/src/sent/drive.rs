//! Polls hyper's connection, so that it is known when the connection itself is at work.

use std::{
    cell::Cell,
    fmt,
    pin::Pin,
    ptr,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
};

use pin_project_lite::pin_project;

use super::{hub::Hub, kill::Verdict, scope};

thread_local! {
    /// The connection whose poll runs on this thread. Only compared, never followed.
    static POLLING: Cell<*const Hub> = const { Cell::new(ptr::null()) };
}

/// Whether the caller runs outside of the connection's own poll, as far as that can be told.
pub(super) fn is_elsewhere(hub: &Hub) -> bool {
    hub.is_driven.load(Relaxed)
        && !POLLING
            .try_with(|polling| ptr::eq(polling.get(), hub))
            .unwrap_or(false)
}

pin_project! {
    /// Future of [`Connection::drive`](super::Connection::drive): hyper's connection, or `None`
    /// when it was closed from outside.
    pub struct Driven<F> {
        #[pin]
        connection: Option<F>,
        hub: Arc<Hub>,
        waker: Option<Waker>,
        finish: fn(Pin<&mut F>),
    }

    impl<F> PinnedDrop for Driven<F> {
        /// h2 drops its buffers under its lock here too: see `scope`.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            scope::within(|| this.connection.set(None));
            this.hub.kill.forget_waker();
        }
    }
}

impl<F> Driven<F> {
    /// `finish` asks hyper to end the connection after the responses that are under way.
    pub(super) fn new(connection: F, hub: Arc<Hub>, finish: fn(Pin<&mut F>)) -> Self {
        hub.is_driven.store(true, Relaxed);
        Self {
            connection: Some(connection),
            hub,
            waker: None,
            finish,
        }
    }
}

impl<F: Future> Future for Driven<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if !this
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *this.waker = Some(cx.waker().clone());
            this.hub.kill.register(cx.waker());
        }
        match this.hub.verdict() {
            Verdict::None => {}
            Verdict::Close => scope::within(|| this.connection.set(None)),
            Verdict::Withdrawn => this.hub.kill.register(cx.waker()),
            verdict @ (Verdict::Finish | Verdict::Cut) => {
                this.hub.kill.register(cx.waker());
                if let Some(connection) = this.connection.as_mut().as_pin_mut() {
                    scope::within(|| (this.finish)(connection));
                }
                if verdict == Verdict::Cut {
                    this.hub.reset_streams();
                }
            }
        }
        let Some(connection) = this.connection.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        this.hub.has_reported.store(false, Relaxed);
        // HTTP/1 has no locks, and nothing that is undecided.
        if this.hub.is_http1.load(Relaxed) {
            let polled = connection.poll(cx).map(Some);
            if polled.is_pending() && this.hub.activity.is_forgotten() {
                cx.waker().wake_by_ref();
            }
            return polled;
        }
        let _scope = (Here::enter(this.hub), scope::enter());
        connection.poll(cx).map(Some)
    }
}

/// Restores what was polled before, when the poll returns or unwinds.
struct Here(*const Hub);

impl Here {
    fn enter(hub: &Arc<Hub>) -> Self {
        Self(POLLING.replace(Arc::as_ptr(hub)))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        POLLING.set(self.0);
    }
}

impl<F> fmt::Debug for Driven<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driven")
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}
