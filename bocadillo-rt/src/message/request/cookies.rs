//! The cookies that the client has sent.

use cookie::Cookie;
use http::header::COOKIE;
use percent_encoding::percent_decode;

use super::head::Request;

impl Request {
    /// Returns the first cookie of this name. Names are compared without decoding. A malformed
    /// cookie is ignored.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Request, Response, testing::Client};
    ///
    /// async fn theme(req: &mut Request, res: &mut Response) {
    ///     let theme = req.cookie("theme").map_or("light".to_owned(), |it| it.value().to_owned());
    ///     res.cookie(("theme", theme.clone()));
    ///     res.text(theme);
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let client = Client::new(App::new().add("/", &["get"], theme));
    /// let response = client.get("/").header("cookie", "theme=dark").await;
    /// assert_eq!(response.text(), "dark");
    /// assert_eq!(response.headers()["set-cookie"], "theme=dark");
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "cookie")))]
    pub fn cookie(&self, name: &str) -> Option<Cookie<'_>> {
        self.cookies().find(|cookie| cookie.name() == name)
    }

    /// Returns all cookies. Values are percent-decoded. Names are not: the guarantees that browsers
    /// give for names such as `__Host-session` are about the name as it was sent.
    ///
    /// Each cookie that is malformed or not UTF-8 is left out.
    #[cfg_attr(docsrs, doc(cfg(feature = "cookie")))]
    pub fn cookies(&self) -> impl Iterator<Item = Cookie<'_>> {
        // HTTP/2 may send each cookie in a header of its own.
        let fields = self.headers().get_all(COOKIE).iter();
        fields
            .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
            .filter_map(parse)
    }
}

/// Parses one pair of a `cookie` header.
fn parse(pair: &[u8]) -> Option<Cookie<'_>> {
    let mid = pair.iter().position(|byte| *byte == b'=')?;
    let name = std::str::from_utf8(pair[..mid].trim_ascii()).ok()?;
    let value = percent_decode(pair[mid + 1..].trim_ascii());
    let value = value.decode_utf8().ok()?;
    (!name.is_empty()).then(|| Cookie::new(name, value))
}
