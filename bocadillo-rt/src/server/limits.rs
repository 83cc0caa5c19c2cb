//! What a server puts up with.

use std::time::Duration;

/// Limits of a server, with defaults that are safe.
///
/// | limit | default | why that much, and what happens beyond |
/// | --- | --- | --- |
/// | [`connections`](Self::connections) | 10 000 | far more than most need, and a bound; the next ones wait in the system's backlog. An upgraded connection counts until its upgrade only |
/// | [`header_timeout`](Self::header_timeout) | 30 s | as hyper; a connection whose first request has not come, or whose next one is not complete, after so long is closed |
/// | [`idle_timeout`](Self::idle_timeout) | 75 s | as nginx: load balancers keep their connections for 60 s, and must be the first to close one, or they send requests into a connection that closes. An HTTP/2 PING is no request |
/// | [`send_timeout`](Self::send_timeout) | 60 s | as nginx; a response whose bytes wait for so long without progress is aborted |
/// | [`keep_alive`](Self::keep_alive) | 60 s | a peer that is silent for so long is asked whether it is there: by TCP keep-alive, and by PING on HTTP/2 |
/// | [`keep_alive_timeout`](Self::keep_alive_timeout) | 20 s | as hyper; a peer that does not answer for so long is gone: its responses are aborted |
/// | [`linger_bytes`](Self::linger_bytes) | 64 MiB | so much of an upload that no view wants is read and dropped before an HTTP/1 connection closes, so that its client sees the answer |
/// | [`linger_timeout`](Self::linger_timeout) | 30 s | as nginx; for so long at most, and no longer than 5 s without a byte |
/// | [`half_close`](Self::half_close) | no | as hyper; whether an HTTP/1 client that closes only its sending direction still gets its response |
/// | [`max_headers`](Self::max_headers) | 100 | as hyper; HTTP/1 answers 431 |
/// | [`header_bytes`](Self::header_bytes) | 64 KiB | all headers of a request together; HTTP/1 answers 431 |
/// | [`max_streams`](Self::max_streams) | 200 | as hyper; concurrent requests of an HTTP/2 connection, further ones are refused |
/// | [`stream_window`](Self::stream_window) | 128 KiB | so much of an HTTP/2 upload may wait for its view. A connection has room for that of all its streams, 25 MiB: uploads that nobody reads do not stop the others |
/// | [`body`](Self::body) | 2 MiB | as axum; 413 when a view reads more |
/// | [`body_timeout`](Self::body_timeout) | 30 s | as nginx, halved; 408 when a view waits for so long for the next part of a body |
/// | [`max_detached`](Self::max_detached) | 1024 | views that run on although their client has left, in all |
/// | [`max_detached_per_connection`](Self::max_detached_per_connection) | 16 | of one connection, so that no client takes them all |
/// | [`detached_timeout`](Self::detached_timeout) | 30 s | after that such a view is dropped |
///
/// A view beyond the limits on detached ones is dropped as well; the tasks that it had registered
/// run in each case.
///
/// Every value is accepted. `Duration::MAX` and the largest number stand for "no limit", as far as there
/// can be none; zero is the smallest value that makes sense, which the setter names where it is not zero.
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
    /// `None`: by the one above.
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

/// What `http::HeaderMap` can hold.
const MAX_HEADERS: usize = 24_576;

/// More than any head has; h2 allows as much by itself.
const MAX_HEADER_BYTES: usize = 16 * 1024 * 1024;

/// The largest window that HTTP/2 has.
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// One frame of data.
const MIN_WINDOW: u32 = 16 * 1024;

/// The longest that Linux takes for a TCP keep-alive.
const MAX_KEEP_ALIVE: Duration = Duration::from_secs(32_767);

impl Limits {
    /// Creates the defaults.
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

    /// Sets how many connections are served at a time; at least one.
    #[must_use]
    pub fn connections(self, connections: usize) -> Self {
        // A shutdown acquires the permits of all of them, which are counted by a `u32` then.
        let most = tokio::sync::Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let connections = connections.clamp(1, most);
        Self {
            connections,
            ..self
        }
    }

    /// Sets how long the head of a request may take: on a new connection from its begin, afterwards from
    /// its first byte.
    #[must_use]
    pub fn header_timeout(self, header_timeout: Duration) -> Self {
        Self {
            header_timeout,
            ..self
        }
    }

    /// Sets how long a connection may wait for its next request; two and a half times the
    /// [`header_timeout`](Self::header_timeout) where it is not set, which is 75 s.
    ///
    /// A load balancer in front has to close first: set this to more than the time for which it keeps its
    /// connections (60 s for most). On HTTP/2 the connection ends by GOAWAY, so that no request is lost.
    #[must_use]
    #[doc(alias = "keepalive_timeout")]
    pub fn idle_timeout(self, idle_timeout: Duration) -> Self {
        Self {
            idle_timeout: Some(idle_timeout),
            ..self
        }
    }

    pub(crate) fn idle(&self) -> Duration {
        let by_header = || self.header_timeout.saturating_mul(5) / 2;
        self.idle_timeout.unwrap_or_else(by_header)
    }

    /// Sets how long bytes of a response may wait without progress.
    #[must_use]
    pub fn send_timeout(self, send_timeout: Duration) -> Self {
        Self {
            send_timeout,
            ..self
        }
    }

    /// Sets after how long of silence a peer is asked whether it is there; at least a second. More than
    /// nine hours is never.
    ///
    /// Without it a peer that vanished (a cable, a laptop that sleeps) keeps a quiet stream of events, and
    /// its task, for ever. The kernel asks on TCP, and hyper on HTTP/2. TCP needs a socket that the server
    /// can see: [`Listener::socket`](crate::Listener::socket).
    #[must_use]
    pub fn keep_alive(self, keep_alive: Duration) -> Self {
        let keep_alive = keep_alive.max(Duration::from_secs(1));
        Self { keep_alive, ..self }
    }

