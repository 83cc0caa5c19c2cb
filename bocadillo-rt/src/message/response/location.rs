//! Encodes a URL for a header.

use percent_encoding::{AsciiSet, utf8_percent_encode};

/// The characters that no URL has. Control characters are not among them: they are a fault, and no
/// mistake of spelling. A tab is, because headers may have it and browsers drop it.
const NOT_IN_A_URL: &AsciiSet = &AsciiSet::EMPTY
    .add(b'\t')
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Encodes the characters that no URL has. A `%` that begins an escape stays.
pub(super) fn encoded(url: &str) -> String {
    let mut encoded = String::with_capacity(url.len());
    let mut parts = url.split('%');
    encoded.extend(parts.next().map(encode).into_iter().flatten());
    for part in parts {
        let is_escape = matches!(
            part.as_bytes(),
            [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()
        );
        encoded.push_str(if is_escape { "%" } else { "%25" });
        encoded.extend(encode(part));
    }
    encoded
}

fn encode(part: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(part, NOT_IN_A_URL)
}
