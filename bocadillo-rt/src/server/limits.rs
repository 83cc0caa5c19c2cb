//! The limits of a server.

use std::time::Duration;

/// The limits of a server. The defaults are safe.
///
/// | limit | default | the reason for the default, and what happens beyond the limit |
/// | --- | --- | --- |
/// | [`connections`](Self::connections) | 10 000 | few servers need more. Further connections wait in the system's backlog. An upgraded connection counts until its upgrade |
/// | [`header_timeout`](Self::header_timeout) | 30 s | as in hyper. A connection is closed if its first request has not arrived in this time, or if a later request is not complete |
/// | [`idle_timeout`](Self::idle_timeout) | 75 s | as in nginx. Load balancers keep connections for 60 s. The balancer must close first, or it sends requests into a connection that the server closes. An HTTP/2 PING is no request |
/// | [`send_timeout`](Self::send_timeout) | 60 s | as in nginx. A response is aborted if its bytes wait this long without progress |
/// | [`keep_alive`](Self::keep_alive) | 60 s | after this silence the server probes the client: by TCP keep-alive, and by PING on HTTP/2 |
/// | [`keep_alive_timeout`](Self::keep_alive_timeout) | 20 s | as in hyper. A client that does not answer a probe in this time is gone: its responses are aborted |
/// | [`linger_bytes`](Self::linger_bytes) | 64 MiB | an HTTP/1 connection reads and drops this much of an unwanted upload before it closes, so that the client sees the answer |
/// | [`linger_timeout`](Self::linger_timeout) | 30 s | as in nginx. It lingers for at most this time, and for at most 5 s without a byte |
/// | [`half_close`](Self::half_close) | no | as in hyper. Whether an HTTP/1 client that closes only its sending direction still gets its response |
/// | [`max_headers`](Self::max_headers) | 100 | as in hyper. HTTP/1 answers 431 |
/// | [`header_bytes`](Self::header_bytes) | 64 KiB | the size of all headers of a request. HTTP/1 answers 431 |
/// | [`max_streams`](Self::max_streams) | 200 | as in hyper. The concurrent requests of an HTTP/2 connection. Further requests are refused |
/// | [`stream_window`](Self::stream_window) | 128 KiB | this much of an HTTP/2 upload may wait for its view. The connection has room for the windows of all its streams, 25 MiB, so unread uploads do not stop other streams |
/// | [`body`](Self::body) | 2 MiB | as in axum. A view that reads a longer body gets a 413 |
/// | [`body_timeout`](Self::body_timeout) | 30 s | half of nginx's. A view that waits this long for the next part of a body gets a 408 |
/// | [`max_detached`](Self::max_detached) | 1024 | views that run on although their client has left. A further view is dropped |
/// | [`max_detached_per_connection`](Self::max_detached_per_connection) | 16 | the same for one connection, so that no client takes all places |
/// | [`detached_timeout`](Self::detached_timeout) | 30 s | a view that runs longer without its client is dropped |
///
/// The tasks that a dropped view has registered run.
///
/// Every value is accepted. `Duration::MAX` and the largest number stand for "no limit", where that
/// is possible. Zero stands for the smallest value that makes sense. The setter names that value if
/// it is not zero.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, Limits};
/// use std::time::Duration;
///
/// let app = App::new().limits(Limits::new().send_timeout(Duration::from_secs(10)));
/// # drop(app);
/// ```
#[derive(Clone, Debug)]
pub struct Limits {
    pub(crate) connections: usize,
    pub(crate) header_timeout: Duration,
    /// `None` stands for a multiple of `header_timeout`.
    idle_timeout: Option<Duration>,
    pub(crate) send_timeout: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) keep_alive_timeout: Duration,
    pub(crate) linger_bytes: usize,
    pub(crate) linger_timeout: Duration,
    pub(crate) half_close: bool,
    pub(crate) max_headers: usize,
    pub(crate) header_bytes: usize,
    pub(crate) max_streams: u32,
    stream_window: u32,
    pub(crate) body: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) max_detached: usize,
    pub(crate) max_detached_per_connection: usize,
    pub(crate) detached_timeout: Duration,
}

/// The capacity of `http::HeaderMap`.
const MAX_HEADERS: usize = 24_576;

/// More than any head needs, and what h2 allows by default.
const MAX_HEADER_BYTES: usize = 16 * 1024 * 1024;

/// The largest window of HTTP/2.
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// The size of one frame of data.
const MIN_WINDOW: u32 = 16 * 1024;

/// The longest TCP keep-alive time that Linux accepts.
const MAX_KEEP_ALIVE: Duration = Duration::from_secs(32_767);

