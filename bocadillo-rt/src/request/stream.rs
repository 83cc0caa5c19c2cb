//! A body as it comes.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body as _;

use super::{Request, cut, taken};
use crate::{
    body::Body,
    error::{Error, Result},
};

impl Request {
    /// Takes the body as a stream of chunks as they come, for what is too large to be read whole; no
    /// limit applies.
    ///
    /// It can be taken once: what was read by [`body`](Self::body) before comes as one chunk; whoever
    /// reads the body afterwards gets an error that says so.
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
        let is_http2 = self.is_http2();
        let body = self.take_body();
        BodyStream { body, is_http2 }
    }
}

/// A request's body in chunks; made by [`Request::stream`].
pub struct BodyStream {
    body: Body,
    is_http2: bool,
}

impl Stream for BodyStream {
    type Item = Result<Bytes>;

    /// Yields an error, once, if the client cut the body off, or if it was taken before.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.body.is_taken() {
            self.body = Body::empty();
            return Poll::Ready(Some(Err(taken())));
        }
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(self.cut(&error)))),
                None if self.is_http2 && !self.body.is_incoming_complete() => {
                    return Poll::Ready(Some(Err(self.cut(&"the stream was reset"))));
                }
                None => return Poll::Ready(None),
            };
            if let Ok(data) = frame.into_data() {
                return Poll::Ready(Some(Ok(data)));
            }
        }
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

    fn cut(&mut self, error: &dyn fmt::Display) -> Error {
        self.body = Body::empty();
        cut(error)
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyStream").finish_non_exhaustive()
    }
}
