//! The failures of gRPC: the response is a 200, and a header or a trailer has the status.

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_TYPE, HeaderName},
};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The numbers of gRPC's status codes.
const OK: &[u8] = b"0";
const INTERNAL: HeaderValue = HeaderValue::from_static("13");

/// Returns the headers of the answer to a call whose handler panicked.
pub(super) fn internal() -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
        (STATUS, INTERNAL),
        (MESSAGE, HeaderValue::from_static("the handler panicked")),
    ])
}

/// Returns whether the headers are those of a gRPC message.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content_type.and_then(|it| it.strip_prefix(b"application/grpc"));
    matches!(rest, Some([] | [b'+' | b';', ..]))
}

/// Returns whether headers or trailers report a failure.
pub(super) fn has_failed(headers: &HeaderMap) -> bool {
    headers.get(STATUS).is_some_and(|status| status != OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn content_types_of_grpc_begin_with_its_name() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_grpc(&of(CONTENT_TYPE, value)), expected, "{value}");
        }
    }

    #[test]
    fn every_status_but_zero_is_a_failure() {
        assert!(!has_failed(&HeaderMap::new()));
        assert!(!has_failed(&of(STATUS, "0")));
        assert!(has_failed(&of(STATUS, "5")));
    }
}
