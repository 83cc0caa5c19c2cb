//! Forms with files, read whole.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    mem,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::task::spawn_blocking;

use super::{form, head::Request, multipart::Field, read::too_long};
use crate::error::{Error, HttpError, Result};

/// How many fields a form may have, as in Starlette.
const MAX_FIELDS: usize = 1000;

/// How many bytes of a form's files are kept in memory. Starlette has this limit for each file.
const MAX_IN_MEMORY: usize = 1024 * 1024;

impl Request {
    /// Reads the whole body as a form with files, so that a view can look at all fields before it
    /// accepts a file.
    ///
    /// The texts together may be as long as a [body](crate::Limits::body) may be, and so may the
    /// files together. [`form_data_within`](Self::form_data_within) accepts longer files. 1 MiB of
    /// files is kept in memory. The rest is written to a temporary file without a name.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`multipart`](Self::multipart), a 413 if the form is too long or has
    /// more than 1000 fields, and a 400 if the form is malformed or a text is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, HttpError, Request, Response, testing::Client};
    ///
    /// async fn upload(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    ///     let form = req.form_data().await?;
    ///     if form.text("token") != Some("7f") {
    ///         return Err(HttpError::new(403).into());
    ///     }
    ///     let file = form.file("f").ok_or_else(|| HttpError::new(400).detail("no file"))?;
    ///     res.text(format!("{}: {} bytes", file.file_name(), file.bytes().await?.len()));
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let client = Client::new(App::new().add("/upload", &["post"], upload));
    /// let response = client
    ///     .post("/upload")
    ///     .header("content-type", "multipart/form-data; boundary=x")
    ///     .body(concat!(
    ///         "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nhello\r\n",
    ///         "--x\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n7f\r\n--x--\r\n",
    ///     ))
    ///     .await;
    /// assert_eq!(response.text(), "a.txt: 5 bytes");
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "multipart")))]
    pub async fn form_data(&mut self) -> Result<FormData> {
        self.form_data_within(self.body_limit() as u64).await
    }

    /// Does the same as [`form_data`](Self::form_data), with this limit for the bytes of all files
    /// together.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`form_data`](Self::form_data).
    #[cfg_attr(docsrs, doc(cfg(feature = "multipart")))]
    pub async fn form_data_within(&mut self, file_bytes: u64) -> Result<FormData> {
        let mut form = self.multipart()?;
        let mut reader = Reader::new(self.body_limit(), file_bytes);
        while let Some(field) = form.next_field().await? {
            reader.read(field).await?;
        }
        Ok(reader.form)
    }
}

/// A form with files, read to its end. Returned by [`Request::form_data`].
#[derive(Default)]
pub struct FormData {
    texts: Vec<(String, String)>,
    files: Vec<(String, FormFile)>,
}

impl FormData {
    /// Returns the first text of this name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).next()
    }

    /// Returns all texts of this name, in their order.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        of_name(&self.texts, name).map(String::as_str)
    }

    /// Returns the first file of this name. There is none if the user has chosen no file.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&FormFile> {
        self.files(name).next()
    }

    /// Returns all files of this name, in their order.
    pub fn files(&self, name: &str) -> impl Iterator<Item = &FormFile> {
        of_name(&self.files, name)
    }

    /// Reads the texts as a value, as [`Request::form`] does: a struct with a field for each text.
    ///
    /// # Errors
    ///
    /// Returns a 400 with the reason if the texts do not parse.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(&self.texts);
        form::parse(pairs.finish().as_bytes(), "form")
    }
}

fn of_name<'a, T>(all: &'a [(String, T)], name: &str) -> impl Iterator<Item = &'a T> {
    let is_it = move |(known, value): &'a (String, T)| (known == name).then_some(value);
    all.iter().filter_map(is_it)
}

impl fmt::Debug for FormData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormData")
            .field("texts", &self.texts.len())
            .field("files", &self.files)
            .finish()
    }
}

/// A file of a [`FormData`].
#[derive(Clone)]
pub struct FormFile {
    file_name: String,
    content_type: Option<String>,
    content: Content,
}

#[derive(Clone)]
enum Content {
    InMemory(Bytes),
    /// A range of the form's temporary file.
    OnDisk(Spool, Range<u64>),
}

impl FormFile {
    /// Returns the name of the file that the client has sent. Do not use it as a path.
    #[must_use]
    #[doc(alias = "filename")]
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// Returns the content type that the client has sent.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Returns the length of the file in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.content {
            Content::InMemory(bytes) => bytes.len() as u64,
            Content::OnDisk(_, range) => range.end - range.start,
        }
    }

    /// Returns whether the file is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the content of the file. It can be called again.
    ///
    /// # Errors
    ///
    /// Returns an error, which is answered by a 500, if the temporary file cannot be read.
    pub async fn bytes(&self) -> Result<Bytes> {
        match self.content.clone() {
            Content::InMemory(bytes) => Ok(bytes),
            Content::OnDisk(spool, range) => {
                blocking(move || {
                    let mut all = Vec::new();
                    spool.copy(&range, &mut all)?;
                    Ok(all.into())
                })
                .await
            }
        }
    }

    /// Writes the content to a file at this path, and replaces an existing file.
    ///
    /// # Errors
    ///
    /// Returns an error, which is answered by a 500, if the file cannot be written.
    pub async fn save(&self, path: impl Into<PathBuf>) -> Result<()> {
        let (content, path) = (self.content.clone(), path.into());
        blocking(move || content.save(&path)).await
    }
}

