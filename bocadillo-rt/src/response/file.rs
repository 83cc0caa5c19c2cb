//! Files as content.

use std::path::Path;

use http::{
    Method, StatusCode,
    header::{CONTENT_TYPE, IF_RANGE, RANGE},
};
use tower_http::services::ServeFile;
use tower_service::Service as _;

use super::Response;
use crate::{
    body::Body,
    error::{HttpError, Result},
    request::Request,
};

impl Response {
    /// Makes a file the content: with its type by its extension, `ETag` and `Last-Modified`, and so
    /// 304 where the client has it already, and 206 where it asks for a part.
    ///
    /// A status that the view sets afterwards is sent in place of that; one that it set before is not.
    ///
    /// The path is not looked at: one that comes from the client must not be trusted. To serve a
    /// folder, mount tower-http's `ServeDir`.
    ///
    /// # Errors
    ///
    /// A 404 if there is no such file.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Request, Response, testing::Client};
    ///
    /// async fn manifest(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    ///     res.file(req, "Cargo.toml").await
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let client = Client::new(App::new().add("/", &["get"], manifest));
    /// let response = client.get("/").header("range", "bytes=0-8").await;
    /// assert_eq!((response.status().as_u16(), response.text()), (206, "[package]"));
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "file")))]
    pub async fn file(&mut self, req: &Request, path: impl AsRef<Path> + Send) -> Result<()> {
        let path = path.as_ref();
        // What is there and is no file, as a folder, could be opened all the same.
        if tokio::fs::metadata(path)
            .await
            .is_ok_and(|it| !it.is_file())
        {
            return Err(HttpError::new(404).into());
        }
        let mut request = http::Request::new(http_body_util::Empty::<bytes::Bytes>::new());
        // The content of a HEAD is left out by the server. Conditions are for it and GET, a part for
        // GET alone.
        let headers = request.headers_mut();
        if matches!(*req.method(), Method::GET | Method::HEAD) {
            headers.clone_from(req.headers());
        }
        if req.method() != Method::GET {
            headers.remove(RANGE);
        }
        // A part of what has changed meanwhile is worth nothing. Whether it has, is not looked at: it
        // is sent whole.
        if headers.contains_key(IF_RANGE) {
            headers.remove(RANGE);
        }
        let served = match ServeFile::new(path).call(request).await {
            Ok(served) => served,
            Err(never) => match never {},
        };
        let status = served.status();
        if status == StatusCode::NOT_FOUND {
            return Err(HttpError::new(404).into());
        }
        if status.is_server_error() {
            let path = path.display();
            return Err(crate::Error::msg(format!(
                "the file `{path}` cannot be read"
            )));
        }
        let (head, body) = served.into_parts();
        self.status(head.status);
        let headers = &mut self.head.headers;
        headers.remove(CONTENT_TYPE);
        for (name, value) in &head.headers {
            headers.insert(name, value.clone());
        }
        self.may_frame = true;
        self.is_file = true;
        // A log that is written to meanwhile has more than was declared.
        *self.body_mut() = Body::up_to_declared(&head.headers, Body::new(body));
        Ok(())
    }
}
