//! What the client gets, and what is done after it has it.

#[cfg(feature = "cookie")]
mod cookies;
mod events;
#[cfg(feature = "file")]
mod file;

use std::fmt::{self, Write as _};

use bytes::Bytes;
use futures_core::Stream;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{
        ACCEPT_RANGES, ALLOW, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
        CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION,
    },
};
use http_body::Body as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use serde::Serialize;

use crate::{
    background::{IntoTask, Slot},
    body::Body,
    error::{BoxError, Error, HttpError, Title},
    sent::SentBody,
};

pub use self::events::Event;

// Constants, so that their bytes are checked by the compiler and not for each response.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const HTML: HeaderValue = HeaderValue::from_static("text/html");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// RFC 8187: all but letters, digits and a few marks.
const NOT_IN_A_PARAMETER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const ZERO: HeaderValue = HeaderValue::from_static("0");

/// Nobody can reach a response that an exchange has handed over.
const WHOLE: &str = "a response is whole until it is handed over";

/// A response, as a view builds it, and the tasks for after it.
///
/// The last content setter wins. Setters return nothing to handle: what cannot be sent, as an
/// invalid header name, becomes a 500 and a line in the log, and the tasks run all the same.
///
/// # Examples
///
/// ```
/// use bocadillo::{Request, Response};
///
/// async fn send_confirmation(who: &'static str) { /* … */ }
///
/// async fn create_order(_req: &mut Request, res: &mut Response) {
///     res.background(send_confirmation("user@example.net"));
///     res.status(201);
///     res.json(&["order", "7"]);
/// }
/// ```
pub struct Response {
    /// Taken when it is handed over: to leave an empty one behind would be to drop that, too.
    inner: Option<http::Response<SentBody<Body>>>,
    tasks: Slot,
    /// The view may have set a content-length. Else there is none to be checked.
    may_declare_length: bool,
    /// Headers describe a file, which other content would not be.
    is_file: bool,
    /// Its content goes on until somebody leaves.
    is_endless: bool,
    /// Why the response cannot be sent as it is.
    fault: Option<Box<Fault>>,
}

impl Response {
    /// Creates an empty response with status 200.
    #[must_use]
    pub fn new() -> Self {
        let inner = Some(http::Response::new(SentBody::untracked(Body::empty())));
        Self {
            inner,
            tasks: Slot::default(),
            may_declare_length: false,
            is_file: false,
            is_endless: false,
            fault: None,
        }
    }

    /// Registers a task that starts when this response has been sent.
    ///
    /// It takes the place of every task registered before, as in the original: only the latest
    /// runs. [`add_background`](Self::add_background) keeps the earlier ones.
    ///
    /// The task runs also if the view returns an error or panics afterwards, and if the client
    /// leaves; [`background::current`](crate::background::current) tells it what became of the
    /// response.
    #[track_caller]
    pub fn background(&mut self, task: impl IntoTask) {
        self.tasks.replace(task.into_task()).log();
    }

    /// Registers a task beside those registered before: all run, concurrently.
    #[track_caller]
    pub fn add_background(&mut self, task: impl IntoTask) {
        self.tasks.add(task.into_task()).log();
    }

    /// Sets the status. What is no status (100 to 999) is a fault: the client gets a 500.
    #[doc(alias = "status_code")]
    pub fn status(&mut self, status: impl TryInto<StatusCode>) {
        match status.try_into() {
            Ok(status)
                if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS =>
            {
                self.fail(format!("status {status} is not final"));
            }
            Ok(status) => *self.inner_mut().status_mut() = status,
            Err(_) => self.fail("the status is not within 100 to 999"),
        }
    }

    /// Returns the status.
    #[must_use]
    pub fn status_code(&self) -> StatusCode {
        self.inner().status()
    }

    /// Makes this text the content.
    pub fn text(&mut self, text: impl Into<Bytes>) {
        self.content(TEXT, text.into().into());
    }

    /// Makes this HTML the content.
    pub fn html(&mut self, html: impl Into<Bytes>) {
        self.content(HTML, html.into().into());
    }

