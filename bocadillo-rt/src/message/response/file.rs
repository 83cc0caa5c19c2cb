//! Files as the content of a response.

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
    /// Sets a file as the content. The extension decides the content type. The response has `ETag`
    /// and `Last-Modified`. A client that has the file already gets a 304, and a client that asks
    /// for a part of the file gets a 206.
    ///
    /// A part is one range of bytes. With `If-Range` the client gets it only if the file has not
    /// changed. A range beyond the end of the file is a 416. A request for several ranges, for a
    /// malformed range or for another unit gets the whole file, as HTTP allows, and so does every
    /// request for an empty file.
    ///
    /// A status that the view sets afterwards replaces that of the file. A status set before is
    /// lost.
    ///
    /// The path is not checked: do not build it from what a client sends. To serve a folder, mount
    /// tower-http's `ServeDir`.
    ///
    /// # Errors
    ///
    /// Returns a 404 if there is no such file.
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
        // A folder could be opened, but has no content.
        if metadata.as_ref().is_ok_and(|it| !it.is_file()) {
            return Err(HttpError::new(404).into());
        }
        // Conditions apply to GET and HEAD, ranges to GET alone. The server leaves out the content
        // of a HEAD.
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
        // A file that grows meanwhile, such as a log, has more bytes than the head declares.
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
