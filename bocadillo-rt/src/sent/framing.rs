//! The headers that frame a response. The server decides them, not the service.

use http::{
    HeaderMap, HeaderName, Method, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TE, TRANSFER_ENCODING, UPGRADE},
};
use http_body::SizeHint;

// Statics, because each use of a constant would build the names again.

/// Headers of the connection, which a response must not set. `te` belongs to requests.
static OF_THE_CONNECTION: [HeaderName; 4] = [
    TRANSFER_ENCODING,
    TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Headers by which an HTTP/1 response closes or upgrades its connection; HTTP/2 has none.
static OF_HTTP1: [HeaderName; 2] = [CONNECTION, UPGRADE];

/// Returns whether a header frames the message. `content-type`, which is set most, is compared first.
#[inline]
pub(crate) fn frames(name: &HeaderName) -> bool {
    *name != CONTENT_TYPE && is_framing(name)
}

fn is_framing(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH || OF_THE_CONNECTION.contains(name) || OF_HTTP1.contains(name)
}

/// Removes the headers that only the server may set; returns the first one that was removed.
pub(crate) fn drop_ours(headers: &mut HeaderMap, version: Version) -> Option<&'static HeaderName> {
    let is_http2 = version == Version::HTTP_2;
    let of_http1 = OF_HTTP1.iter().filter(|_| is_http2);
    let mut removed = None;
    for name in OF_THE_CONNECTION.iter().chain(of_http1) {
        if headers.remove(name).is_some() {
            removed.get_or_insert(name);
        }
    }
    removed
}

/// Returns the declared length.
///
/// # Errors
///
/// Returns an error if the header is not one number.
pub(crate) fn declared(headers: &HeaderMap) -> Result<Option<u64>, ()> {
    let mut all = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    // `parse` would accept a sign.
    let is_number = first.as_bytes().iter().all(u8::is_ascii_digit);
    let number = first.to_str().ok().filter(|_| is_number);
    match number.and_then(|text| text.parse().ok()) {
        Some(length) if all.next().is_none() => Ok(Some(length)),
        _ => Err(()),
    }
}

/// Returns why a head cannot be sent with this body, as far as the size hint tells.
pub(crate) fn fault(
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    body: &SizeHint,
) -> Option<&'static str> {
    if !may_have_content(status) {
        return None;
    }
    let Ok(declared) = declared(headers) else {
        return Some("header `content-length` is not one number; leave it out");
    };
    let known = body.exact();
    // The response to a HEAD declares the length of a body that it does not have.
    if declared.is_none() || *method == Method::HEAD && known == Some(0) {
        return None;
    }
    let disagrees = known.is_some() && known != declared;
    disagrees.then_some("header `content-length` disagrees with the content; leave it out")
}

/// Returns whether HTTP allows content, even an empty one, in a response of this status.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_LENGTH, http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_length_is_one_number() {
        assert_eq!(declared(&headers(&[])), Ok(None));
        assert_eq!(declared(&headers(&["10"])), Ok(Some(10)));
        for wrong in [
            &["abc"][..],
            &["+5"],
            &[""],
            &["5", "6"],
            &["5", "5"],
            &["5, 5"],
        ] {
            assert_eq!(declared(&headers(wrong)), Err(()), "{wrong:?}");
        }
    }

    #[test]
    fn a_head_may_declare_what_it_does_not_have() {
        let headers = headers(&["10"]);
        let fault = |method, known| {
            fault(
                &method,
                StatusCode::OK,
                &headers,
                &SizeHint::with_exact(known),
            )
        };
        assert_eq!(fault(Method::HEAD, 0), None);
        assert!(fault(Method::HEAD, 5).is_some());
        assert!(fault(Method::GET, 0).is_some());
        assert_eq!(fault(Method::GET, 10), None);
    }

    #[test]
    fn http1_may_still_close_and_upgrade() {
        for (version, left) in [(Version::HTTP_11, 2), (Version::HTTP_2, 0)] {
            let mut headers = HeaderMap::new();
            for name in OF_THE_CONNECTION.iter().chain(&OF_HTTP1) {
                headers.insert(name, http::HeaderValue::from_static("x"));
            }
            assert_eq!(drop_ours(&mut headers, version), Some(&TRANSFER_ENCODING));
            assert_eq!(headers.len(), left);
        }
    }
}
