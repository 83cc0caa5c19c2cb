//! A response, as a view builds it: its status, its content and its tasks.

use std::{fmt, mem};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
        CONTENT_TYPE, ETAG, LAST_MODIFIED,
    },
};
use serde::Serialize;

use super::chunks::IntoChunks;
use crate::{
    background::{IntoTask, Registrations},
    message::{
        body::Body,
        contain::{Contained, ViewName},
    },
    sent::SentBody,
};

// Constants: the compiler checks their bytes, and not each response.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A response, as a view builds it, with the tasks that run after it.
///
/// The last content setter wins. Setters return nothing. A value that cannot be sent, such as an
/// invalid header name, becomes a 500 and a line in the log, and the tasks still run.
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
    /// Three fields rather than one `http::Response`: smaller values are moved by fewer
    /// instructions.
    pub(crate) head: http::response::Parts,
    pub(crate) body: SentBody<Body>,
    pub(crate) tasks: Registrations,
    /// The view may have set a header that frames the message, so the framing must be checked.
    pub(super) may_frame: bool,
    /// Some headers describe a file. They must go when other content is set.
    pub(super) is_file: bool,
    /// The content is a stream of events, which ends with the server.
    pub(super) is_endless: bool,
    /// Set if the content is a user's own body, which may fail. The body gets the view's name from
    /// here.
    pub(super) own_body: Option<ViewName>,
    /// The reason why the response cannot be sent as it is.
    pub(super) fault: Option<Box<Fault>>,
}

impl Response {
    /// Creates an empty response with status 200.
    ///
    /// Only the server and the test kit call this. A view cannot create a response, so it cannot
    /// exchange its own one, and the tasks in it, for another.
    pub(crate) fn new() -> Self {
        let (head, ()) = http::Response::new(()).into_parts();
        Self {
            head,
            body: SentBody::plain(Body::empty()),
            tasks: Registrations::default(),
            may_frame: false,
            is_file: false,
            is_endless: false,
            own_body: None,
            fault: None,
        }
    }

    /// Registers a task that starts when this response has been sent.
    ///
    /// The task replaces every task registered before, as in the original: only the latest one
    /// runs. [`add_background`](Self::add_background) keeps the earlier ones.
    ///
    /// The task also runs if the view returns an error or panics afterwards, and if the client
    /// leaves. [`background::current`](crate::background::current) tells the task what became of
    /// the response.
    #[track_caller]
    pub fn background(&mut self, task: impl IntoTask) {
        self.tasks.replace(task.into_task()).log();
    }

    /// Registers a task and keeps those registered before. All of them run, concurrently.
    #[track_caller]
    pub fn add_background(&mut self, task: impl IntoTask) {
        self.tasks.add(task.into_task()).log();
    }

    /// Sets the status. A number outside 100 to 999 is a fault: the client gets a 500.
    #[doc(alias = "status_code")]
    pub fn status(&mut self, status: impl TryInto<StatusCode>) {
        match status.try_into() {
            Ok(status)
                if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS =>
            {
                self.fail(format!(
                    "status {status} is informational; set a final status"
                ));
            }
            Ok(status) => self.head.status = status,
            Err(_) => self.fail("invalid status; expected 100 to 999"),
        }
    }

    /// Returns the status.
    #[must_use]
    pub fn status_code(&self) -> StatusCode {
        self.head.status
    }

    /// Sets this text as the content, with the type `text/plain; charset=utf-8`.
    pub fn text(&mut self, text: impl Into<Bytes>) {
        self.content(TEXT, text.into().into());
    }

    /// Sets this HTML as the content, with the type `text/html; charset=utf-8`.
    pub fn html(&mut self, html: impl Into<Bytes>) {
        self.content(HTML, html.into().into());
    }

