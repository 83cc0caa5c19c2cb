//! A running view on behalf of a server: its future may be dropped, the view goes on.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Version;

use crate::{
    app::Shared,
    body::Body,
    detach,
    exchange::{Answer, Running},
    sent::{Busy, SentBody},
    server::Peer,
};

/// A view that was called, or what was answered without one.
pub(crate) enum Begun {
    Running(Running),
    Answered(Answer),
    /// It has answered.
    Done,
}

impl Begun {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = match self {
            Self::Running(view) => ready!(view.as_mut().poll(cx)),
            Self::Answered(_) => match std::mem::replace(self, Self::Done) {
                Self::Answered(answer) => answer,
                Self::Running(_) | Self::Done => return Poll::Pending,
            },
            // hyper does not poll again.
            Self::Done => return Poll::Pending,
        };
        *self = Self::Done;
        Poll::Ready(answer)
    }

    /// The view that has not ended.
    fn take_running(&mut self) -> Option<Running> {
        match std::mem::replace(self, Self::Done) {
            Self::Running(view) => Some(view),
            Self::Answered(_) | Self::Done => None,
        }
    }
}

/// Response future of an app on our own server.
pub(crate) struct Respond {
    begun: Begun,
    peer: Arc<Peer>,
    shared: Arc<Shared>,
    version: Version,
    busy: Option<Busy>,
}

impl Respond {
    pub(crate) fn new(
        begun: Begun,
        peer: Arc<Peer>,
        shared: Arc<Shared>,
        version: Version,
    ) -> Self {
        let busy = Some(peer.connection.busy(version));
        Self {
            begun,
            peer,
            shared,
            version,
            busy,
        }
    }
}

impl Future for Respond {
    type Output = Result<http::Response<SentBody<Body>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Answer { response, tasks } = ready!(this.begun.poll(cx));
        let is_streamed = response.body().known_len().is_none();
        let mut response = match tasks {
            None => response.map(SentBody::untracked),
            Some(tasks) => {
                let on_done = move |delivery| tasks.start_all(delivery);
                this.peer.connection.track(response, this.version, on_done)
            }
        };
        let busy = this.busy.take();
        if is_streamed && let Some(busy) = busy {
            response.body_mut().keep_busy(busy);
        }
        Poll::Ready(Ok(response))
    }
}

impl Drop for Respond {
    fn drop(&mut self) {
        if let Some(view) = self.begun.take_running() {
            detach::detach(view, &self.shared, Some(&self.peer));
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
        let Answer {
            mut response,
            tasks,
        } = ready!(self.get_mut().begun.poll(cx));
        if let Some(tasks) = tasks {
            response.body_mut().keep(tasks);
        }
        Poll::Ready(Ok(response))
    }
}

impl Drop for ServiceFuture {
    fn drop(&mut self) {
        if let Some(view) = self.begun.take_running() {
            detach::detach(view, &self.shared, None);
        }
    }
}

impl fmt::Debug for ServiceFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceFuture").finish_non_exhaustive()
    }
}
