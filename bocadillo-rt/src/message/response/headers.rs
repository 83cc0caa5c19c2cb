//! The headers of a response.

use std::fmt::{self, Write as _};

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_DISPOSITION, LOCATION},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::{build::Response, location};
use crate::sent::framing;

/// RFC 8187 allows letters, digits and a few marks.
const NOT_IN_A_PARAMETER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Response {
    /// Redirects the client by a 302. For another kind of redirect, set the status afterwards: 301
    /// and 308 are permanent, 303 makes the next request a GET, and 307 and 308 keep the method and
    /// the body.
    ///
    /// Characters that a URL cannot have, such as blanks and letters beyond ASCII, are
    /// percent-encoded. Existing escapes stay. A `\` is encoded too, because browsers treat it as
    /// `/`, and `/\evil.example` as another host. A line break, or another control character, is a
    /// fault.
    ///
    /// Check a target that comes from the client: `//evil.example` is a valid URL.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut res = bocadillo::testing::response();
    /// res.redirect("/über?q=a b&r=%20");
    /// assert_eq!(res.headers()["location"], "/%C3%BCber?q=a%20b&r=%20");
    /// ```
    #[doc(alias = "Redirect")]
    pub fn redirect(&mut self, location: impl AsRef<str>) {
        self.status(StatusCode::FOUND);
        self.header(LOCATION, location::encoded(location.as_ref()));
    }

    /// Asks the client to save the content under this name, which may be any text.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut res = bocadillo::testing::response();
    /// res.bytes(vec![1, 2, 3]);
    /// res.attachment(format!("{}.bin", "señal"));
    /// assert_eq!(
    ///     res.headers()["content-disposition"],
    ///     "attachment; filename=\"se_al.bin\"; filename*=UTF-8''se%C3%B1al.bin",
    /// );
    /// ```
    pub fn attachment(&mut self, file_name: impl AsRef<str>) {
        let file_name = file_name.as_ref();
        // The first form is for old clients, which do not know the second. `_` replaces what it
        // cannot have.
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

    /// Sets a header, and replaces all values of that name.
    ///
    /// An invalid name or value is a fault: the client gets a 500, and the log names the header.
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
            self.fail(format!("invalid header name {name:?}"));
            return;
        };
        self.may_frame |= framing::frames(&name);
        match value.try_into() {
            Ok(value) => set(&mut self.head.headers, name, value),
            Err(_) => self.fail(format!("invalid value for the header `{name}`")),
        }
    }

    /// Adds a header, and keeps the values of that name.
    ///
    /// An invalid name or value is a fault, as with [`header`](Self::header).
    pub fn append_header<N, V>(&mut self, name: N, value: V)
    where
        N: TryInto<HeaderName> + fmt::Debug + Clone,
        V: TryInto<HeaderValue>,
    {
        self.with_header(name, value, |headers, name, value| {
            headers.append(name, value);
        });
    }

    /// Returns the headers that are set.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Returns the headers, so that a view can add or remove some.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.may_frame = true;
        &mut self.head.headers
    }
}
