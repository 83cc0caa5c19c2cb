//! Makes what HTTP allows of what a view has built.

use http::{
    HeaderName, Method, StatusCode, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Body as _;

use super::{Response, ZERO};
use crate::body::Body;

impl Response {
    /// Whether there is nothing to do about it before it can be sent.
    #[inline]
    pub(crate) fn is_ordinary(&self, version: Version) -> bool {
        let is_special = self.may_declare_length || self.is_endless || self.fault.is_some();
        !is_special && version != Version::HTTP_2 && may_have_content(self.head.status)
    }

    /// Makes what HTTP allows of what the view built.
    pub(crate) fn finish(&mut self, method: &Method, version: Version, view: &str) {
        if self.may_declare_length && may_have_content(self.head.status) {
            self.check_length(method);
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
        } else if version == Version::HTTP_2 {
            self.finish_http2(method);
        }
    }

    /// On HTTP/1 hyper does both of this itself.
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

    /// A content-length that disagrees with the content would break the connection's framing.
    fn check_length(&mut self, method: &Method) {
        let mut all = self.head.headers.get_all(CONTENT_LENGTH).iter();
        let Some(first) = all.next() else { return };
        let is_one = all.next().is_none();
        let is_number = !first.is_empty() && first.as_bytes().iter().all(u8::is_ascii_digit);
        let text = first.to_str().unwrap_or_default();
        let declared = text.parse().ok().filter(|_| is_one && is_number);
        let known = self.body.size_hint().exact();
        // The answer to a HEAD may declare what it does not have.
        let is_absent = method == Method::HEAD && known == Some(0);
        if declared.is_none() || !is_absent && known.is_some_and(|known| declared != Some(known)) {
            self.fail("header `content-length` disagrees with the content; leave it out");
        }
    }
}

/// What HTTP calls a response with content, even if that is empty.
#[inline]
pub(crate) fn may_have_content(status: StatusCode) -> bool {
    !matches!(
        status,
        StatusCode::SWITCHING_PROTOCOLS
            | StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::NOT_MODIFIED
    )
}