    /// Makes this value, as JSON, the content. What does not become JSON is a fault.
    #[doc(alias = "media")]
    pub fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.content(JSON, bytes.into()),
            Err(error) => self.fail(format!("the content does not become JSON: {error}")),
        }
    }

    /// Makes these bytes the content.
    #[doc(alias = "content")]
    pub fn bytes(&mut self, bytes: impl Into<Bytes>) {
        self.content(OCTETS, bytes.into().into());
    }

    /// Makes a stream of chunks (bytes, vectors, strings) the content; as text, unless the header
    /// `content-type` is set afterwards.
    ///
    /// If it yields an error, the response is cut off; the error is logged.
    pub fn stream<S, T, E>(&mut self, stream: S)
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Into<Bytes>,
        E: Into<BoxError>,
    {
        self.content(TEXT, Body::from_stream(stream));
    }

    /// Makes any body the content; its content type is yours to set.
    pub fn body(&mut self, body: Body) {
        *self.body_mut() = body;
    }

    /// Sends the client elsewhere, by a 302; for another kind, set the status afterwards: 301 and 308
    /// are for ever, 303 makes it a GET, 307 and 308 keep the method and the body.
    ///
    /// What is no valid header value is a fault.
    #[doc(alias = "Redirect")]
    pub fn redirect(&mut self, location: impl AsRef<str>) {
        self.status(StatusCode::FOUND);
        self.header(LOCATION, location.as_ref());
    }

    /// Has the client save the content, under this name.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut res = bocadillo::Response::new();
    /// res.bytes(vec![1, 2, 3]);
    /// res.attachment("señal.bin");
    /// assert_eq!(
    ///     res.headers()["content-disposition"],
    ///     "attachment; filename=\"se_al.bin\"; filename*=UTF-8''se%C3%B1al.bin",
    /// );
    /// ```
    pub fn attachment(&mut self, file_name: &str) {
        // For those that do not know the second form: what cannot be in the first is replaced.
        let plain: String = file_name
            .chars()
            .map(|letter| match letter {
                '"' | '\\' => '_',
                ' '..='~' => letter,
                _ => '_',
            })
            .collect();
        let mut disposition = format!("attachment; filename=\"{plain}\"");
        if plain != file_name {
            let encoded = percent_encoding::utf8_percent_encode(file_name, NOT_IN_A_PARAMETER);
            // Writing to a string cannot fail.
            let _ = write!(disposition, "; filename*=UTF-8''{encoded}");
        }
        self.header(CONTENT_DISPOSITION, disposition);
    }

    /// Sets a header in place of all of its name.
    ///
    /// What is no valid name or value is a fault: the client gets a 500, and the log names the
    /// header.
    pub fn header<N, V>(&mut self, name: N, value: V)
    where
        N: TryInto<HeaderName> + fmt::Debug + Clone,
        V: TryInto<HeaderValue>,
    {
        self.with_header(name, value, |headers, name, value| {
            headers.insert(name, value);
        });
    }

    #[allow(
        clippy::needless_pass_by_value,
        reason = "as the methods of `HeaderMap`"
    )]
    #[inline]
    fn with_header<N, V>(
        &mut self,
        name: N,
        value: V,
        set: impl FnOnce(&mut HeaderMap, HeaderName, HeaderValue),
    ) where
        N: TryInto<HeaderName> + fmt::Debug + Clone,
        V: TryInto<HeaderValue>,
    {
        let Ok(name) = name.clone().try_into() else {
            self.fail(format!("{name:?} is no header name"));
            return;
        };
        self.may_declare_length |= name == CONTENT_LENGTH;
        match value.try_into() {
            Ok(value) => set(self.inner_mut().headers_mut(), name, value),
            Err(_) => self.fail(format!(
                "the value of header `{name}` is not allowed in a header"
            )),
        }
    }

    /// Adds a header beside those of its name.
    ///
    /// What is no valid name or value is a fault, as of [`header`](Self::header).
    pub fn append_header<N, V>(&mut self, name: N, value: V)
    where
        N: TryInto<HeaderName> + fmt::Debug + Clone,
        V: TryInto<HeaderValue>,
    {
        self.with_header(name, value, |headers, name, value| {
            headers.append(name, value);
        });
    }

    /// Returns the headers that were set.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.inner().headers()
    }

    /// Returns the headers, to append or remove.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.may_declare_length = true;
        self.inner_mut().headers_mut()
    }

    #[inline(always)]
    fn content(&mut self, content_type: HeaderValue, body: Body) {
        if self.is_file {
            self.forget_content();
        }
        self.inner_mut()
            .headers_mut()
            .insert(CONTENT_TYPE, content_type);
        *self.body_mut() = body;
    }

    #[cold]
    fn fail(&mut self, fault: impl Into<String>) {
        self.fault
            .get_or_insert_with(|| Box::new(Fault(fault.into())));
    }

    /// Makes the answer to `error` of this response; headers and tasks stay.
    pub(crate) fn answer_error(&mut self, error: &Error, view: &str) {
        let Some(http) = error.as_http() else {
            tracing::error!(view, error = %error, "view failed");
            self.answer_internal();
            return;
        };
        if http.status().is_server_error() {
            tracing::error!(view, error = %error, "view failed");
        }
        self.answer_http(http);
    }

    /// What describes content that is not sent now.
    #[cold]
    fn forget_content(&mut self) {
        self.is_file = false;
        let headers = self.inner_mut().headers_mut();
        for header in [
            ACCEPT_RANGES,
            CONTENT_DISPOSITION,
            CONTENT_ENCODING,
            CONTENT_LENGTH,
            CONTENT_RANGE,
            ETAG,
            LAST_MODIFIED,
        ] {
            headers.remove(header);
        }
    }

    /// What was wrong with the view's own answer, and what describes its content, is not the error's.
    pub(crate) fn begin_error(&mut self) {
        self.is_endless = false;
        self.forget_content();
        self.fault = None;
    }

    pub(crate) fn answer_http(&mut self, error: &HttpError) {
        self.begin_error();
        self.status(error.status());
        self.content(JSON, error.body().into());
    }

    pub(crate) fn answer_panic(&mut self, panic: &str, view: &str) {
        tracing::error!(view, panic, "view panicked");
        self.answer_internal();
    }

    fn answer_internal(&mut self) {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        self.begin_error();
        *self.inner_mut().status_mut() = status;
        self.text(Title(status).to_string());
    }

    pub(crate) fn allow(&mut self, methods: &str) {
        self.header(ALLOW, methods);
    }

    /// The answer to `OPTIONS` where no view gives one.
    pub(crate) fn answer_options(&mut self, methods: &str) {
        self.status(StatusCode::NO_CONTENT);
        self.allow(methods);
    }

    #[inline]
    pub(crate) fn take_tasks(&mut self) -> Option<Slot> {
        (!self.tasks.is_empty()).then(|| std::mem::take(&mut self.tasks))
    }

    fn inner(&self) -> &http::Response<SentBody<Body>> {
        self.inner.as_ref().expect(WHOLE)
    }

    fn body_mut(&mut self) -> &mut Body {
        self.inner_mut().body_mut().get_mut()
    }

    pub(crate) fn inner_mut(&mut self) -> &mut http::Response<SentBody<Body>> {
        self.inner.as_mut().expect(WHOLE)
    }

    /// Takes what hyper is given. Only an exchange does, when its view has ended.
    pub(crate) fn take_inner(&mut self) -> http::Response<SentBody<Body>> {
        self.inner.take().expect(WHOLE)
    }

    /// Whether there is nothing to do about it before it can be sent.
    #[inline]
    pub(crate) fn is_ordinary(&self, version: Version) -> bool {
        let is_special = self.may_declare_length || self.is_endless || self.fault.is_some();
        !is_special && version != Version::HTTP_2 && may_have_content(self.inner().status())
    }

    /// Makes what HTTP allows of what the view built.
    pub(crate) fn finish(&mut self, method: &Method, version: Version, view: &str) {
        if self.may_declare_length && may_have_content(self.inner().status()) {
            self.check_length(method);
        }
        if version == Version::HTTP_2 && self.inner().status() == StatusCode::SWITCHING_PROTOCOLS {
            self.fail("HTTP/2 has no status 101");
        }
        if let Some(fault) = self.fault.take() {
            tracing::error!(view, fault = fault.0, "response cannot be sent");
            self.answer_internal();
        }
        let status = self.inner().status();
        if status == StatusCode::NOT_MODIFIED {
            self.strip(&[CONTENT_LENGTH]);
        } else if !may_have_content(status) {
            self.strip(&[CONTENT_LENGTH, CONTENT_TYPE]);
        } else if version == Version::HTTP_2 {
            self.finish_http2(method);
        }
    }

    /// On HTTP/1 hyper does both of this itself.
    fn finish_http2(&mut self, method: &Method) {
        let Some(length) = self.inner().body().size_hint().exact() else {
            if method == Method::HEAD {
                self.strip(&[]);
            }
            return;
        };
        if method == Method::HEAD && self.inner().headers().contains_key(CONTENT_LENGTH) {
            self.strip(&[]);
        } else if length == 0 {
            self.inner_mut().headers_mut().insert(CONTENT_LENGTH, ZERO);
        } else if method == Method::HEAD {
            self.inner_mut()
                .headers_mut()
                .insert(CONTENT_LENGTH, length.into());
            self.strip(&[]);
        }
    }

    fn strip(&mut self, headers: &[HeaderName]) {
        *self.body_mut() = Body::empty();
        for header in headers {
            self.inner_mut().headers_mut().remove(header);
        }
    }

    /// A content-length that disagrees with the content would break the connection's framing.
    fn check_length(&mut self, method: &Method) {
        let mut all = self.inner().headers().get_all(CONTENT_LENGTH).iter();
        let Some(first) = all.next() else { return };
        let is_one = all.next().is_none();
        let is_number = !first.is_empty() && first.as_bytes().iter().all(u8::is_ascii_digit);
        let text = first.to_str().unwrap_or_default();
        let declared = text.parse().ok().filter(|_| is_one && is_number);
        let known = self.inner().body().size_hint().exact();
        // The answer to a HEAD may declare what it does not have.
        let is_absent = method == Method::HEAD && known == Some(0);
        if declared.is_none() || !is_absent && known.is_some_and(|known| declared != Some(known)) {
            self.fail("header `content-length` disagrees with the content; leave it out");
        }
    }
}

/// What HTTP calls a response with content, even if that is empty.
#[inline]
pub(crate) fn may_have_content(status: StatusCode) -> bool {
    !matches!(
        status,
        StatusCode::SWITCHING_PROTOCOLS
            | StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::NOT_MODIFIED
    )
}

/// Why a response cannot be sent. Boxed, so that the others carry one word about.
struct Fault(String);

impl Default for Response {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.inner().status())
            .field("headers", self.inner().headers())
            .field("body", self.inner().body())
            .field("tasks", &self.tasks)
            .finish_non_exhaustive()
    }
}
