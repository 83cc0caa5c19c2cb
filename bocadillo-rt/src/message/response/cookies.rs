//! The cookies that a response sets.

use cookie::Cookie;
use http::{HeaderName, HeaderValue, header::SET_COOKIE};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::build::Response;

/// The characters that RFC 6265 excludes, and those that the `cookie` crate encodes as well.
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
    /// Sets a cookie, and keeps those that were set before. The value is percent-encoded. The name
    /// is sent as it is.
    ///
    /// A pair of name and value is a cookie; a [`Cookie`] has all attributes. A name that is no
    /// HTTP token is a fault, and so is an attribute that a header cannot have, such as a path with
    /// a line break: the client gets a 500.
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
        // The syntax of a cookie's name is that of a header's name.
        if HeaderName::try_from(cookie.name()).is_err() {
            let name = cookie.name();
            self.fail(format!("invalid cookie name `{name}`"));
            return;
        }
        let value = utf8_percent_encode(cookie.value(), NOT_IN_A_VALUE).to_string();
        cookie.set_value(value);
        match HeaderValue::try_from(cookie.to_string()) {
            Ok(value) => drop(self.head.headers.append(SET_COOKIE, value)),
            Err(_) => self.fail(format!(
                "invalid character in the cookie `{}`",
                cookie.name()
            )),
        }
    }

    /// Tells the client to forget a cookie. Path and domain must be those with which the cookie was
    /// set.
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
