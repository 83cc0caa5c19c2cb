//! Files as content.

use std::{fs::Metadata, path::Path};

use http::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_TYPE, RANGE},
};
use tower_http::services::{ServeFile, fs::ServeFileSystemResponseBody};
use tower_service::Service as _;

use super::{build::Response, range};
use crate::{
    error::{HttpError, Result},
    message::{body::Body, request::Request},
};

impl Response {
    /// Makes a file the content: with its type by its extension, `ETag` and `Last-Modified`, and so
    /// 304 where the client has it already, and 206 where it asks for a part.
    ///
    /// A part is one range of bytes, of what the client has the other parts of (`If-Range`); one that
    /// lies beyond the end is a 416. A file that is empty, and a client that asks for several ranges, or
    /// for one that is malformed or of another unit, gets the whole, as HTTP allows.
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
        let metadata = tokio::fs::metadata(path).await;
        // What is there and is no file, as a folder, could be opened all the same.
        if metadata.as_ref().is_ok_and(|it| !it.is_file()) {
            return Err(HttpError::new(404).into());
        }
        // Conditions are for GET and HEAD, a part for GET alone. The content of a HEAD is left out by
        // the server.
        let mut headers = match *req.method() {
            Method::GET | Method::HEAD => req.headers().clone(),
            _ => HeaderMap::new(),
        };
        let length = metadata.as_ref().map_or(0, Metadata::len);
        let part = match *req.method() {
            Method::GET => range::wanted(&headers, length),
            _ => None,
        };
        headers.remove(RANGE);
        let served = match part {
            None => serve(path, headers).await,
            Some(part) => {
                let mut in_part = headers.clone();
                in_part.insert(RANGE, part);
                let served = serve(path, in_part).await;
                let modified = metadata.and_then(|it| it.modified()).ok();
                if range::is_of(&headers, served.headers(), modified) {
                    served
                } else {
                    serve(path, headers).await
                }
            }
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
        self.is_endless = false;
        self.is_file = true;
        // A log that is written to meanwhile has more than was declared.
        self.body(Body::up_to_declared(&head.headers, Body::new(body)));
        Ok(())
    }
}

type Served = http::Response<ServeFileSystemResponseBody>;

async fn serve(path: &Path, headers: HeaderMap) -> Served {
    let mut request = http::Request::new(http_body_util::Empty::<bytes::Bytes>::new());
    *request.headers_mut() = headers;
    match ServeFile::new(path).call(request).await {
        Ok(served) => served,
        Err(never) => match never {},
    }
}
