//! A response's body that is the user's own: what fails in it costs no more than its rest.
//!
//! An error and a panic are logged, with the view's name, and end the body by an error, for which hyper
//! cuts the response off. A panic of its drop is logged, and that is all.
//!
//! hyper throws away what it has not written when a body fails: on HTTP/1 its buffer, on HTTP/2 the
//! frames that wait for the connection. Hence the outermost of these bodies, whose consumer is hyper,
//! holds its error back until what it has yielded was written. Within layers nobody does: a layer may
//! keep all chunks until it has seen the end.

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

/// The name of the view, which is known when it has ended.
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

    /// A panic of the user's code has no other place to be told.
    fn log_panic(&self, panic: &str, what: &'static str) {
        let view = self.get();
        log(|| tracing::error!(view, panic, "{what}"));
    }
}

/// A body whose failures are contained.
pub(crate) struct Contained {
    body: Option<Body>,
    view: ViewName,
    /// Only of the outermost.
    flight: Option<Arc<Flight>>,
    /// Why it is to be cut off.
    failed: Option<BoxError>,
    /// The write buffer had its chance to be flushed.
    has_paused: bool,
}

/// The body of a service of an app's, as hyper is to have it.
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

    /// The outermost: hyper is its consumer.
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
        let is_told = error.is::<Told>();
        if !is_told {
            // Its `Display` is the user's as well.
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
        self.failed = Some(if is_told {
            error
        } else {
            Box::new(Told(error))
        });
        self.end();
    }

    /// Hands over the error when all before it is written.
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

/// An error that is in the log, and need not be there twice.
#[derive(Debug)]
struct Told(BoxError);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("body of the response failed")
    }
}

impl StdError for Told {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// The chunks that hyper was given and has not written.
#[derive(Default)]
struct Flight(Mutex<InFlight>);

#[derive(Default)]
struct InFlight {
    chunks: usize,
    /// Who waits until there are none.
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

/// A chunk that hyper drops when it has written it.
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
