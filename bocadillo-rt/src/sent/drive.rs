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
        let mut is_last_look = false;
        match this.hub.verdict() {
            Verdict::None => {}
            Verdict::Close => scope::within(|| this.connection.set(None)),
            Verdict::CloseUnread => is_last_look = true,
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
        let is_http1 = this.hub.is_http1.load(Relaxed);
        let scope = (!is_http1).then(|| (Here::enter(this.hub), scope::enter()));
        let polled = connection.poll(cx);
        drop(scope);
        if polled.is_ready() {
            return polled.map(Some);
        }
        if is_last_look {
            if this.hub.is_idle() {
                scope::within(|| this.connection.set(None));
                return Poll::Ready(None);
            }
            this.hub.kill.register(cx.waker());
        }
        if is_http1 && this.hub.activity.is_forgotten() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::{
        super::{activity::Busy, kill::Reason},
        *,
    };

    /// Polls a connection that is wished to end as idle, and that takes this many requests then.
    fn poll_idle(requests: usize) -> Poll<Option<()>> {
        let hub = Arc::new(Hub::default());
        let taken = Arc::clone(&hub);
        let mut busy = Vec::new();
        let connection = poll_fn(move |_cx| {
            busy.extend((0..requests).map(|_| Busy::new(Arc::clone(&taken))));
            Poll::Pending
        });
        let mut driven = Box::pin(Driven::new(connection, Arc::clone(&hub), |_| {}));
        hub.kill.request(Reason::Idle, 0);
        driven
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn an_idle_connection_is_closed_unless_a_request_has_come() {
        assert_eq!(poll_idle(0), Poll::Ready(None));
        assert_eq!(poll_idle(1), Poll::Pending);
    }
}