impl Content {
    fn save(&self, path: &Path) -> io::Result<()> {
        let mut file = File::create(path)?;
        match self {
            Self::InMemory(bytes) => file.write_all(bytes),
            Self::OnDisk(spool, range) => spool.copy(range, &mut file),
        }
    }
}

impl fmt::Debug for FormFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormFile")
            .field("file_name", &self.file_name)
            .field("content_type", &self.content_type)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// The temporary file of a form. Its files are read one after the other, so one file is enough.
#[derive(Clone)]
struct Spool(Arc<Mutex<File>>);

impl Spool {
    fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(tempfile::tempfile()?))))
    }

    /// No caller awaits while it holds the lock, and all writes come before the first read.
    fn lock(&self) -> MutexGuard<'_, File> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, data: &[u8]) -> io::Result<()> {
        self.lock().write_all(data)
    }

    fn copy(&self, range: &Range<u64>, to: &mut impl io::Write) -> io::Result<()> {
        let mut file = self.lock();
        file.seek(SeekFrom::Start(range.start))?;
        let expected = range.end - range.start;
        let copied = io::copy(&mut (&mut *file).take(expected), to)?;
        if copied < expected {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// Reads a form, within its limits.
struct Reader {
    form: FormData,
    fields: usize,
    texts_limit: usize,
    /// The bytes left for texts. Names count as well, because they are kept.
    texts_left: usize,
    files_limit: u64,
    files_left: u64,
    memory_left: usize,
    spool: Option<Spool>,
    spooled: u64,
}

impl Reader {
    fn new(texts_limit: usize, files_limit: u64) -> Self {
        Self {
            form: FormData::default(),
            fields: 0,
            texts_limit,
            texts_left: texts_limit,
            files_limit,
            files_left: files_limit,
            memory_left: MAX_IN_MEMORY,
            spool: None,
            spooled: 0,
        }
    }

    async fn read(&mut self, mut field: Field<'_>) -> Result<()> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            let detail = format!("The form has more than {MAX_FIELDS} fields.");
            return Err(HttpError::new(413).detail(detail).into());
        }
        let name = field.name().map(ToOwned::to_owned);
        let name = name.ok_or_else(|| HttpError::new(400).detail("A field has no name."))?;
        self.count_text(name.len())?;
        match field.file_name().map(ToOwned::to_owned) {
            Some(file_name) => self.read_file(name, file_name, field).await,
            None => {
                let text = self.read_text(&mut field).await?;
                self.form.texts.push((name, text));
                Ok(())
            }
        }
    }

    fn count_text(&mut self, bytes: usize) -> Result<()> {
        let left = self.texts_left.checked_sub(bytes);
        self.texts_left = left.ok_or_else(|| too_long(self.texts_limit))?;
        Ok(())
    }

    async fn read_text(&mut self, field: &mut Field<'_>) -> Result<String> {
        let mut text = Vec::new();
        while let Some(chunk) = field.chunk().await? {
            self.count_text(chunk.len())?;
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(text);
        text.map_err(|_| HttpError::new(400).detail("A field is not UTF-8.").into())
    }

    async fn read_file(
        &mut self,
        name: String,
        file_name: String,
        mut field: Field<'_>,
    ) -> Result<()> {
        let content_type = field.content_type().map(ToOwned::to_owned);
        self.count_text(file_name.len() + content_type.as_ref().map_or(0, String::len))?;
        let content = self.read_content(&mut field).await?;
        let file = FormFile {
            file_name,
            content_type,
            content,
        };
        // Browsers send an empty file without a name if the user has chosen no file.
        if !(file.file_name.is_empty() && file.is_empty()) {
            self.form.files.push((name, file));
        }
        Ok(())
    }

    async fn read_content(&mut self, field: &mut Field<'_>) -> Result<Content> {
        let begin = self.spooled;
        let mut held = Vec::new();
        let mut is_spooled = false;
        while let Some(chunk) = field.chunk().await? {
            let left = self.files_left.checked_sub(chunk.len() as u64);
            self.files_left = left.ok_or_else(|| files_too_long(self.files_limit))?;
            if !is_spooled && held.len() + chunk.len() > self.memory_left {
                is_spooled = true;
                self.spool(mem::take(&mut held).into()).await?;
            }
            if is_spooled {
                self.spool(chunk).await?;
            } else {
                held.extend_from_slice(&chunk);
            }
        }
        self.memory_left -= held.len();
        Ok(match &self.spool {
            Some(spool) if is_spooled => Content::OnDisk(spool.clone(), begin..self.spooled),
            _ => Content::InMemory(held.into()),
        })
    }

    async fn spool(&mut self, data: Bytes) -> Result<()> {
        let (spool, bytes) = (self.spool.take(), data.len() as u64);
        let spool = blocking(move || {
            let spool = spool.map_or_else(Spool::new, Ok)?;
            spool.append(&data)?;
            Ok(spool)
        });
        self.spool = Some(spool.await?);
        self.spooled += bytes;
        Ok(())
    }
}

fn files_too_long(limit: u64) -> Error {
    let detail = format!("The files are together longer than {limit} bytes.");
    HttpError::new(413).detail(detail).into()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    Ok(spawn_blocking(work).await??)
}