impl Limits {
    /// Creates the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connections: 10_000,
            header_timeout: Duration::from_secs(30),
            idle_timeout: None,
            send_timeout: Duration::from_secs(60),
            keep_alive: Duration::from_secs(60),
            keep_alive_timeout: Duration::from_secs(20),
            linger_bytes: 64 * 1024 * 1024,
            linger_timeout: Duration::from_secs(30),
            half_close: false,
            max_headers: 100,
            header_bytes: 64 * 1024,
            max_streams: 200,
            stream_window: 128 * 1024,
            body: 2 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            max_detached: 1024,
            max_detached_per_connection: 16,
            detached_timeout: Duration::from_secs(30),
        }
    }

    /// Sets how many connections are served at a time. At least one is.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        // A shutdown acquires all permits at once, and their number is a `u32` there.
        let most = tokio::sync::Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let connections = connections.clamp(1, most);
        self.connections = connections;
        self
    }

    /// Sets how long the head of a request may take. The time starts with the connection for the
    /// first request, and with the first byte for later ones.
    #[must_use]
    pub fn header_timeout(mut self, header_timeout: Duration) -> Self {
        self.header_timeout = header_timeout;
        self
    }

    /// Sets how long a connection may wait for its next request. The default is two and a half
    /// times the [`header_timeout`](Self::header_timeout), which is 75 s.
    ///
    /// If there is a load balancer, it must close connections first. Set this to more than the time
    /// for which the balancer keeps a connection, which is 60 s for most. HTTP/2 ends the
    /// connection by GOAWAY, so no request is lost.
    #[must_use]
    #[doc(alias = "keepalive_timeout")]
    pub fn idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = Some(idle_timeout);
        self
    }

    pub(crate) fn idle(&self) -> Duration {
        let by_header = || self.header_timeout.saturating_mul(5) / 2;
        self.idle_timeout.unwrap_or_else(by_header)
    }

    /// Sets how long the bytes of a response may wait without progress.
    #[must_use]
    pub fn send_timeout(mut self, send_timeout: Duration) -> Self {
        self.send_timeout = send_timeout;
        self
    }

    /// Sets the silence after which the server probes the client. It is at least a second. More
    /// than nine hours turns the probes off.
    ///
    /// A client may vanish without a word, for example when its cable is pulled. Without probes
    /// such a client keeps a quiet stream of events, and the task behind it, for ever. The kernel
    /// sends the probes of TCP, and hyper those of HTTP/2. For TCP the server needs the socket:
    /// [`Listener::socket`](crate::Listener::socket).
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        let keep_alive = keep_alive.max(Duration::from_secs(1));
        self.keep_alive = keep_alive;
        self
    }

    /// Sets how long a client may take to answer a probe. It is at least a second.
    #[must_use]
    pub fn keep_alive_timeout(mut self, keep_alive_timeout: Duration) -> Self {
        let keep_alive_timeout = keep_alive_timeout.clamp(Duration::from_secs(1), MAX_KEEP_ALIVE);
        self.keep_alive_timeout = keep_alive_timeout;
        self
    }

    /// Returns the silence before a probe and the time for its answer. Returns `None` if probes are
    /// off.
    pub(crate) fn probes(&self) -> Option<(Duration, Duration)> {
        (self.keep_alive <= MAX_KEEP_ALIVE).then_some((self.keep_alive, self.keep_alive_timeout))
    }

    /// Sets how many bytes of an unwanted upload are read before an HTTP/1 connection closes.
    ///
    /// A view that answers an upload before it has read all of it (by a 401 or a 413) ends the
    /// connection. If the server closed it with unread bytes, the kernel would send a reset, and
    /// the client could lose the answer. So the server closes its sending direction only, and reads
    /// and drops bytes until the client has closed too. Zero closes at once.
    #[must_use]
    #[doc(alias = "lingering_close")]
    pub fn linger_bytes(mut self, linger_bytes: usize) -> Self {
        self.linger_bytes = linger_bytes;
        self
    }

    /// Sets the longest time for that. See [`linger_bytes`](Self::linger_bytes).
    #[must_use]
    #[doc(alias = "lingering_time")]
    pub fn linger_timeout(mut self, linger_timeout: Duration) -> Self {
        self.linger_timeout = linger_timeout;
        self
    }

    /// Sets whether an HTTP/1 client that closes its sending direction, as `nc -N` does after a
    /// request, still gets its response. The default is no.
    ///
    /// A client that closes the whole connection looks the same at first: the server sees the end
    /// of its data, and nothing else until it writes.
    ///
    /// With "no", the client has left when its data ends.
    /// [`is_disconnected`](crate::Request::is_disconnected) tells the view, and nothing more is
    /// sent. A response that is ready before the server sees the end is sent all the same. Go's
    /// `net/http` treats the end in the same way, and cancels the context of the request.
    ///
    /// With "yes", each response arrives whole. The server notices that a client has left only when
    /// the connection is reset or when it writes. HTTP/2 has no such clients.
    #[must_use]
    pub fn half_close(mut self, half_close: bool) -> Self {
        self.half_close = half_close;
        self
    }

    /// Sets how many headers a request may have. The maximum is 24 576.
    #[must_use]
    #[doc(alias = "headers")]
    pub fn max_headers(mut self, max_headers: usize) -> Self {
        self.max_headers = max_headers.min(MAX_HEADERS);
        self
    }

    /// Sets the size of all headers of a request. The minimum is 8 KiB, the maximum 16 MiB.
    #[must_use]
    pub fn header_bytes(self, header_bytes: usize) -> Self {
        Self {
            header_bytes: header_bytes.clamp(8192, MAX_HEADER_BYTES),
            ..self
        }
    }

    /// Sets how many concurrent requests an HTTP/2 connection may have. The minimum is one.
    #[must_use]
    #[doc(alias = "streams")]
    pub fn max_streams(mut self, max_streams: u32) -> Self {
        self.max_streams = max_streams.max(1);
        self
    }

    /// Sets how much of an HTTP/2 upload may wait for its view. The minimum is 16 KiB, the maximum
    /// 2 GiB.
    ///
    /// The window bounds the speed of an upload: one window for each round trip. The window of the
    /// connection is [`max_streams`](Self::max_streams) plus one times this window, and at most 2
    /// GiB. One connection whose uploads nobody reads takes that much memory.
    #[must_use]
    #[doc(alias = "initial_stream_window_size")]
    pub fn stream_window(self, stream_window: usize) -> Self {
        let stream_window = u32::try_from(stream_window).unwrap_or(MAX_WINDOW);
        Self {
            stream_window: stream_window.clamp(MIN_WINDOW, MAX_WINDOW),
            ..self
        }
    }

    /// Returns the windows of a stream and of a connection.
    pub(crate) fn windows(&self) -> (u32, u32) {
        let stream = self.stream_window;
        let all = stream.saturating_mul(self.max_streams.saturating_add(1));
        (stream, all.min(MAX_WINDOW))
    }

    /// Sets how long a body may be that a view reads whole.
    #[must_use]
    pub fn body(mut self, body: usize) -> Self {
        self.body = body;
        self
    }

    /// Sets how long a view waits for the next part of a body.
    #[must_use]
    pub fn body_timeout(mut self, body_timeout: Duration) -> Self {
        self.body_timeout = body_timeout;
        self
    }

    /// Sets how many views may run on without their clients.
    #[must_use]
    #[doc(alias = "detached")]
    pub fn max_detached(mut self, max_detached: usize) -> Self {
        self.max_detached = max_detached;
        self
    }

    /// Sets how many views of one connection may run on without their client.
    #[must_use]
    #[doc(alias = "detached_per_connection")]
    pub fn max_detached_per_connection(mut self, max_detached_per_connection: usize) -> Self {
        self.max_detached_per_connection = max_detached_per_connection;
        self
    }

    /// Sets how long a view may run on without its client. An HTTP/1 upload that such a view does
    /// not read is kept for the same time.
    #[must_use]
    pub fn detached_timeout(mut self, detached_timeout: Duration) -> Self {
        self.detached_timeout = detached_timeout;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_longer_than_load_balancers_keep_connections() {
        assert_eq!(Limits::new().idle(), Duration::from_secs(75));
        let set = Limits::new().idle_timeout(Duration::from_secs(5));
        assert_eq!(
            set.header_timeout(Duration::MAX).idle(),
            Duration::from_secs(5)
        );
        let endless = Limits::new().header_timeout(Duration::MAX);
        assert!(endless.idle() > Duration::from_secs(u32::MAX.into()));
    }

    #[test]
    fn a_connection_has_room_for_what_all_of_its_streams_hold() {
        let (stream, connection) = Limits::new().windows();
        assert_eq!((stream, connection), (128 * 1024, 201 * 128 * 1024));
        let (stream, connection) = Limits::new().stream_window(0).max_streams(0).windows();
        assert_eq!((stream, connection), (16 * 1024, 2 * 16 * 1024));
        let largest = Limits::new()
            .stream_window(usize::MAX)
            .max_streams(u32::MAX);
        assert_eq!(largest.windows(), (MAX_WINDOW, MAX_WINDOW));
    }

    #[test]
    fn a_peer_is_never_asked_where_the_time_is_endless() {
        assert_eq!(Limits::new().keep_alive(Duration::MAX).probes(), None);
        let second = Duration::from_secs(1);
        let least = Limits::new()
            .keep_alive(Duration::ZERO)
            .keep_alive_timeout(Duration::ZERO);
        assert_eq!(least.probes(), Some((second, second)));
    }
}
