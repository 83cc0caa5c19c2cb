//! What a server puts up with.

use std::time::Duration;

/// Limits of a server, with defaults that are safe.
///
/// | limit | default | why that much, and what happens beyond |
/// | --- | --- | --- |
/// | [`connections`](Self::connections) | 10 000 | far more than most need, and a bound; the next ones wait in the system's backlog. An upgraded connection counts until its upgrade only |
/// | [`header_timeout`](Self::header_timeout) | 30 s | as hyper; a connection on which no request has come for so long is closed; on HTTP/2, after its first request, ten times as long |
/// | [`send_timeout`](Self::send_timeout) | 60 s | as nginx; a response whose bytes wait for so long without progress is aborted |
/// | [`headers`](Self::headers) | 100 | as hyper; HTTP/1 answers 431 |
/// | [`header_bytes`](Self::header_bytes) | 64 KiB | all headers of a request together; HTTP/1 answers 431 |
/// | [`streams`](Self::streams) | 200 | as hyper; concurrent requests of an HTTP/2 connection, further ones are refused |
/// | [`body`](Self::body) | 2 MiB | as axum; 413 when a view reads more |
/// | [`body_timeout`](Self::body_timeout) | 30 s | as nginx, halved; 408 when a view waits for so long for the next part of a body |
/// | [`detached`](Self::detached) | 1024 | views that run on although their client has left, in all |
/// | [`detached_per_connection`](Self::detached_per_connection) | 16 | of one connection, so that no client takes them all |
/// | [`detached_timeout`](Self::detached_timeout) | 30 s | after that such a view is dropped |
///
/// A view beyond the limits on detached ones is dropped as well; the tasks that it had registered
/// run in each case.
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
    pub(crate) send_timeout: Duration,
    pub(crate) headers: usize,
    pub(crate) header_bytes: usize,
    pub(crate) streams: u32,
    pub(crate) body: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) detached: usize,
    pub(crate) detached_per_connection: usize,
    pub(crate) detached_timeout: Duration,
}

impl Limits {
    /// Creates the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connections: 10_000,
            header_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(60),
            headers: 100,
            header_bytes: 64 * 1024,
            streams: 200,
            body: 2 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            detached: 1024,
            detached_per_connection: 16,
            detached_timeout: Duration::from_secs(30),
        }
    }

    /// Sets how many connections are served at a time; at least one.
    #[must_use]
    pub fn connections(self, connections: usize) -> Self {
        let connections = connections.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        Self {
            connections,
            ..self
        }
    }

    /// Sets how long a connection may be without a request.
    #[must_use]
    pub fn header_timeout(self, header_timeout: Duration) -> Self {
        Self {
            header_timeout,
            ..self
        }
    }

    /// Sets how long bytes of a response may wait without progress.
    #[must_use]
    pub fn send_timeout(self, send_timeout: Duration) -> Self {
        Self {
            send_timeout,
            ..self
        }
    }

    /// Sets how many headers a request may have.
    #[must_use]
    pub fn headers(self, headers: usize) -> Self {
        Self { headers, ..self }
    }

    /// Sets how long the headers of a request may be together; at least 8 KiB.
    #[must_use]
    pub fn header_bytes(self, header_bytes: usize) -> Self {
        Self {
            header_bytes: header_bytes.max(8192),
            ..self
        }
    }

    /// Sets how many requests an HTTP/2 connection may have at a time.
    #[must_use]
    pub fn streams(self, streams: u32) -> Self {
        Self { streams, ..self }
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
    pub fn detached(self, detached: usize) -> Self {
        Self { detached, ..self }
    }

    /// Sets how many of one connection may.
    #[must_use]
    pub fn detached_per_connection(self, detached_per_connection: usize) -> Self {
        Self {
            detached_per_connection,
            ..self
        }
    }

    /// Sets for how long.
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
