//! Server-sent events.

use std::{
    fmt::{self, Write as _},
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderName, HeaderValue, header::CACHE_CONTROL};
use http_body::{Body as HttpBody, Frame};
use serde::Serialize;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    build::Response,
    chunks::{Chunk, IntoChunks},
};
use crate::{error::BoxError, message::body::Body};

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
/// A header of nginx, which other proxies know as well.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const NO: HeaderValue = HeaderValue::from_static("no");

/// A server-sent event, for [`Response::event_stream`].
///
/// # Examples
///
/// ```
/// use bocadillo::Event;
///
/// let event = Event::new("shipped\ntoday").name("order").id("7");
/// assert_eq!(event.to_string(), "event: order\nid: 7\ndata: shipped\ndata: today\n\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "server_event")]
pub struct Event {
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    data: Option<String>,
    comment: Option<String>,
}

impl Chunk for Event {}

impl Event {
    /// Creates an event with this text, which may have several lines.
    #[must_use]
    pub fn new(data: impl Into<String>) -> Self {
        Self {
            data: Some(data.into()),
            ..Self::default()
        }
    }

    /// Creates an event with this value as JSON.
    ///
    /// # Errors
    ///
    /// Returns the error of `serde_json` if the value cannot become JSON.
    pub fn json(data: &(impl Serialize + ?Sized)) -> crate::Result<Self> {
        Ok(Self::new(serde_json::to_string(data)?))
    }

    /// Creates a comment. Comments keep proxies from closing a quiet connection.
    #[must_use]
    pub fn comment(text: impl Into<String>) -> Self {
        Self {
            comment: Some(text.into()),
            ..Self::default()
        }
    }

    /// Sets the name of the event, which is its type for the client.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the id, which a client sends as `Last-Event-ID` when it connects again.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets how long a client waits before it connects again.
    #[must_use]
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }
}

/// Writes the event as it is sent. Line breaks in a name or an id are left out, because they would
/// begin another field.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(comment) = &self.comment {
            lines(f, "", comment)?;
        }
        for (field, value) in [("event", &self.name), ("id", &self.id)] {
            if let Some(value) = value {
                write!(f, "{field}: ")?;
                let is_kept = |letter: &char| !['\r', '\n', '\0'].contains(letter);
                for letter in value.chars().filter(is_kept) {
                    f.write_char(letter)?;
                }
                f.write_char('\n')?;
            }
        }
        if let Some(retry) = self.retry {
            writeln!(f, "retry: {}", retry.as_millis())?;
        }
        if let Some(data) = &self.data {
            lines(f, "data", data)?;
        }
        f.write_char('\n')
    }
}

/// Writes each line of a text as a field of its own.
fn lines(f: &mut fmt::Formatter<'_>, field: &str, text: &str) -> fmt::Result {
    // Each of the three kinds of line breaks ends a field.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for line in text.split('\n') {
        writeln!(f, "{field}: {line}")?;
    }
    Ok(())
}

impl Response {
    /// Sets a stream of events as the content. The receiver of a tokio channel is such a stream.
    ///
    /// The response lasts until the stream ends, the client leaves or the server shuts down. A
    /// quiet stream does not time out. The header `X-Accel-Buffering` is `no`, unless the view sets
    /// it: nginx and other proxies that know it pass on each event at once.
    ///
    /// If the stream yields an error or panics, the events before are sent. Then the response is
    /// cut off, and the log has the error with the view's name.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Event, Request, Response, testing::Client};
    ///
    /// async fn events(_req: &mut Request, res: &mut Response) {
    ///     let (tx, rx) = tokio::sync::mpsc::channel(1);
    ///     tokio::spawn(async move {
    ///         let event = Event::new("shipped").name("order");
    ///         let _ = tx.send(event).await;
    ///     });
    ///     res.event_stream(rx);
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let client = Client::new(App::new().add("/", &["get"], events));
    /// assert_eq!(client.get("/").await.text(), "event: order\ndata: shipped\n\n");
    /// # }
    /// ```
    pub fn event_stream<S, Kind>(&mut self, events: S)
    where
        S: IntoChunks<Kind, Chunk = Event>,
    {
        let text = Texts(Box::pin(events.into_chunks()));
        let body = self.contained(Body::from_stream(text));
        self.content(EVENTS, body);
        let headers = &mut self.head.headers;
        headers.insert(CACHE_CONTROL, NO_CACHE);
        self.is_endless = true;
    }

    /// Asks proxies not to buffer events, unless the view has set that header itself.
    pub(super) fn finish_events(&mut self) {
        if self.is_endless {
            let headers = &mut self.head.headers;
            headers.entry(X_ACCEL_BUFFERING).or_insert(NO);
        }
    }

    /// Ends a stream of events when the server shuts down.
    pub(crate) fn end_with(&mut self, ending: &CancellationToken) {
        if !self.is_endless {
            return;
        }
        let body = mem::take(self.body_mut());
        let ending = Box::pin(ending.clone().cancelled_owned());
        *self.body_mut() = Body::new(Until { body, ending });
    }
}

/// A body that ends when the server shuts down.
struct Until {
    body: Body,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.ending.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

/// A stream of events as a stream of their texts.
struct Texts<S>(Pin<Box<S>>);

impl<S: Stream<Item = Result<Event, E>>, E> Stream for Texts<S> {
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.0.as_mut().poll_next(cx);
        next.map(|event| event.map(|event| event.map(|event| event.to_string().into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_be_smuggled_in() {
        let event = Event::new("a\r\nb\rc\n").name("x\ndata: y").id("1\0\r2");
        let text = "event: xdata: y\nid: 12\ndata: a\ndata: b\ndata: c\ndata: \n\n";
        assert_eq!(event.to_string(), text);
        assert_eq!(Event::comment("a\nb").to_string(), ": a\n: b\n\n");
        let event = Event::default().retry(Duration::from_secs(2));
        assert_eq!(event.to_string(), "retry: 2000\n\n");
    }
}
