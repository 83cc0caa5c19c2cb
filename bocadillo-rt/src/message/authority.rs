//! Checks the host that a request is for.

use http::{Version, header::HOST, request::Parts};

/// Returns whether the request names its host as HTTP requires (RFC 9112, 3.2). A request has
/// exactly one valid `Host` header. HTTP/1.0 may leave it out, and HTTP/2 has `:authority` in its
/// place.
#[inline]
pub(crate) fn is_told(head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => head.version != Version::HTTP_11,
        (Some(host), None) => host.as_bytes().iter().all(is_in_a_host),
        (Some(_), Some(_)) => false,
    }
}

/// Returns whether a name, an address or a port may have this byte. The syntax as a whole is not
/// checked.
#[inline]
fn is_in_a_host(byte: &u8) -> bool {
    ALLOWED[usize::from(*byte)]
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

    fn is_told_by(version: Version, hosts: &[&str]) -> bool {
        let mut request = http::Request::builder().version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        is_told(&head)
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
            assert_eq!(is_told_by(Version::HTTP_11, hosts), is_fine, "{hosts:?}");
        }
        assert!(is_told_by(Version::HTTP_10, &[]));
        assert!(!is_told_by(Version::HTTP_10, &["a", "b"]));
        assert!(is_told_by(Version::HTTP_2, &[]));
        assert!(!is_told_by(Version::HTTP_2, &["a", "b"]));
    }
}
