//! The handle of one connection.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use http::{
    HeaderMap, HeaderValue, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH},
};
use http_body::Body;

use super::{
    body::SentBody,
    conn_state::ConnState,
    delivery::{Delivery, OnDone, call},
    drive::Driven,
    framing, header_token,
    keeper::{BoxError, Origin},
    kill::Reason,
    request_guard::RequestGuard,
    stream,
    ticket::Protocol,
    token::Token,
};

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Tracks the responses of one connection, whose IO is a [`TrackedIo`](super::TrackedIo).
///
/// # Examples
///
/// Log how long a response really took:
///
/// ```
/// use bocadillo::sent::{Connection, SentBody};
/// use http::{Request, Response, Version};
/// use http_body_util::Full;
/// use bytes::Bytes;
///
/// fn respond(connection: &Connection, version: Version) -> Response<SentBody<Full<Bytes>>> {
///     let begun = std::time::Instant::now();
///     let response = Response::new(Full::from("hello"));
///     connection.track(response, version, move |delivery| {
///         println!("{delivery:?} after {:?}", begun.elapsed());
///     })
/// }
/// # let (io, connection) = bocadillo::sent::TrackedIo::new(tokio::io::empty());
/// # respond(&connection, Version::HTTP_11);
/// ```
#[derive(Clone, Debug)]
pub struct Connection {
    conn: Arc<ConnState>,
}

impl Connection {
    pub(super) fn new(conn: Arc<ConnState>) -> Self {
        Self { conn }
    }

    /// Tracks `response`, which the caller hands to hyper on this connection; `on_done` is called
    /// exactly once.
    ///
    /// `version` is the request's: the end is detected differently on HTTP/1 and HTTP/2. The returned body
    /// must stay outermost: do not wrap it again on its way to hyper.
    ///
    /// Usually the connection's task calls `on_done`: it must neither block nor panic. It may spawn a
    /// task.
    ///
    /// The server alone frames the message: `transfer-encoding` and other headers of the connection are
    /// removed, and so is a `content-length` that is not one number. A body that does not keep the
    /// declared length, or its own exact hint, fails, and the response is aborted. `track` does not know
    /// the request's method: an empty body may declare a length, as in the response to a HEAD.
    pub fn track<B>(
        &self,
        response: Response<B>,
        version: Version,
        on_done: impl FnOnce(Delivery) + Send + 'static,
    ) -> Response<SentBody<B>>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = response.into_parts();
        framing::drop_ours(&mut head.headers, version);
        if framing::declared(&head.headers).is_err() {
            head.headers.remove(CONTENT_LENGTH);
        }
        let mut body = SentBody::plain(body);
        body.keep(&head.headers, Origin::Unknown);
        let on_done = call(on_done);
        self.track_wrapped(head.status, &mut head.headers, &mut body, version, on_done);
        Response::from_parts(head, body)
    }

    /// Does the same as [`track`](Self::track) for a body that is wrapped already.
    #[inline]
    pub(crate) fn track_wrapped<B>(
        &self,
        status: StatusCode,
        headers: &mut HeaderMap,
        body: &mut SentBody<B>,
        version: Version,
        on_done: OnDone,
    ) where
        B: Body,
        B::Error: Into<BoxError>,
    {
        if is_refused(status) {
            on_done.done(Delivery::Aborted { bytes: 0 });
            return;
        }
        self.announce_end(headers, version);
        let protocol = match version {
            Version::HTTP_2 => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let Some(ticket) = self.conn.add(protocol, on_done) else {
            return;
        };
        let mut token = Token::new(ticket, Arc::clone(&self.conn));
        if protocol == Protocol::Http2 {
            stream::attach(token.ticket());
            // Without data there is no buffer to carry the token.
            if body.is_end_stream() {
                match header_token::insert(headers, token) {
                    Ok(()) => return,
                    Err(returned) => token = returned,
                }
            }
        }
        body.track(token, protocol);
    }

    /// Watches a response without a callback, which is aborted if it stalls. HTTP/1 needs no ticket for
    /// that: the connection is watched as a whole. A response without a body does not wait for a window.
    #[inline(always)]
    pub(crate) fn watch_wrapped<B>(
        &self,
        headers: &mut HeaderMap,
        body: &mut SentBody<B>,
        version: Version,
    ) where
        B: Body,
        B::Error: Into<BoxError>,
    {
        self.announce_end(headers, version);
        if version == Version::HTTP_2 && !body.is_end_stream() {
            // The status does not matter: the callback does nothing.
            self.track_wrapped(StatusCode::OK, headers, body, version, call(|_| {}));
        }
    }

    /// Announces that an HTTP/1 connection ends with this response, if its server shuts down. The client
    /// then sends no further request on it. An upgrade keeps its own `connection` header.
    #[inline(always)]
    fn announce_end(&self, headers: &mut HeaderMap, version: Version) {
        if self.conn.activity.is_last.load(Relaxed) && version != Version::HTTP_2 {
            headers.entry(CONNECTION).or_insert(CLOSE);
        }
    }

    /// Polls hyper's connection through the returned future.
    ///
    /// Without `drive`, HTTP/2 still reports every response exactly once and never early. But some
    /// responses that were reset count as sent, a thread of this crate calls the callbacks, and
    /// [`Watch`](super::Watch) cannot close the connection. With another executor than
    /// [`Streams`](super::Streams) it cannot reset a single stream. Callbacks never run under a lock.
    pub fn drive<F>(&self, connection: F) -> Driven<F> {
        self.drive_until(connection, |_| {})
    }

    /// Does the same as [`drive`](Self::drive); `finish` asks hyper's connection to end after the
    /// responses that are under way.
    pub(crate) fn drive_until<F>(&self, connection: F, finish: fn(Pin<&mut F>)) -> Driven<F> {
        Driven::new(connection, Arc::clone(&self.conn), finish)
    }

    /// Counts a request that has come. It is under way until the guard is dropped.
    pub(crate) fn begin(&self, version: Version) -> RequestGuard {
        RequestGuard::begin(Arc::clone(&self.conn), version == Version::HTTP_2)
    }

    /// Keeps the connection from being idle until the guard is dropped.
    pub(crate) fn busy(&self) -> RequestGuard {
        RequestGuard::new(Arc::clone(&self.conn))
    }

    /// Returns whether the current poll of the connection has reported a response.
    pub(crate) fn has_reported(&self) -> bool {
        self.conn.has_reported.load(Relaxed)
    }

    /// Returns whether the client has left, although an upload of it can still be read.
    pub(crate) fn has_left(&self) -> bool {
        self.conn.activity.has_left.load(Relaxed)
    }

    /// Returns whether the IO is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.conn.is_closed()
    }

    pub(super) fn state(&self) -> &Arc<ConnState> {
        &self.conn
    }

    /// Asks the future of [`drive`](Self::drive) to end at once.
    pub fn close(&self) {
        self.conn.kill.request(Reason::Now, 0);
    }
}

/// hyper sends no 1xx for a response but the 101; it sends a 500 of its own in their place.
fn is_refused(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}
