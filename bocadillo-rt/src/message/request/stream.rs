//! Reads a request's body chunk by chunk.

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
    read::{unreadable, wait},
    source::{Source, Unreadable},
};
use crate::error::{Error, Result};

impl Request {
    /// Takes the body as a stream of chunks, for bodies that are too long to be read whole. No
    /// limit applies.
    ///
    /// The body can be taken once. If [`body`](Self::body) has read it before, the stream yields it
    /// as one chunk. Reading the body after this call returns an error that says so.
    ///
    /// A task may read the stream after the response. hyper then reports the end of a chunked
    /// HTTP/1 body with trailers only when the next request arrives on the connection.
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

/// A request's body in chunks. Returned by [`Request::stream`].
pub struct BodyStream {
    body: Source,
    /// Only used in the error of a body that was too long.
    limit: usize,
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stream for BodyStream {
    type Item = Result<Bytes>;

    /// Yields an error, once, if the client cut the body off or if the body was taken before.
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
    /// Returns a 400 if the client cut the body off.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let next = poll_fn(|cx| Pin::new(&mut *self).poll_next(cx));
        next.await.transpose()
    }

    fn end(&mut self, why: Unreadable) -> Error {
        self.body = Source::Read(Bytes::new());
        unreadable(why, self.limit)
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyStream").finish_non_exhaustive()
    }
}
