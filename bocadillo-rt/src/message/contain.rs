//! Contains the failures of a response's body that is a user's own.
//!
//! An error and a panic of the body are logged with the view's name. The body then ends with an
//! error, and hyper cuts the response off. A panic of the body's destructor is logged and changes
//! nothing else.
//!
//! When a body fails, hyper discards the bytes that it has not written: its buffer on HTTP/1, the
//! frames that wait for flow control on HTTP/2. So the outermost body, which hyper reads, reports
//! its error only after hyper has written all earlier chunks. A body within layers reports its
//! error at once: a layer may keep all chunks until it has seen the end.

use std::{
    error::Error as StdError,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{
    error::{BoxError, Chain},
    guard::{guarded, log},
    message::body::Body,
};

/// The name of the view. It is known when the view has ended.
#[derive(Clone, Default)]
pub(crate) struct ViewName(Arc<OnceLock<&'static str>>);

impl ViewName {
    pub(crate) fn set(&self, name: &'static str) {
        // A response has one view.
        let _ = self.0.set(name);
    }

    fn get(&self) -> &'static str {
        self.0.get().copied().unwrap_or("not known yet")
    }

    /// Logs a panic of the user's code. Nobody else could report it.
    fn log_panic(&self, panic: &str, what: &'static str) {
        let view = self.get();
        log(|| tracing::error!(view, panic, "{what}"));
    }
}

/// A body whose failures are contained.
pub(crate) struct Contained {
    body: Option<Body>,
    view: ViewName,
    /// Set for the outermost body alone.
    flight: Option<Arc<Flight>>,
    /// The error that the consumer gets.
    failed: Option<BoxError>,
    /// hyper had an opportunity to flush its write buffer.
    has_paused: bool,
}

/// Contains the body of a mounted service or of a layer.
pub(crate) fn of_service(body: Body) -> Body {
    if body.is_plain() {
        return body;
    }
    let view = ViewName::default();
    view.set("a service");
    Body::new(Contained::outermost(body, view))
}

impl Contained {
    pub(crate) fn new(body: Body, view: ViewName) -> Self {
        Self {
            body: Some(body),
            view,
            flight: None,
            failed: None,
            has_paused: false,
        }
    }

    /// Creates the outermost body, which hyper reads.
    pub(crate) fn outermost(body: Body, view: ViewName) -> Self {
        let mut contained = Self::new(body, view);
        contained.flight = Some(Arc::default());
        contained
    }

    fn end(&mut self) {
        if let Some(body) = self.body.take() {
            if let Err(panic) = guarded(|| drop(body)) {
                self.view
                    .log_panic(&panic, "body of the response panicked when it was dropped");
            }
        }
    }

    fn fail(&mut self, error: BoxError) {
        let is_logged = error.is::<Logged>();
        if !is_logged {
            // The error's `Display` is the user's code as well.
            let write = || {
                let (view, error) = (self.view.get(), Chain(&*error).to_string());
                tracing::error!(view, error, "body of the response failed; it is cut off");
            };
            if let Err(panic) = guarded(write) {
                self.view.log_panic(
                    &panic,
                    "body of the response failed, and its error panicked",
                );
            }
        }
        self.failed = Some(if is_logged {
            error
        } else {
            Box::new(Logged(error))
        });
        self.end();
    }

    /// Returns the error once all earlier chunks are written.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(flight) = &self.flight {
            ready!(flight.poll_landed(cx));
            if !mem::replace(&mut self.has_paused, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(self.failed.take().map(Err))
    }

    fn launch(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match &self.flight {
            Some(flight) => frame.map_data(|data| flight.launch(data)),
            None => frame,
        }
    }
}

impl HttpBody for Contained {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else {
            return this.poll_cut(cx);
        };
        match guarded(|| Pin::new(body).poll_frame(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Some(Ok(frame)))) => return Poll::Ready(Some(Ok(this.launch(frame)))),
            Ok(Poll::Ready(None)) => this.end(),
            Ok(Poll::Ready(Some(Err(error)))) => this.fail(error),
            Err(panic) => {
                this.fail(format!("panicked: {panic}").into());
            }
        }
        this.poll_cut(cx)
    }

    fn is_end_stream(&self) -> bool {
        let is_end = |body: &Body| guarded(|| body.is_end_stream());
        match &self.body {
            Some(body) => is_end(body).unwrap_or(false),
            None => self.failed.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let hint = |body: &Body| guarded(|| body.size_hint());
        match &self.body {
            Some(body) => hint(body).unwrap_or_default(),
            None => SizeHint::default(),
        }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        self.end();
    }
}

/// An error that was logged. An outer body must not log it again.
#[derive(Debug)]
struct Logged(BoxError);

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("body of the response failed")
    }
}

impl StdError for Logged {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// Counts the chunks that hyper has got and has not written.
#[derive(Default)]
struct Flight(Mutex<InFlight>);

#[derive(Default)]
struct InFlight {
    chunks: usize,
    /// Woken when no chunk is left.
    waker: Option<Waker>,
}

impl Flight {
    fn lock(&self) -> MutexGuard<'_, InFlight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn launch(self: &Arc<Self>, data: Bytes) -> Bytes {
        self.lock().chunks += 1;
        let flight = Arc::clone(self);
        Bytes::from_owner(Chunk { data, flight })
    }

    fn poll_landed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.chunks == 0 {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A chunk. hyper drops it after writing it.
struct Chunk {
    data: Bytes,
    flight: Arc<Flight>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut state = self.flight.lock();
        state.chunks -= 1;
        let waker = if state.chunks == 0 {
            state.waker.take()
        } else {
            None
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
