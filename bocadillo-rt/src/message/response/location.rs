//! URLs as headers have them.

use percent_encoding::{AsciiSet, utf8_percent_encode};

/// What no URL has. Control characters are none of them: they are no mistake of writing, and a fault.
/// But a tab is one, which headers may have and browsers drop.
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

/// Encodes what no URL has. A `%` stays where it begins an escape.
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
