//! Forms without files.

use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;

use super::head::Request;
use crate::error::{HttpError, Result};

impl Request {
    /// Reads the body as a form: a struct with a field for each field of the form.
    ///
    /// A form with files is read by `multipart`, which needs the feature of that name.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`body`](Self::body), a 415 if the content type is not
    /// `application/x-www-form-urlencoded`, and a 400 with the reason if the form does not parse.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Request, Response, testing::Client};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Login {
    ///     name: String,
    /// }
    ///
    /// async fn login(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    ///     let login: Login = req.form().await?;
    ///     res.text(format!("hello {}", login.name));
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let client = Client::new(App::new().add("/login", &["post"], login));
    /// let form = "application/x-www-form-urlencoded";
    /// let request = client.post("/login").header("content-type", form).body("name=Ada+L.");
    /// assert_eq!(request.await.text(), "hello Ada L.");
    /// # }
    /// ```
    pub async fn form<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.expect_essence("application/x-www-form-urlencoded")?;
        let body = self.body().await?;
        parse(&body, "form")
    }
}

/// Parses urlencoded text. `what` names the text in the error's detail.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8], what: &str) -> Result<T> {
    let bad = |reason: &dyn std::fmt::Display| {
        let detail = format!("The {what} is malformed: {reason}");
        HttpError::new(400).detail(detail).into()
    };
    // The parser would replace bytes that are not UTF-8.
    if percent_decode(text).decode_utf8().is_err() {
        return Err(bad(&"it is not UTF-8"));
    }
    let pairs = serde_html_form::Deserializer::from_bytes(text);
    serde_path_to_error::deserialize(pairs).map_err(|error| bad(&error))
}
