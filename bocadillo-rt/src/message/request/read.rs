//! Reads a whole request body.

use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::{Sleep, sleep};

use super::{
    head::Request,
    source::{Source, Unreadable},
};
use crate::error::{Error, HttpError, Result};

impl Request {
    /// Reads the whole body. A second call returns the same bytes.
    ///
    /// # Errors
    ///
    /// Returns a 413 if the body is longer than the limit (2 MiB), a 400 if the client cut it off,
    /// and a 408 if the next part does not arrive within 30 s. Both limits are set by
    /// [`Limits`](crate::Limits). Returns an error, which is answered by a 500, if the body was
    /// taken as a stream or as a form with files before.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe. If the future is dropped, the bytes that it has read are lost.
    pub async fn body(&mut self) -> Result<Bytes> {
        if let Source::Read(bytes) = &self.body {
            return Ok(bytes.clone());
        }
        let bytes = self.read_body().await?;
        self.body = Source::Read(bytes.clone());
        Ok(bytes)
    }

    async fn read_body(&mut self) -> Result<Bytes> {
        let limit = self.body_limit();
        if let Some(why) = self.as_unreadable() {
            return Err(unreadable(why, limit));
        }
        let mut read = BytesMut::new();
        let mut timer = None;
        // Stays so if this future is dropped before the end.
        self.is_lost = true;
        let end = poll_fn(|cx| self.poll_read(cx, &mut read, &mut timer, limit)).await;
        self.is_lost = false;
        end.map_err(|why| {
            self.body = Source::Unreadable(why);
            unreadable(why, limit)
        })
    }

    #[inline]
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        read: &mut BytesMut,
        timer: &mut Option<Pin<Box<Sleep>>>,
        limit: usize,
    ) -> Poll<Result<Bytes, Unreadable>> {
        if self.body.at_least() > limit as u64 {
            return Poll::Ready(Err(Unreadable::TooLong));
        }
        while !self.body.has_ended() {
            let Poll::Ready(next) = self.body.poll_next(cx) else {
                return wait(timer, self.body_timeout(), cx).map(Err);
            };
            *timer = None;
            let Some(data) = next.transpose()? else {
                break;
            };
            if read.len() + data.len() > limit {
                return Poll::Ready(Err(Unreadable::TooLong));
            }
            // Most bodies are one frame, which is not copied.
            if self.body.has_ended() && read.is_empty() {
                return Poll::Ready(Ok(data));
            }
            read.extend_from_slice(&data);
        }
        Poll::Ready(Ok(mem::take(read).freeze()))
    }

    fn as_unreadable(&self) -> Option<Unreadable> {
        self.body
            .as_unreadable()
            .or(self.is_lost.then_some(Unreadable::Lost))
    }

    /// Reads the body as text.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`body`](Self::body), and a 400 if the body is not UTF-8.
    pub async fn text(&mut self) -> Result<String> {
        let bytes = self.body().await?;
        let text = String::from_utf8(bytes.into());
        text.map_err(|_| HttpError::new(400).detail("The body is not UTF-8.").into())
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`body`](Self::body), a 415 if the content type is another than JSON,
    /// and a 400 with the place of the mistake if the JSON does not parse.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.expect_json()?;
        let parse =
            |bytes: &Bytes| serde_json::from_slice(bytes).map_err(|_| malformed::<T>(bytes));
        if let Source::Read(bytes) = &self.body {
            return parse(bytes);
        }
        let bytes = self.read_body().await?;
        let value = parse(&bytes);
        self.body = Source::Read(bytes);
        value
    }
}

/// Waits for the next part of a body, within the limit. The timer is created here, because most
/// bodies never have to wait.
#[cold]
pub(super) fn wait(
    timer: &mut Option<Pin<Box<Sleep>>>,
    limit: Duration,
    cx: &mut Context<'_>,
) -> Poll<Unreadable> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep(limit)));
    timer.as_mut().poll(cx).map(|()| Unreadable::Late)
}

/// Returns the error for a body that cannot be read.
#[cold]
pub(super) fn unreadable(why: Unreadable, limit: usize) -> Error {
    match why {
        Unreadable::Taken => Error::msg(
            "the request's body was taken by `stream` or `multipart` before; call `body` first, \
             which can be called again",
        ),
        Unreadable::Lost => Error::msg(
            "the request's body was lost: the future that read it was dropped before its end",
        ),
        Unreadable::TooLong => too_long(limit),
        Unreadable::TooLongForLayer => {
            let detail = "The body is longer than a layer around the app allows.";
            HttpError::new(413).detail(detail).into()
        }
        Unreadable::Late => HttpError::new(408).detail("The body took too long.").into(),
        Unreadable::Cut => HttpError::new(400).detail("The body was cut off.").into(),
    }
}

pub(super) fn too_long(limit: usize) -> Error {
    let detail = format!("The body is longer than {limit} bytes.");
    HttpError::new(413).detail(detail).into()
}

/// Parses the text once more, to find the place of the mistake.
#[cold]
fn malformed<T: DeserializeOwned>(bytes: &[u8]) -> Error {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize::<_, T>(&mut json);
    let detail = match parsed {
        Err(error) => {
            let what = match error.inner().classify() {
                Category::Data => "not as expected",
                Category::Io | Category::Syntax | Category::Eof => "malformed",
            };
            match &*error.path().to_string() {
                // The mistake is at the top level, or before any field.
                "." | "?" => format!("JSON is {what}: {}", error.inner()),
                path => format!("JSON is {what} at `{path}`: {}", error.inner()),
            }
        }
        // The value is followed by something else.
        Ok(_) => match json.end() {
            Err(error) => format!("JSON is malformed: {error}"),
            Ok(()) => "JSON is malformed.".to_owned(),
        },
    };
    HttpError::new(400).detail(detail).into()
}
