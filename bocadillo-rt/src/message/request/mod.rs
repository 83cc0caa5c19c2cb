//! What the client asks.

mod content_type;
#[cfg(feature = "cookie")]
mod cookies;
mod form;
#[cfg(feature = "multipart")]
mod form_data;
#[cfg(feature = "multipart")]
mod multipart;
mod query;
mod source;
mod stream;

use std::{
    any::type_name,
    fmt,
    future::poll_fn,
    mem,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Uri, Version, header::AsHeaderName};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::{Sleep, sleep};

use crate::{
    error::{Error, HttpError, Result},
    message::{
        body::Body,
        context::{ClientAddr, RequestSettings, StateMap, Transport},
        params::{FromParam, Params},
    },
    sent::Connection,
    server::{detach, limits::Limits},
};

#[cfg(feature = "multipart")]
pub use self::form_data::{FormData, FormFile};
#[cfg(feature = "multipart")]
pub use self::multipart::{Field, Multipart};
use self::source::Gone;
pub(crate) use self::source::Source;
pub use self::stream::BodyStream;

/// A request, as a view reads it.
///
/// # Examples
///
/// A view that reads JSON, called by a unit test without any server:
///
/// ```
/// use bocadillo::{Request, Response, testing};
///
/// async fn greet(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
///     let name: String = req.json().await?;
///     res.text(format!("hello {name}"));
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
/// let request = http::Request::post("/greet").body("\"Ada\"".into())?;
/// let mut res = testing::response();
/// greet(&mut testing::request(request), &mut res).await?;
/// assert_eq!(res.status_code(), 200);
/// # Ok(()) }
/// ```
pub struct Request {
    /// Split: to map the body of a whole one moves it twice.
    head: http::request::Parts,
    body: Source,
    /// What reads the body was dropped before its end, or reads it now.
    is_lost: bool,
    params: Params,
    transport: Transport,
}

impl Request {
    #[inline(always)]
    pub(crate) fn new(
        head: http::request::Parts,
        body: Source,
        params: Params,
        transport: Transport,
    ) -> Self {
        Self {
            head,
            body,
            is_lost: false,
            params,
            transport,
        }
    }

    /// The body, as it is to be read once.
    fn take_body(&mut self) -> Source {
        if self.is_lost {
            return Source::Gone(Gone::Lost);
        }
        let busy = self.transport.conn().map(|conn| conn.connection.busy());
        self.body.take(busy)
    }

    fn body_limit(&self) -> usize {
        self.transport.settings().body_limit
    }

