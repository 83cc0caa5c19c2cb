//! A request: its head, its path parameters, and what it knows of its connection and its app.

use std::{any::type_name, fmt, net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderMap, Method, Uri, Version, header::AsHeaderName};

use super::source::{Source, Unreadable};
use crate::{
    background::{Background, Peer},
    error::{Error, HttpError, Result},
    message::{
        body::Body,
        context::{RequestSettings, StateMap, Transport},
        params::{FromParam, Params},
    },
    sent::Connection,
    server::{detach, limits::Limits},
};

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
    pub(super) body: Source,
    /// What reads the body was dropped before its end, or reads it now.
    pub(super) is_lost: bool,
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

    /// A request without an app, for unit tests of views: no path parameters, no state.
    pub(crate) fn without_app(request: http::Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let settings = RequestSettings::new(StateMap::default(), &Limits::default());
        let transport = Transport::Service(Arc::new(settings));
        Self::new(head, Source::Body(body), Params::default(), transport)
    }

    /// The body, as it is to be read once.
    pub(super) fn take_body(&mut self) -> Source {
        if self.is_lost {
            return Source::Unreadable(Unreadable::Lost);
        }
        let busy = self.transport.conn().map(|conn| conn.connection.busy());
        self.body.take(busy)
    }

    pub(super) fn body_limit(&self) -> usize {
        self.transport.settings().body_limit
    }

    pub(super) fn body_timeout(&self) -> Duration {
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
            None => self.peer()?.addr,
        }
    }

    /// The connection of our own server, as a service around the app knows it.
    fn peer(&self) -> Option<&Peer> {
        self.extensions().get::<Background>()?.peer()
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
            None => Some(&self.peer()?.connection),
        }
    }

    /// Returns whether the app's server is to end: for a view that tells a load balancer whether the
    /// server is ready. See [`App::shutdown_delay`](crate::App::shutdown_delay).
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.transport.settings().end.is_announced()
    }
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
