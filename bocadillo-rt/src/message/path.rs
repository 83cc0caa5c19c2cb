//! Decodes paths into the form in which routes compare them.
//!
//! Paths are compared segment by segment, and each segment is percent-decoded once. Three kinds of
//! escapes stay as they are, because decoding them would change the meaning of the path: `%2F` is
//! no end of a segment, `%25` is no beginning of an escape, and bytes that are not UTF-8 are no
//! text. So `/%66/x` equals `/f/x`, and neither `/f%2Fx` nor `/f%252Fx` does.
//!
//! A `%` that begins no escape stands for itself. It is compared as `%25`.

use std::{borrow::Cow, ops::Range};

/// A decoded path, and the position of each of its bytes in the path that the client sent.
pub(crate) struct Decoded {
    pub(crate) text: String,
    /// For each byte of the text, and for its end: the position in the path that the client sent.
    origins: Vec<u32>,
}

impl Decoded {
    /// Decodes a path. Returns `None` if there was nothing to decode.
    #[cold]
    pub(crate) fn of(raw: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(raw.len());
        let mut origins = Vec::with_capacity(raw.len() + 1);
        let mut at = 0;
        while at < raw.len() {
            let unit = Unit::at(raw, at);
            // A path is far shorter than 4 GiB.
            origins.extend(std::iter::repeat_n(at as u32, unit.written().len()));
            bytes.extend_from_slice(unit.written());
            at += unit.read;
        }
        origins.push(raw.len() as u32);
        let text = String::from_utf8(bytes).ok()?;
        (text != raw).then_some(Self { text, origins })
    }

    /// Returns the range of the client's path that a part of the text was decoded from.
    pub(crate) fn origin(&self, part: &Range<usize>) -> Range<usize> {
        let origin = |at: usize| self.origins.get(at).map_or(0, |origin| *origin as usize);
        origin(part.start)..origin(part.end)
    }
}

/// Decodes a literal of a route's path.
pub(crate) fn decoded(literal: &str) -> Cow<'_, str> {
    Decoded::of(literal).map_or(Cow::Borrowed(literal), |decoded| decoded.text.into())
}

/// The unit of decoding: one byte, one escape, or all escapes of one letter.
struct Unit {
    /// How many bytes of the path the unit takes.
    read: usize,
    /// The decoded bytes; the first `len` of them are used.
    bytes: [u8; 4],
    len: usize,
}

impl Unit {
    fn at(path: &str, at: usize) -> Self {
        let rest = &path.as_bytes()[at..];
        match escape(rest) {
            Some(byte) if byte.is_ascii() && !matches!(byte, b'/' | b'%') => Self::new(3, &[byte]),
            Some(byte) if byte.is_ascii() => Self::kept(byte),
            Some(byte) => Self::letter(rest).unwrap_or_else(|| Self::kept(byte)),
            None if rest[0] == b'%' => Self::new(1, b"%25"),
            None => Self::new(1, &rest[..1]),
        }
    }

    /// An escape that is not decoded. Its digits become capitals.
    fn kept(byte: u8) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let digit = |nibble: u8| DIGITS[usize::from(nibble)];
        Self::new(3, &[b'%', digit(byte >> 4), digit(byte & 15)])
    }

    /// A letter beyond ASCII: each of its bytes is an escape.
    fn letter(rest: &[u8]) -> Option<Self> {
        let mut bytes = [0; 4];
        for len in 1..=bytes.len() {
            bytes[len - 1] = escape(rest.get(3 * (len - 1)..)?)?;
            if std::str::from_utf8(&bytes[..len]).is_ok() {
                return Some(Self::new(3 * len, &bytes[..len]));
            }
        }
        None
    }

    fn new(read: usize, written: &[u8]) -> Self {
        let mut bytes = [0; 4];
        bytes[..written.len()].copy_from_slice(written);
        let len = written.len();
        Self { read, bytes, len }
    }

    fn written(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Returns the byte that an escape at the beginning of the text stands for.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    // Two hexadecimal digits fit into a byte.
    Some((digit(*high)? * 16 + digit(*low)?) as u8)
}

/// Decodes a path parameter, or returns the reason why it cannot be decoded.
pub(crate) fn decode(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        bytes.push(escape(rest).ok_or("The path has a `%` that begins no escape.")?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| "The path is not UTF-8.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_escapes() {
        assert_eq!(decode("a%20b%C3%A9").as_deref(), Ok("a bé"));
        assert!(decode("100%").is_err());
        assert!(decode("%zz").is_err());
        assert!(decode("%+1").is_err());
        assert!(decode("%ff").is_err());
    }

    #[test]
    fn what_is_compared_is_decoded_once() {
        for (raw, text) in [
            ("/plain/é", "/plain/é"),
            ("/%66/x", "/f/x"),
            ("/caf%C3%A9%E2%82%AC%F0%9F%A5%AA", "/café€🥪"),
            ("/a%2fb%2F", "/a%2Fb%2F"),
            ("/%252f", "/%252f"),
            ("/%25%32%66", "/%252f"),
            ("/100%", "/100%25"),
            ("/%zz%4", "/%25zz%254"),
            ("/%ff%C3", "/%FF%C3"),
            ("/%c3%28%C3%A9", "/%C3(é"),
            // An overlong encoding of `/`, and half of a surrogate pair.
            ("/%c0%af%ED%A0%80", "/%C0%AF%ED%A0%80"),
            ("/%00", "/\0"),
        ] {
            assert_eq!(decoded(raw), text, "{raw}");
            assert_eq!(decoded(text), text, "once more");
        }
    }

    #[test]
    fn each_part_knows_its_origin() {
        let raw = "/%66/é%C3%A9x%2Fy/%";
        let decoded = Decoded::of(raw).expect("another form");
        assert_eq!(decoded.text, "/f/ééx%2Fy/%25");
        let part = |text: &str| {
            let at = decoded.text.find(text).expect("a part");
            &raw[decoded.origin(&(at..at + text.len()))]
        };
        assert_eq!(part("/f/"), "/%66/");
        assert_eq!(part("ééx"), "é%C3%A9x");
        assert_eq!(part("x%2Fy"), "x%2Fy");
        assert_eq!(part("%25"), "%");
    }
}
