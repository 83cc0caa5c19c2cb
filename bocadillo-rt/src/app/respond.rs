//! The futures that a server polls for a view. When a server drops one, its view runs on.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use crate::{
    app::shared::{Answer, AppConn, Caller, RunningView},
    message::body::Body,
    sent::SentBody,
    server::{detach::Begun, turn::must_yield},
    tower::boxed::Responding,
};

/// Response future of an app on our own server.
pub(crate) struct Respond {
    begun: Begun<Answer>,
    conn: Arc<AppConn>,
    has_yielded: bool,
}

impl Respond {
    pub(crate) fn new(view: RunningView, conn: Arc<AppConn>) -> Self {
        Self {
            begun: Begun::new(view),
            conn,
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
            if must_yield(&this.conn.app.runner, &this.conn.context.connection) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        this.begun.poll(cx)
    }
}

impl Drop for Respond {
    #[inline]
    fn drop(&mut self) {
        if let Some(view) = self.begun.take_running() {
            Caller::Server(Arc::clone(&self.conn)).detach(view);
        }
    }
}

/// Response future of [`App`](crate::App) as a tower service.
pub struct ServiceFuture(Kind);

enum Kind {
    View {
        begun: Begun<Answer>,
        caller: Caller,
    },
    /// The future of the view within the layers detaches the view itself.
    Layered(Responding),
}

impl ServiceFuture {
    /// `caller` is where the view counts if it runs on without its client.
    pub(crate) fn view(view: RunningView, caller: Caller) -> Self {
        let begun = Begun::new(view);
        Self(Kind::View { begun, caller })
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
                // Only our own server needs the tracking wrapper.
                Poll::Ready(Ok(response.map(SentBody::into_inner)))
            }
            Kind::Layered(responding) => responding.as_mut().poll(cx).map(Ok),
        }
    }
}

impl Drop for ServiceFuture {
    fn drop(&mut self) {
        let Kind::View { begun, caller } = &mut self.0 else {
            return;
        };
        if let Some(view) = begun.take_running() {
            caller.detach(view);
        }
    }
}

impl fmt::Debug for ServiceFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceFuture").finish_non_exhaustive()
    }
}
