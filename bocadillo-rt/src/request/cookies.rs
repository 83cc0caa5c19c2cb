//! Cookies that the client sent.

use cookie::Cookie;
use http::header::COOKIE;

use super::Request;

impl Request {
    /// Returns a cookie by its name. One that is malformed is as if it were not there.
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

    /// Returns all cookies, percent-decoded. Those that are malformed are left out.
    #[cfg_attr(docsrs, doc(cfg(feature = "cookie")))]
    pub fn cookies(&self) -> impl Iterator<Item = Cookie<'_>> {
        let headers = self.headers().get_all(COOKIE).iter();
        // HTTP/2 may send each in a header of its own.
        headers
            .filter_map(|header| header.to_str().ok())
            .flat_map(Cookie::split_parse_encoded)
            .filter_map(Result::ok)
    }
}
