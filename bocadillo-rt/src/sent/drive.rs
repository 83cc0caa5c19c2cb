//! Polls hyper's connection: closes it on demand, and keeps reports until the poll has ended.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
};

use pin_project_lite::pin_project;

use super::{conn_state::ConnState, kill::Verdict, scope};

pin_project! {
    /// Future of [`Connection::drive`](super::Connection::drive): hyper's connection, or `None`
    /// when it was closed from outside.
    pub struct Driven<F> {
        #[pin]
        connection: Option<F>,
        conn: Arc<ConnState>,
        waker: Option<Waker>,
        finish: fn(Pin<&mut F>),
    }

    impl<F> PinnedDrop for Driven<F> {
        /// h2 drops its buffers under its lock here too: see `scope`.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            scope::within(|| this.connection.set(None));
            this.conn.kill.forget_waker();
        }
    }
}

impl<F> Driven<F> {
    /// `finish` asks hyper to end the connection after the responses that are under way.
    pub(super) fn new(connection: F, conn: Arc<ConnState>, finish: fn(Pin<&mut F>)) -> Self {
        conn.is_driven.store(true, Relaxed);
        Self {
            connection: Some(connection),
            conn,
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
            this.conn.kill.register(cx.waker());
        }
        let mut is_last_look = false;
        match this.conn.kill.verdict(&this.conn.activity) {
            Verdict::None => {}
            Verdict::Close => scope::within(|| this.connection.set(None)),
            Verdict::CloseUnread => is_last_look = true,
            Verdict::Withdrawn => this.conn.kill.register(cx.waker()),
            verdict @ (Verdict::Finish | Verdict::Cut) => {
                this.conn.kill.register(cx.waker());
                if let Some(connection) = this.connection.as_mut().as_pin_mut() {
                    scope::within(|| (this.finish)(connection));
                }
                if verdict == Verdict::Cut {
                    this.conn.reset_streams();
                }
            }
        }
        let Some(connection) = this.connection.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        this.conn.has_reported.store(false, Relaxed);
        // HTTP/1 has no locks, and its tokens are never undecided.
        let is_http1 = this.conn.activity.is_http1.load(Relaxed);
        let scope = (!is_http1).then(|| scope::enter_connection(Arc::as_ptr(this.conn)));
        let polled = connection.poll(cx);
        drop(scope);
        if polled.is_ready() {
            return polled.map(Some);
        }
        if is_last_look {
            if this.conn.kill.is_idle(&this.conn.activity) {
                scope::within(|| this.connection.set(None));
                return Poll::Ready(None);
            }
            this.conn.kill.register(cx.waker());
        }
        if is_http1 && this.conn.activity.is_forgotten() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<F> fmt::Debug for Driven<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driven")
            .field("conn", &self.conn)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::{
        super::{kill::Reason, request_guard::RequestGuard},
        *,
    };

    /// Polls a connection that has to close if it is idle, and that takes this many requests meanwhile.
    fn poll_idle(requests: usize) -> Poll<Option<()>> {
        let conn = Arc::new(ConnState::default());
        let taken = Arc::clone(&conn);
        let mut busy = Vec::new();
        let connection = poll_fn(move |_cx| {
            busy.extend((0..requests).map(|_| RequestGuard::new(Arc::clone(&taken))));
            Poll::Pending
        });
        let mut driven = Box::pin(Driven::new(connection, Arc::clone(&conn), |_| {}));
        conn.kill.request(Reason::Idle, 0);
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
