//! Cookies that the client is to keep.

use cookie::Cookie;
use http::{HeaderName, HeaderValue, header::SET_COOKIE};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::build::Response;

/// RFC 6265, and what the `cookie` crate encodes besides.
const NOT_IN_A_VALUE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'(')
    .add(b')')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

impl Response {
    /// Sends a cookie, beside those that are sent already; its value is percent-encoded, its name is
    /// sent as it is.
    ///
    /// A pair of name and value is a cookie; [`Cookie`] has the rest. What cannot be in a header, as
    /// a path with a line break, is a fault, and so is a name that HTTP has not, as one with a blank:
    /// the client gets a 500.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{cookie::{Cookie, SameSite}, testing};
    ///
    /// let mut res = testing::response();
    /// res.cookie(("theme", "dark"));
    /// res.cookie(Cookie::build(("session", "7f")).path("/").http_only(true).same_site(SameSite::Lax));
    /// assert_eq!(res.headers().get_all("set-cookie").iter().count(), 2);
    /// ```
    #[doc(alias = "set_cookie")]
    #[cfg_attr(docsrs, doc(cfg(feature = "cookie")))]
    pub fn cookie(&mut self, cookie: impl Into<Cookie<'static>>) {
        let mut cookie = cookie.into();
        // A token, as the name of a header.
        if HeaderName::try_from(cookie.name()).is_err() {
            let name = cookie.name();
            self.fail(format!("`{name}` is no name of a cookie"));
            return;
        }
        let value = utf8_percent_encode(cookie.value(), NOT_IN_A_VALUE).to_string();
        cookie.set_value(value);
        match HeaderValue::try_from(cookie.to_string()) {
            Ok(value) => drop(self.head.headers.append(SET_COOKIE, value)),
            Err(_) => self.fail(format!(
                "the cookie `{}` has what is not allowed in a header",
                cookie.name()
            )),
        }
    }

    /// Tells the client to forget a cookie; path and domain must be those that it was sent with.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{cookie::Cookie, testing};
    ///
    /// let mut res = testing::response();
    /// res.remove_cookie(Cookie::build("session").path("/"));
    /// assert!(res.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    /// ```
    #[doc(alias = "delete_cookie")]
    #[cfg_attr(docsrs, doc(cfg(feature = "cookie")))]
    pub fn remove_cookie(&mut self, cookie: impl Into<Cookie<'static>>) {
        let mut cookie = cookie.into();
        cookie.make_removal();
        self.cookie(cookie);
    }
}