    /// Sets this value, as JSON, as the content. A value that cannot become JSON is a fault.
    #[doc(alias = "media")]
    pub fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.content(JSON, bytes.into()),
            Err(error) => self.fail(format!("cannot serialize the content as JSON: {error}")),
        }
    }

    /// Sets these bytes as the content, with the type `application/octet-stream`.
    #[doc(alias = "content")]
    pub fn bytes(&mut self, bytes: impl Into<Bytes>) {
        self.content(OCTETS, bytes.into().into());
    }

    /// Sets a stream of chunks (bytes, vectors, strings) as the content. Its type is text, unless
    /// the header `content-type` is set afterwards. The receiver of a tokio channel is such a
    /// stream.
    ///
    /// If the stream yields an error or panics, the chunks before are sent. Then the response is
    /// cut off, and the log has the error with the view's name.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Request, Response, testing::Client};
    /// use tokio::sync::mpsc;
    ///
    /// async fn count(_req: &mut Request, res: &mut Response) {
    ///     let (tx, rx) = mpsc::channel(1);
    ///     tokio::spawn(async move {
    ///         for number in 1..=3 {
    ///             // The client may have left.
    ///             let _ = tx.send(format!("{number}\n")).await;
    ///         }
    ///     });
    ///     res.stream(rx);
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let client = Client::new(App::new().add("/", &["get"], count));
    /// assert_eq!(client.get("/").await.text(), "1\n2\n3\n");
    /// # }
    /// ```
    pub fn stream<S, Kind>(&mut self, stream: S)
    where
        S: IntoChunks<Kind, Chunk: Into<Bytes>>,
    {
        let body = self.contained(Body::from_stream(stream.into_chunks()));
        self.content(TEXT, body);
    }

    /// Sets any body as the content. The content type is not set.
    ///
    /// If the body yields an error or panics, the chunks before are sent. Then the response is cut
    /// off, and the log has the error with the view's name.
    pub fn body(&mut self, body: Body) {
        self.own_body = None;
        let body = self.contained(body);
        *self.body_mut() = body;
    }

    /// Wraps a user's body so that its failures end the body and nothing else.
    pub(super) fn contained(&mut self, body: Body) -> Body {
        if body.is_plain() {
            return body;
        }
        let view = self.own_body.get_or_insert_default().clone();
        Body::new(Contained::new(body, view))
    }

    /// Prepares the body for hyper: chunks that precede a failure are written before hyper sees the
    /// failure.
    pub(crate) fn hand_to_hyper(&mut self) {
        if let Some(view) = self.own_body.take() {
            let body = mem::take(self.body_mut());
            // The view may have replaced its own body by plain bytes.
            *self.body_mut() = if body.is_plain() {
                body
            } else {
                Body::new(Contained::outermost(body, view))
            };
        }
    }

    #[inline(always)]
    pub(super) fn content(&mut self, content_type: HeaderValue, body: Body) {
        if self.is_file {
            self.forget_content();
        }
        self.is_endless = false;
        self.head.headers.insert(CONTENT_TYPE, content_type);
        self.body_mut().replace(body);
    }

    /// Removes the headers that describe the content, because other content is sent.
    #[cold]
    pub(super) fn forget_content(&mut self) {
        self.is_file = false;
        let headers = &mut self.head.headers;
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

    #[cold]
    pub(super) fn fail(&mut self, fault: impl Into<String>) {
        self.fault
            .get_or_insert_with(|| Box::new(Fault(fault.into())));
    }

    #[inline]
    pub(crate) fn tasks_mut(&mut self) -> &mut Registrations {
        &mut self.tasks
    }

    pub(super) fn body_mut(&mut self) -> &mut Body {
        self.body.get_mut()
    }

    /// Returns the parts that tracking changes.
    pub(crate) fn tracked_mut(&mut self) -> (&mut HeaderMap, &mut SentBody<Body>) {
        (&mut self.head.headers, &mut self.body)
    }

    #[inline(always)]
    pub(crate) fn into_inner(self) -> http::Response<SentBody<Body>> {
        http::Response::from_parts(self.head, self.body)
    }
}

/// The reason why a response cannot be sent. It is boxed, so that most responses carry only one
/// word.
pub(super) struct Fault(pub(super) String);

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.head.status)
            .field("headers", &self.head.headers)
            .field("body", &self.body)
            .field("tasks", &self.tasks)
            .finish_non_exhaustive()
    }
}
