//! A body as it comes.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::time::Sleep;

use super::{
    head::Request,
    read::{gone, wait},
    source::{Gone, Source},
};
use crate::error::{Error, Result};

impl Request {
    /// Takes the body as a stream of chunks as they come, for what is too large to be read whole; no
    /// limit applies.
    ///
    /// It can be taken once: what was read by [`body`](Self::body) before comes as one chunk; whoever
    /// reads the body afterwards gets an error that says so.
    ///
    /// A task may read it on after the response. There the end of a chunked HTTP/1 upload that has trailers is
    /// seen with the connection's next request only: hyper holds it back.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Request, Response, testing::Client};
    ///
    /// async fn upload(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    ///     let mut stream = req.stream();
    ///     let mut bytes = 0;
    ///     while let Some(chunk) = stream.chunk().await? {
    ///         bytes += chunk.len();
    ///     }
    ///     res.text(format!("{bytes} bytes"));
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let client = Client::new(App::new().add("/upload", &["post"], upload));
    /// assert_eq!(client.post("/upload").body("hello").await.text(), "5 bytes");
    /// # }
    /// ```
    pub fn stream(&mut self) -> BodyStream {
        let limit = self.body_limit();
        let body = self.take_body();
        BodyStream {
            body,
            limit,
            timeout: self.body_timeout(),
            timer: None,
        }
    }
}

/// A request's body in chunks; made by [`Request::stream`].
pub struct BodyStream {
    body: Source,
    /// Only to say of a body that was too long how long it may be.
    limit: usize,
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stream for BodyStream {
    type Item = Result<Bytes>;

    /// Yields an error, once, if the client cut the body off, or if it was taken before.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = &mut *self;
        let Poll::Ready(next) = this.body.poll_next(cx) else {
            let why = ready!(wait(&mut this.timer, this.timeout, cx));
            return Poll::Ready(Some(Err(self.end(why))));
        };
        this.timer = None;
        Poll::Ready(match next {
            Some(Ok(data)) => Some(Ok(data)),
            Some(Err(why)) => Some(Err(self.end(why))),
            None => None,
        })
    }
}

impl BodyStream {
    /// Returns the next chunk, or `None` at the end.
    ///
    /// # Errors
    ///
    /// A 400 if the client cut the body off.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let next = poll_fn(|cx| Pin::new(&mut *self).poll_next(cx));
        next.await.transpose()
    }

    fn end(&mut self, why: Gone) -> Error {
        self.body = Source::Read(Bytes::new());
        gone(why, self.limit)
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyStream").finish_non_exhaustive()
    }
}
