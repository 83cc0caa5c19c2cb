//! Checks the host that a request is for.

use http::{
    HeaderMap, Version,
    header::{HOST, HeaderValue},
    request::Parts,
};

/// Returns whether the request names its host as HTTP requires (RFC 9112, 3.2). A request has
/// exactly one valid `Host` header. HTTP/1.0 may leave it out, and HTTP/2 has `:authority` in its
/// place.
#[inline]
pub(crate) fn has_valid_host(head: &Parts) -> bool {
    if let Some(host) = leading_host(&head.headers) {
        return is_host(host);
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => head.version != Version::HTTP_11,
        (Some(host), None) => is_host(host),
        (Some(_), Some(_)) => false,
    }
}

/// Returns the only `Host` header where that needs no search: it is the first header, as clients
/// should send it (RFC 9110, 7.2), and no name is repeated.
#[inline]
fn leading_host(headers: &HeaderMap) -> Option<&HeaderValue> {
    let (name, host) = headers.iter().next()?;
    (*name == HOST && headers.keys_len() == headers.len()).then_some(host)
}

/// Returns whether a name, an address or a port may have these bytes. The syntax as a whole is not
/// checked.
///
/// A wrong byte does not end the loop early: a loop without branches takes fewer instructions, and
/// most hosts are valid.
#[inline]
fn is_host(host: &HeaderValue) -> bool {
    let bytes = host.as_bytes().iter();
    bytes.fold(true, |is_host, byte| is_host & ALLOWED[usize::from(*byte)])
}

/// A table, because comparing each byte with a list costs a request some 250 instructions more.
static ALLOWED: [bool; 256] = allowed();

const fn allowed() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"-._~%!$&'()*+;=:[]";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_valid_in(version: Version, hosts: &[&str]) -> bool {
        let is_valid_behind = |first: Option<&str>| {
            let mut request = http::Request::builder().version(version);
            if let Some(name) = first {
                request = request.header(name, "first");
            }
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let (head, ()) = request.body(()).expect("a request").into_parts();
            has_valid_host(&head)
        };
        let has_valid_host = is_valid_behind(None);
        assert_eq!(is_valid_behind(Some("accept")), has_valid_host, "{hosts:?}");
        has_valid_host
    }

    #[test]
    fn http1_needs_one_host() {
        for (hosts, is_fine) in [
            (&[][..], false),
            (&[""], true),
            (&["example.net:8000"], true),
            (&["[::1]:80"], true),
            (&["b%C3%BCcher.example"], true),
            (&["a", "a"], false),
            (&["a", "b"], false),
            (&["a, b"], false),
            (&["a/b"], false),
            (&["user@a"], false),
            (&["a b"], false),
        ] {
            assert_eq!(is_valid_in(Version::HTTP_11, hosts), is_fine, "{hosts:?}");
        }
        assert!(is_valid_in(Version::HTTP_10, &[]));
        assert!(!is_valid_in(Version::HTTP_10, &["a", "b"]));
        assert!(is_valid_in(Version::HTTP_2, &[]));
        assert!(!is_valid_in(Version::HTTP_2, &["a", "b"]));
    }
}
