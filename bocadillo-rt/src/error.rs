//! The errors of views.

use std::{error::Error as StdError, fmt};

use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::guard::guarded;

/// Any error, on the heap.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The result of a view.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of a view.
///
/// `?` converts every `std::error::Error` into it. For that reason it does not implement
/// `std::error::Error` itself. An [`HttpError`] keeps its status. Any other error is a 500: the
/// client gets no detail, and the log has the whole chain of causes. The 500 is plain text, as in
/// the original; [`App::on_any_error`](crate::App::on_any_error) changes that.
///
/// # Examples
///
/// ```
/// use bocadillo::HttpError;
///
/// fn parse(text: &str) -> bocadillo::Result<u32> {
///     Ok(text.parse()?)
/// }
///
/// fn find(id: u32) -> bocadillo::Result<&'static str> {
///     if id == 7 { Ok("seven") } else { Err(HttpError::new(404).into()) }
/// }
///
/// assert_eq!(parse("x").unwrap_err().status(), 500);
/// assert_eq!(find(8).unwrap_err().status(), 404);
/// ```
pub struct Error(BoxError);

impl Error {
    /// Creates an error from a message.
    #[must_use]
    pub fn msg(message: impl Into<String>) -> Self {
        Self(message.into().into())
    }

    /// Creates an error from one on the heap, which `?` cannot convert.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{BoxError, Error};
    ///
    /// fn parse(text: &str) -> Result<u32, BoxError> {
    ///     Ok(text.parse()?)
    /// }
    ///
    /// fn double(text: &str) -> bocadillo::Result<u32> {
    ///     Ok(2 * parse(text).map_err(Error::from_boxed)?)
    /// }
    ///
    /// assert_eq!(double("x").unwrap_err().to_string(), "invalid digit found in string");
    /// ```
    #[must_use]
    pub fn from_boxed(error: BoxError) -> Self {
        Self(error)
    }

    /// Returns the status that the client gets.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.as_http()
            .map_or(StatusCode::INTERNAL_SERVER_ERROR, HttpError::status)
    }

    /// Returns a reference to the inner error if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: StdError + 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }

    /// Returns the inner error.
    #[must_use]
    pub fn into_inner(self) -> BoxError {
        self.0
    }

    pub(crate) fn as_http(&self) -> Option<&HttpError> {
        self.downcast_ref()
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl From<Error> for BoxError {
    fn from(error: Error) -> Self {
        error.0
    }
}

/// Writes the error and its causes on one line.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Chain(&*self.0).fmt(f)
    }
}

/// Writes the same as [`Display`](fmt::Display), for the output of `fn main() ->
/// bocadillo::Result<()>`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Displays an error with its causes.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut error = self.0;
        while let Some(cause) = error.source() {
            write!(f, ": {cause}")?;
            error = cause;
        }
        Ok(())
    }
}

/// Describes an error with its causes, and drops it. Both call the error's own code, which may
/// panic.
///
/// # Errors
///
/// Returns the message of such a panic.
#[cold]
pub(crate) fn describe(error: BoxError) -> Result<String, String> {
    guarded(|| {
        let text = Chain(&*error).to_string();
        drop(error);
        text
    })
}

/// An error with a status.
///
/// The client gets it as JSON: `{"error": "404 Not Found", "status": 404}`, with `"detail"` if the
/// error has one. It is [`Serialize`] in this form, so that an error handler may call
/// `res.json(error)`.
///
/// # Examples
///
/// ```
/// use bocadillo::HttpError;
///
/// let error = HttpError::new(409).detail("the order was shipped");
/// assert_eq!(error.to_string(), "409 Conflict: the order was shipped");
/// assert_eq!(error.get_detail().and_then(|it| it.as_str()), Some("the order was shipped"));
/// assert_eq!(HttpError::from(http::StatusCode::NOT_FOUND), HttpError::new(404));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "HTTPError")]
pub struct HttpError {
    status: StatusCode,
    detail: Option<serde_json::Value>,
}

impl HttpError {
    /// Creates an error with this status. A number outside 100 to 999 becomes 500.
    #[must_use]
    pub fn new(status: impl TryInto<StatusCode>) -> Self {
        let status = status
            .try_into()
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            detail: None,
        }
    }

    /// Sets the detail that the client gets: any value that becomes JSON.
    /// [`get_detail`](Self::get_detail) returns it.
    ///
    /// A value that cannot become JSON, such as a map whose keys are no strings, is ignored.
    #[must_use]
    pub fn detail(mut self, detail: impl Serialize) -> Self {
        self.detail = serde_json::to_value(detail).ok();
        self
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the detail that the client gets, as JSON. In most cases it is a string.
    #[must_use]
    pub fn get_detail(&self) -> Option<&serde_json::Value> {
        self.detail.as_ref()
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Serializes the JSON that the client gets.
impl Serialize for HttpError {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Json<'a> {
            error: String,
            status: u16,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a serde_json::Value>,
        }

        let json = Json {
            error: Title(self.status).to_string(),
            status: self.status.as_u16(),
            detail: self.detail.as_ref(),
        };
        json.serialize(serializer)
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Title(self.status))?;
        match &self.detail {
            None => Ok(()),
            Some(serde_json::Value::String(text)) => write!(f, ": {text}"),
            Some(detail) => write!(f, ": {detail}"),
        }
    }
}

impl StdError for HttpError {}

/// Creates an error without a detail.
impl From<StatusCode> for HttpError {
    fn from(status: StatusCode) -> Self {
        Self::new(status)
    }
}

/// Displays a status as `404 Not Found`.
pub(crate) struct Title(pub(crate) StatusCode);

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_u16())?;
        self.0
            .canonical_reason()
            .map_or(Ok(()), |reason| write!(f, " {reason}"))
    }
}
