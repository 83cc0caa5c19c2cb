//! The query of a request: the part of its URI after the `?`.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::{form, head::Request};
use crate::error::Result;

impl Request {
    /// Returns the query as the client sent it, without the `?`. It is empty if there is none.
    #[must_use]
    #[doc(alias = "query_string")]
    pub fn raw_query(&self) -> &str {
        self.uri().query().unwrap_or_default()
    }

    /// Reads the query as a value: a struct with a field for each parameter. An `Option` is a
    /// parameter that may be missing, a `Vec` one that may be repeated.
    ///
    /// # Errors
    ///
    /// Returns a 400 with the reason if the query does not parse.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Request, Response, testing::Client};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Page {
    ///     page: u32,
    ///     #[serde(default)]
    ///     tag: Vec<String>,
    /// }
    ///
    /// async fn orders(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    ///     let query: Page = req.query()?;
    ///     res.text(format!("page {} of {:?}", query.page, query.tag));
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let client = Client::new(App::new().add("/orders", &["get"], orders));
    /// let response = client.get("/orders?page=2&tag=new&tag=gift").await;
    /// assert_eq!(response.text(), r#"page 2 of ["new", "gift"]"#);
    /// assert_eq!(client.get("/orders?page=two").await.status(), 400);
    /// # }
    /// ```
    pub fn query<T: DeserializeOwned>(&self) -> Result<T> {
        form::parse(self.raw_query().as_bytes(), "query")
    }

    /// Returns the first value of a query parameter, decoded. Bytes that are not UTF-8 become `�`.
    #[must_use]
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_params()
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Returns all query parameters in their order, decoded. Bytes that are not UTF-8 become `�`.
    pub fn query_params(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.raw_query().as_bytes())
    }
}
