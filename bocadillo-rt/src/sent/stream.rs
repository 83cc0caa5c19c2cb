//! The executor of HTTP/2 streams: it can drop one stream's task, which resets that stream alone.

use std::{
    cell::RefCell,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{scope, ticket::Ticket};

thread_local! {
    static STREAM: RefCell<Polled> = const { RefCell::new(Polled::Nothing) };
}

/// What this thread polls.
enum Polled {
    /// No stream's task.
    Nothing,
    /// The task of a stream, and the ticket of its response once it is tracked.
    Stream(Option<Arc<Ticket>>),
}

/// Gives a ticket to the stream's task that is polled on this thread.
pub(super) fn attach(ticket: &Arc<Ticket>) {
    STREAM.with_borrow_mut(|stream| {
        if let Polled::Stream(slot) = stream {
            *slot = Some(Arc::clone(ticket));
        }
    });
}

/// A value of the server's that lives as long as any part of a connection.
pub(crate) type Guard = Arc<dyn Send + Sync>;

/// Spawns the tasks of hyper's HTTP/2 streams on tokio. A stream that stalls can be reset alone.
#[derive(Clone, Default)]
pub struct Streams {
    _guard: Option<Guard>,
}

impl Streams {
    /// Creates the executor.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the executor of one connection, which keeps `guard`. So do the connection's streams:
    /// hyper gives each of them a clone of the executor, and drops it after the stream's service.
    pub(crate) fn with_guard(guard: Guard) -> Self {
        Self {
            _guard: Some(guard),
        }
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(StreamTask {
            stream: Some(stream),
            ticket: Attached(None),
        });
    }
}

pin_project! {
    struct StreamTask<F> {
        #[pin]
        stream: Option<F>,
        ticket: Attached,
    }

    impl<F> PinnedDrop for StreamTask<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            scope::within(|| this.stream.set(None));
        }
    }
}

/// The ticket of a stream whose task lives.
struct Attached(Option<Arc<Ticket>>);

impl<F: Future<Output = ()>> Future for StreamTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.ticket.is_aborted() {
            scope::within(|| this.stream.set(None));
        }
        let Some(stream) = this.stream.as_mut().as_pin_mut() else {
            return Poll::Ready(());
        };
        let (polled, ticket) = scope::within(|| enter(|| stream.poll(cx)));
        if let Some(ticket) = ticket.filter(|_| polled.is_pending()) {
            ticket.attach_stream(cx.waker().clone());
            this.ticket.0 = Some(ticket);
        }
        polled
    }
}

/// Calls `poll`; returns its result, and the ticket of the response that it tracked.
fn enter<R>(poll: impl FnOnce() -> R) -> (R, Option<Arc<Ticket>>) {
    let restore = Restore(STREAM.replace(Polled::Stream(None)));
    let result = poll();
    let ticket = STREAM.with_borrow_mut(|polled| match polled {
        Polled::Stream(ticket) => ticket.take(),
        Polled::Nothing => None,
    });
    drop(restore);
    (result, ticket)
}

/// Restores what was polled before, when the poll returns or unwinds.
struct Restore(Polled);

impl Drop for Restore {
    fn drop(&mut self) {
        STREAM.set(std::mem::replace(&mut self.0, Polled::Nothing));
    }
}

impl Attached {
    fn is_aborted(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|ticket| ticket.is_stream_aborted())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(ticket) = &self.0 {
            ticket.detach_stream();
        }
    }
}

impl<F> fmt::Debug for StreamTask<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamTask").finish_non_exhaustive()
    }
}