    /// Sets how long a peer may take to answer that it is there; at least a second.
    #[must_use]
    pub fn keep_alive_timeout(self, keep_alive_timeout: Duration) -> Self {
        let keep_alive_timeout = keep_alive_timeout.clamp(Duration::from_secs(1), MAX_KEEP_ALIVE);
        Self {
            keep_alive_timeout,
            ..self
        }
    }

    /// After how long a silent peer is asked, and how long it has to answer; `None` where it never is.
    pub(crate) fn probes(&self) -> Option<(Duration, Duration)> {
        (self.keep_alive <= MAX_KEEP_ALIVE).then_some((self.keep_alive, self.keep_alive_timeout))
    }

    /// Sets how many bytes of an upload that no view wants are read before an HTTP/1 connection is closed.
    ///
    /// A view that answers an upload before it has read all of it (401, 413) ends the connection. To close
    /// it with bytes unread makes the kernel send a reset, and the client may lose the answer by that. So
    /// the server closes its sending direction, and reads and drops until the client has closed too. Zero
    /// closes at once.
    #[must_use]
    #[doc(alias = "lingering_close")]
    pub fn linger_bytes(self, linger_bytes: usize) -> Self {
        Self {
            linger_bytes,
            ..self
        }
    }

    /// Sets for how long at most; see [`linger_bytes`](Self::linger_bytes).
    #[must_use]
    #[doc(alias = "lingering_time")]
    pub fn linger_timeout(self, linger_timeout: Duration) -> Self {
        Self {
            linger_timeout,
            ..self
        }
    }

    /// Sets whether an HTTP/1 client that closes its sending direction, as `nc -N` does after a request,
    /// still gets its response. It is off.
    ///
    /// A client that closes the whole connection looks the same at first: its end of the data is all that
    /// there is to see until something is written. Off, such a client counts as one that has left: its
    /// view is told by [`is_disconnected`](crate::Request::is_disconnected), and nothing is sent any more.
    /// A response that is ready before the end is seen is sent all the same: that is a race. Go's
    /// `net/http` takes the end for leaving too, and cancels the request's context.
    ///
    /// On, each response arrives whole, whatever its size; and that a client has left is noticed only when
    /// the connection is reset, or something is written to it. HTTP/2 knows no such clients.
    #[must_use]
    pub fn half_close(self, half_close: bool) -> Self {
        Self { half_close, ..self }
    }

    /// Sets how many headers a request may have; at most 24 576.
    #[must_use]
    #[doc(alias = "headers")]
    pub fn max_headers(self, max_headers: usize) -> Self {
        Self {
            max_headers: max_headers.min(MAX_HEADERS),
            ..self
        }
    }

    /// Sets how long the headers of a request may be together; at least 8 KiB, at most 16 MiB.
    #[must_use]
    pub fn header_bytes(self, header_bytes: usize) -> Self {
        Self {
            header_bytes: header_bytes.clamp(8192, MAX_HEADER_BYTES),
            ..self
        }
    }

    /// Sets how many requests an HTTP/2 connection may have at a time; at least one.
    #[must_use]
    #[doc(alias = "streams")]
    pub fn max_streams(self, max_streams: u32) -> Self {
        Self {
            max_streams: max_streams.max(1),
            ..self
        }
    }

    /// Sets how much of an HTTP/2 upload may wait for its view; at least 16 KiB, at most 2 GiB.
    ///
    /// It bounds the speed of an upload: a window for each round trip. A connection's own window is this
    /// times [`max_streams`](Self::max_streams), and one more, but no more than 2 GiB: so much memory may
    /// one connection take whose uploads nobody reads.
    #[must_use]
    #[doc(alias = "initial_stream_window_size")]
    pub fn stream_window(self, stream_window: usize) -> Self {
        let stream_window = u32::try_from(stream_window).unwrap_or(MAX_WINDOW);
        Self {
            stream_window: stream_window.clamp(MIN_WINDOW, MAX_WINDOW),
            ..self
        }
    }

    /// The windows of a stream, and of a connection.
    pub(crate) fn windows(&self) -> (u32, u32) {
        let stream = self.stream_window;
        let all = stream.saturating_mul(self.max_streams.saturating_add(1));
        (stream, all.min(MAX_WINDOW))
    }

    /// Sets how long a request's body may be, where a view reads it whole.
    #[must_use]
    pub fn body(self, body: usize) -> Self {
        Self { body, ..self }
    }

    /// Sets how long a view waits for the next part of a request's body.
    #[must_use]
    pub fn body_timeout(self, body_timeout: Duration) -> Self {
        Self {
            body_timeout,
            ..self
        }
    }

    /// Sets how many views may run on without their clients.
    #[must_use]
    #[doc(alias = "detached")]
    pub fn max_detached(self, max_detached: usize) -> Self {
        Self {
            max_detached,
            ..self
        }
    }

    /// Sets how many of one connection may.
    #[must_use]
    #[doc(alias = "detached_per_connection")]
    pub fn max_detached_per_connection(self, max_detached_per_connection: usize) -> Self {
        Self {
            max_detached_per_connection,
            ..self
        }
    }

    /// Sets for how long; and how long an HTTP/1 upload is kept that such a view does not read on.
    #[must_use]
    pub fn detached_timeout(self, detached_timeout: Duration) -> Self {
        Self {
            detached_timeout,
            ..self
        }
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
