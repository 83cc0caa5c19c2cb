//! A running view on behalf of a server: its future may be dropped, the view goes on.

use std::{
    convert::Infallible,
    fmt, future, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use crate::{
    app::{
        exchange::{Answer, Running},
        host::{Host, Peer},
    },
    background::Runner,
    message::body::Body,
    sent::{Connection, SentBody},
    server::detach,
    tower::boxed::Responding,
};

/// A view that was called.
struct Begun {
    view: Running,
    has_ended: bool,
}

impl Begun {
    fn new(view: Running) -> Self {
        Self {
            view,
            has_ended: false,
        }
    }

    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        // What panics has ended too: it must not be polled again.
        self.has_ended = true;
        let answer = Pin::new(&mut self.view).poll(cx);
        self.has_ended = answer.is_ready();
        answer
    }

    /// The view, if it has not ended; what it leaves behind is nobody's.
    #[cold]
    fn take_running(&mut self) -> Running {
        mem::replace(&mut self.view, Running::service(future::pending()))
    }
}

/// Response future of an app on our own server.
pub(crate) struct Respond {
    begun: Begun,
    peer: Arc<Peer>,
    has_yielded: bool,
}

impl Respond {
    pub(crate) fn new(view: Running, peer: Arc<Peer>) -> Self {
        Self {
            begun: Begun::new(view),
            peer,
            has_yielded: false,
        }
    }
}

impl Future for Respond {
    type Output = Answer;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = self.get_mut();
        if !this.has_yielded {
            this.has_yielded = true;
            if must_yield(&this.peer.shared.runner, &this.peer.connection) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        this.begun.poll(cx)
    }
}

/// Returns whether a request has to wait for its next poll: this poll of its connection has released
/// a task to the runtime that runs both.
///
/// The task is in the slot of this thread, from which no other takes. A pipelined request whose view
/// computes would keep it there although a thread is idle. When the connection yields, the task is
/// next, and the connection is where other threads take from.
pub(crate) fn must_yield(runner: &Runner, connection: &Connection) -> bool {
    runner.is_current() && connection.has_reported()
}

impl Drop for Respond {
    #[inline]
    fn drop(&mut self) {
        if !self.begun.has_ended {
            detach::detach(
                self.begun.take_running(),
                Host::Server(Arc::clone(&self.peer)),
            );
        }
    }
}

/// Response future of [`App`](crate::App) as a tower service.
pub struct ServiceFuture(Kind);

enum Kind {
    View {
        begun: Begun,
        host: Host,
    },
    /// What the layers are dropped with detaches its view itself.
    Layered(Responding),
}

impl ServiceFuture {
    /// `host` is where the view counts if it runs on without its client.
    pub(crate) fn view(view: Running, host: Host) -> Self {
        let begun = Begun::new(view);
        Self(Kind::View { begun, host })
    }

    pub(crate) fn layered(responding: Responding) -> Self {
        Self(Kind::Layered(responding))
    }
}

impl Future for ServiceFuture {
    type Output = Result<http::Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Kind::View { begun, .. } => {
                let response = ready!(begun.poll(cx))?;
                // Nobody tracks it here: the wrapper is only what a server of ours would need.
                Poll::Ready(Ok(response.map(SentBody::into_inner)))
            }
            Kind::Layered(responding) => responding.as_mut().poll(cx).map(Ok),
        }
    }
}

impl Drop for ServiceFuture {
    fn drop(&mut self) {
        let Kind::View { begun, host } = &mut self.0 else {
            return;
        };
        if !begun.has_ended {
            detach::detach(begun.take_running(), host.clone());
        }
    }
}

impl fmt::Debug for ServiceFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceFuture").finish_non_exhaustive()
    }
}