    fn body_timeout(&self) -> Duration {
        self.transport.settings().body_timeout
    }

    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// Returns the URI, as the client sent it.
    #[must_use]
    #[doc(alias = "url")]
    pub fn uri(&self) -> &Uri {
        &self.head.uri
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// Returns the version of HTTP.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Returns the first value of a header, if there is one and it is text.
    #[must_use]
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// Returns the address of the client's end of the connection, where there is one.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        match self.transport.conn() {
            Some(conn) => conn.addr,
            // Layers around the app, or another app, are between it and the connection.
            None => self.extensions().get::<ClientAddr>().map(|addr| addr.0),
        }
    }

    /// Returns what middleware has left.
    #[must_use]
    pub fn extensions(&self) -> &http::Extensions {
        &self.head.extensions
    }

    /// Converts the path parameter `name`.
    ///
    /// # Errors
    ///
    /// A 400 with the reason if it does not convert; a 500 if the route has no such parameter.
    #[doc(alias = "path_params")]
    pub fn param<T: FromParam>(&self, name: &str) -> Result<T> {
        let text = self.params.get(self.path(), name).ok_or_else(|| {
            Error::msg(format!("the path of this route has no parameter `{name}`"))
        })?;
        let text = text.map_err(|reason| HttpError::new(400).detail(reason))?;
        T::from_param(&text).map_err(|reason| {
            let detail = serde_json::json!({ name: reason });
            HttpError::new(400).detail(detail).into()
        })
    }

    /// Returns the app's state of this type.
    ///
    /// # Errors
    ///
    /// An error that says so, a 500, if [`App::state`](crate::App::state) was not given one.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<&T> {
        self.transport.settings().states.get().ok_or_else(|| {
            let name = type_name::<T>();
            Error::msg(format!(
                "the app has no state of type `{name}`; add it by `App::state`"
            ))
        })
    }

    /// Returns whether the client has left while the view still runs; it is known within a second.
    ///
    /// A client that closes only its sending direction has left too, unless
    /// [`Limits::half_close`](crate::Limits::half_close) says otherwise. A client whose connection broke
    /// without a word is missed after the time of [`Limits::keep_alive`](crate::Limits::keep_alive).
    ///
    /// What it has sent before can still be read, if it is an upload of HTTP/1.
    ///
    /// On HTTP/1 it is not known as long as more than 1 MiB waits of what the client has sent and nobody
    /// has read, an upload or further requests: its end comes behind that. Within a server that is not this
    /// one it is known only where that drops the view's future.
    #[must_use]
    #[doc(alias = "disconnected")]
    pub fn is_disconnected(&self) -> bool {
        detach::is_detached() || self.connection().is_some_and(Connection::has_left)
    }

    fn connection(&self) -> Option<&Connection> {
        match self.transport.conn() {
            Some(conn) => Some(&conn.connection),
            None => self.extensions().get(),
        }
    }

    /// Returns whether the app's server is to end: for a view that tells a load balancer whether the
    /// server is ready. See [`App::shutdown_delay`](crate::App::shutdown_delay).
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.transport.settings().end.is_announced()
    }

    /// Reads the whole body; again returns the same.
    ///
    /// # Errors
    ///
    /// A 413 if it is longer than the limit (2 MiB), a 400 if the client cut it off, a 408 if its next
    /// part does not come for 30 s ([`Limits`](crate::Limits) have both); an error that says
    /// so, a 500, if it was taken as a stream or a form with files before.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was read by a future that is dropped is lost.
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
        if let Some(why) = self.as_gone() {
            return Err(gone(why, limit));
        }
        let mut read = Collected::Nothing;
        let mut timer = None;
        // Unless this comes to its end.
        self.is_lost = true;
        let end = poll_fn(|cx| self.poll_read(cx, &mut read, &mut timer, limit)).await;
        self.is_lost = false;
        end.map_err(|why| {
            self.body = Source::Gone(why);
            gone(why, limit)
        })
    }

    #[inline]
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        read: &mut Collected,
        timer: &mut Option<Pin<Box<Sleep>>>,
        limit: usize,
    ) -> Poll<Result<Bytes, Gone>> {
        if self.body.at_least() > limit as u64 {
            return Poll::Ready(Err(Gone::TooLong));
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
                return Poll::Ready(Err(Gone::TooLong));
            }
            if self.body.has_ended() && matches!(read, Collected::Nothing) {
                return Poll::Ready(Ok(data));
            }
            read.push(data);
        }
        Poll::Ready(Ok(mem::take(read).into()))
    }

    fn as_gone(&self) -> Option<Gone> {
        self.body.as_gone().or(self.is_lost.then_some(Gone::Lost))
    }

    /// Reads the body as text.
    ///
    /// # Errors
    ///
    /// As [`body`](Self::body), and a 400 if it is not UTF-8.
    pub async fn text(&mut self) -> Result<String> {
        let bytes = self.body().await?;
        let text = String::from_utf8(bytes.into());
        text.map_err(|_| HttpError::new(400).detail("The body is not UTF-8.").into())
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// As [`body`](Self::body); a 415 if its content type says that it is something else, and a 400
    /// with the place of the mistake if it does not parse.
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

/// Pending while there is time to wait for the next part of a body. Most are there: a timer is made
/// when one is not.
#[cold]
fn wait(timer: &mut Option<Pin<Box<Sleep>>>, limit: Duration, cx: &mut Context<'_>) -> Poll<Gone> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep(limit)));
    timer.as_mut().poll(cx).map(|()| Gone::Late)
}

/// A body as far as it has come. Most are one frame, which need not be copied.
#[derive(Default)]
enum Collected {
    #[default]
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Collected {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(data) => data.len(),
            Self::Many(all) => all.len(),
        }
    }

    fn push(&mut self, data: Bytes) {
        *self = match mem::take(self) {
            Self::Nothing => Self::One(data),
            Self::One(first) => Self::add(first.into(), &data),
            Self::Many(all) => Self::add(all, &data),
        };
    }

    fn add(mut all: BytesMut, data: &[u8]) -> Self {
        all.extend_from_slice(data);
        Self::Many(all)
    }
}

impl From<Collected> for Bytes {
    fn from(read: Collected) -> Self {
        match read {
            Collected::Nothing => Self::new(),
            Collected::One(data) => data,
            Collected::Many(all) => all.freeze(),
        }
    }
}

impl Request {
    /// A request without an app, for unit tests of views: no path parameters, no state.
    pub(crate) fn without_app(request: http::Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let settings = RequestSettings::new(StateMap::default(), &Limits::default());
        let transport = Transport::Service(Arc::new(settings));
        Self::new(head, Source::Body(body), Params::default(), transport)
    }
}

/// Why a body cannot be read.
#[cold]
fn gone(why: Gone, limit: usize) -> Error {
    match why {
        Gone::Taken => Error::msg(
            "the request's body was taken by `stream` or `multipart` before; read it by `body` \
             first, which can be done again",
        ),
        Gone::Lost => Error::msg(
            "the request's body was lost: the future that read it was dropped before its end",
        ),
        Gone::TooLong => too_long(limit),
        Gone::TooLongForLayer => {
            let detail = "The body is longer than a layer around the app allows.";
            HttpError::new(413).detail(detail).into()
        }
        Gone::Late => HttpError::new(408).detail("The body took too long.").into(),
        Gone::Cut => HttpError::new(400).detail("The body was cut off.").into(),
    }
}

fn too_long(limit: usize) -> Error {
    let detail = format!("The body is longer than {limit} bytes.");
    HttpError::new(413).detail(detail).into()
}

/// Parses once more, to say where the mistake is.
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
                // At the top, or before it was clear where.
                "." | "?" => format!("JSON is {what}: {}", error.inner()),
                path => format!("JSON is {what} at `{path}`: {}", error.inner()),
            }
        }
        // What comes after it.
        Ok(_) => match json.end() {
            Err(error) => format!("JSON is malformed: {error}"),
            Ok(()) => "JSON is malformed.".to_owned(),
        },
    };
    HttpError::new(400).detail(detail).into()
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("uri", self.uri())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}
