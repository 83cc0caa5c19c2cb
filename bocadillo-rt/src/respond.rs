//! A running view on behalf of a server: its future may be dropped, the view goes on.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use crate::{
    app::Shared,
    body::Body,
    detach,
    exchange::{Answer, Running},
    host::{Host, Peer},
    sent::SentBody,
};

/// A view that was called, or what was answered without one.
pub(crate) struct Begun {
    view: Option<Running>,
    answer: Option<Box<Answer>>,
}

impl Begun {
    pub(crate) fn running(view: Running) -> Self {
        Self {
            view: Some(view),
            answer: None,
        }
    }

    pub(crate) fn answered(answer: Answer) -> Self {
        Self {
            view: None,
            answer: Some(Box::new(answer)),
        }
    }

    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let Some(view) = &mut self.view else {
            // A future that has ended is not polled again.
            return self
                .answer
                .take()
                .map_or(Poll::Pending, |answer| Poll::Ready(*answer));
        };
        let answer = view.as_mut().poll(cx);
        if answer.is_ready() {
            self.view = None;
        }
        answer
    }

    /// The view that has not ended.
    fn take_running(&mut self) -> Option<Running> {
        self.view.take()
    }
}

/// Response future of an app on our own server.
pub(crate) struct Respond {
    begun: Begun,
    peer: Arc<Peer>,
}

impl Respond {
    pub(crate) fn new(begun: Begun, peer: Arc<Peer>) -> Self {
        Self { begun, peer }
    }
}

impl Future for Respond {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.get_mut().begun.poll(cx)
    }
}

impl Drop for Respond {
    fn drop(&mut self) {
        if let Some(view) = self.begun.take_running() {
            detach::detach(view, Host::Server(Arc::clone(&self.peer)));
        }
    }
}

/// Response future of [`App`](crate::App) as a tower service.
pub struct ServiceFuture {
    begun: Begun,
    shared: Arc<Shared>,
}

impl ServiceFuture {
    pub(crate) fn new(begun: Begun, shared: Arc<Shared>) -> Self {
        Self { begun, shared }
    }
}

impl Future for ServiceFuture {
    type Output = Result<http::Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.get_mut().begun.poll(cx))?;
        // Nobody tracks it here: the wrapper is only what a server of ours would need.
        Poll::Ready(Ok(response.map(SentBody::into_inner)))
    }
}

impl Drop for ServiceFuture {
    fn drop(&mut self) {
        if let Some(view) = self.begun.take_running() {
            detach::detach(view, Host::Service(Arc::clone(&self.shared)));
        }
    }
}

impl fmt::Debug for ServiceFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceFuture").finish_non_exhaustive()
    }
}
