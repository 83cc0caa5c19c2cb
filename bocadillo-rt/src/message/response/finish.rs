//! Makes a response fit for HTTP, after the view has built it.

use http::{
    HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Body as _;

use super::build::Response;
use crate::{
    message::body::Body,
    sent::framing::{self, may_have_content},
};

const ZERO: HeaderValue = HeaderValue::from_static("0");

impl Response {
    /// Returns whether the response can be sent as it is.
    #[inline]
    pub(crate) fn is_ordinary(&self, version: Version) -> bool {
        let is_special =
            self.may_frame || self.is_endless || self.own_body.is_some() || self.fault.is_some();
        !is_special && version != Version::HTTP_2 && may_have_content(self.head.status)
    }

    /// Makes the response fit for HTTP. `is_outermost` says that no layer changes the response
    /// afterwards.
    pub(crate) fn finish(
        &mut self,
        method: &Method,
        version: Version,
        view: &'static str,
        is_outermost: bool,
    ) {
        if let Some(name) = &self.own_body {
            name.set(view);
        }
        if self.may_frame {
            self.check_framing(method, version, view);
        }
        if version == Version::HTTP_2 && self.head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.fail("HTTP/2 has no status 101");
        }
        if let Some(fault) = self.fault.take() {
            tracing::error!(view, fault = fault.0, "response cannot be sent");
            self.answer_internal();
        }
        self.finish_events();
        let status = self.head.status;
        if status == StatusCode::NOT_MODIFIED {
            self.strip(&[CONTENT_LENGTH]);
        } else if !may_have_content(status) {
            self.strip(&[CONTENT_LENGTH, CONTENT_TYPE]);
        } else if version == Version::HTTP_2 && (is_outermost || *method != Method::HEAD) {
            self.finish_http2(method);
        }
    }

    /// Completes the length and the content for HTTP/2. hyper does this itself for HTTP/1.
    fn finish_http2(&mut self, method: &Method) {
        let Some(length) = self.body.size_hint().exact() else {
            if method == Method::HEAD {
                self.strip(&[]);
            }
            return;
        };
        if method == Method::HEAD && self.head.headers.contains_key(CONTENT_LENGTH) {
            self.strip(&[]);
        } else if length == 0 {
            self.head.headers.insert(CONTENT_LENGTH, ZERO);
        } else if method == Method::HEAD {
            self.head.headers.insert(CONTENT_LENGTH, length.into());
            self.strip(&[]);
        }
    }

    fn strip(&mut self, headers: &[HeaderName]) {
        *self.body_mut() = Body::empty();
        for header in headers {
            self.head.headers.remove(header);
        }
    }

    /// Checks the headers that frame the message. A wrong `content-length`, or a
    /// `transfer-encoding` that is not applied, would break the framing of the connection.
    fn check_framing(&mut self, method: &Method, version: Version, view: &str) {
        let head = &mut self.head;
        if let Some(header) = framing::drop_ours(&mut head.headers, version) {
            tracing::warn!(
                view,
                %header,
                "header left out; only the server sets it"
            );
        }
        let hint = self.body.get_mut().size_hint();
        if let Some(fault) = framing::fault(method, head.status, &head.headers, &hint) {
            self.fail(fault);
        }
    }
}
