//! Forms with files, read field by field.

use std::{
    borrow::Cow,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::header::CONTENT_TYPE;

use super::{content_type::MediaType, head::Request, read::too_long, stream::BodyStream};
use crate::error::{BoxError, Error, HttpError, Result};

impl Request {
    /// Reads the body as a form with files, field by field as they arrive.
    ///
    /// # Errors
    ///
    /// Returns a 415 if the content type is not `multipart/form-data` with a boundary.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Request, Response, testing::Client};
    ///
    /// async fn upload(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    ///     let mut form = req.multipart()?;
    ///     while let Some(mut field) = form.next_field().await? {
    ///         let file = field.file_name().unwrap_or("no file").to_owned();
    ///         res.text(format!("{file}: {} bytes", field.bytes().await?.len()));
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let client = Client::new(App::new().add("/upload", &["post"], upload));
    /// let response = client
    ///     .post("/upload")
    ///     .header("content-type", "multipart/form-data; boundary=x")
    ///     .body("--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nhello\r\n--x--\r\n")
    ///     .await;
    /// assert_eq!(response.text(), "a.txt: 5 bytes");
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "multipart")))]
    pub fn multipart(&mut self) -> Result<Multipart> {
        self.expect_essence("multipart/form-data")?;
        let content_type = self.header(CONTENT_TYPE).unwrap_or_default();
        let boundary = MediaType::parse(content_type)
            .parameter("boundary")
            .filter(|boundary| !boundary.is_empty())
            .map(Cow::into_owned)
            .ok_or_else(|| {
                let detail = "The content type `multipart/form-data` has no boundary.";
                HttpError::new(415).detail(detail)
            })?;
        let limit = self.body_limit();
        let unparsed = Arc::new(AtomicUsize::new(0));
        let chunks = Chunks {
            body: self.stream(),
            unparsed: Arc::clone(&unparsed),
            turn: 0,
        };
        Ok(Multipart {
            form: multer::Multipart::new(chunks, boundary),
            current: None,
            unparsed,
            left: limit,
            limit,
        })
    }
}

/// How many bytes the parser may buffer. It buffers until it has found the end of a field's head.
const MAX_UNPARSED: usize = 1024 * 1024;

/// How many bytes the parser gets at once. It reads as long as bytes are available, and searches
/// the whole buffer after each read.
const MAX_TURN: usize = 64 * 1024;

/// The body as the parser reads it.
struct Chunks {
    body: BodyStream,
    /// How many bytes the parser has read since its last result. Only this counter is shared, so
    /// `Relaxed` is enough.
    unparsed: Arc<AtomicUsize>,
    turn: usize,
}

impl futures_core::Stream for Chunks {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.unparsed.load(Relaxed) > MAX_UNPARSED {
            return Poll::Ready(Some(Err(Box::new(HeadTooLong))));
        }
        if self.turn > MAX_TURN {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = Pin::new(&mut self.body).poll_next(cx);
        match &next {
            Poll::Ready(Some(Ok(chunk))) => {
                self.turn += chunk.len();
                self.unparsed.fetch_add(chunk.len(), Relaxed);
            }
            _ => self.turn = 0,
        }
        next.map(|chunk| chunk.map(|chunk| chunk.map_err(Into::into)))
    }
}

/// A form with files, read as it arrives. Returned by [`Request::multipart`].
pub struct Multipart {
    form: multer::Multipart<'static>,
    current: Option<multer::Field<'static>>,
    unparsed: Arc<AtomicUsize>,
    left: usize,
    limit: usize,
}

impl Multipart {
    /// Returns the next field. The unread rest of the field before is skipped.
    ///
    /// # Errors
    ///
    /// Returns a 400 with the reason if the form is malformed or was cut off.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe. If the future is dropped, the bytes that it has read are lost.
    pub async fn next_field(&mut self) -> Result<Option<Field<'_>>> {
        if let Some(mut skipped) = self.current.take() {
            while skipped.chunk().await.map_err(malformed)?.is_some() {
                self.unparsed.store(0, Relaxed);
            }
        }
        self.current = self.form.next_field().await.map_err(malformed)?;
        self.unparsed.store(0, Relaxed);
        Ok(self.current.as_mut().map(|field| Field {
            field,
            unparsed: &self.unparsed,
            left: &mut self.left,
            limit: self.limit,
        }))
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart").finish_non_exhaustive()
    }
}

/// One field of a [`Multipart`] form.
pub struct Field<'a> {
    field: &'a mut multer::Field<'static>,
    unparsed: &'a AtomicUsize,
    /// How many bytes are left for all fields that are read whole.
    left: &'a mut usize,
    limit: usize,
}

impl Field<'_> {
    /// Returns the field's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.field.name()
    }

    /// Returns the name of the file that the client has sent. Do not use it as a path.
    #[must_use]
    #[doc(alias = "filename")]
    pub fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// Returns the content type that the client has sent.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.field.content_type().map(AsRef::as_ref)
    }

    /// Returns the next chunk as it arrives. No limit applies, so this reads fields of any length.
    ///
    /// # Errors
    ///
    /// Returns a 400 with the reason if the form is malformed or was cut off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.field.chunk().await.map_err(malformed);
        self.unparsed.store(0, Relaxed);
        chunk
    }

    /// Reads the whole field.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`chunk`](Self::chunk), and a 413 if all fields that are read whole
    /// are together longer than the [limit of a body](crate::Limits::body).
    pub async fn bytes(&mut self) -> Result<Bytes> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            *self.left = self
                .left
                .checked_sub(chunk.len())
                .ok_or_else(|| too_long(self.limit))?;
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }

    /// Reads the whole field as text.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`bytes`](Self::bytes), and a 400 if the field is not UTF-8.
    pub async fn text(&mut self) -> Result<String> {
        let bytes = self.bytes().await?;
        let text = String::from_utf8(bytes.into());
        text.map_err(|_| HttpError::new(400).detail("A field is not UTF-8.").into())
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field")
            .field("name", &self.name())
            .field("file_name", &self.file_name())
            .finish_non_exhaustive()
    }
}

/// Returned when the parser's buffer is full and has no end of a field's head.
#[derive(Debug)]
struct HeadTooLong;

impl fmt::Display for HeadTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a head within the form is too long")
    }
}

impl std::error::Error for HeadTooLong {}

fn malformed(error: multer::Error) -> Error {
    let error = match error {
        multer::Error::StreamReadFailed(error) => return cut(error),
        error => error,
    };
    let detail = format!("The form is malformed: {error}");
    HttpError::new(400).detail(detail).into()
}

/// Returns the error for a body that did not arrive whole.
fn cut(error: BoxError) -> Error {
    if error.is::<HeadTooLong>() {
        let detail = "A head within the form is too long.";
        return HttpError::new(413).detail(detail).into();
    }
    match error.downcast::<HttpError>() {
        Ok(error) => (*error).into(),
        Err(_) => HttpError::new(400).detail("The body was cut off.").into(),
    }
}
