//! Paths as routes compare them.
//!
//! A path is compared by its segments, each percent-decoded once. The form that is compared is text in
//! which everything is decoded but what would then mean something else: `%2F`, which is no end of a
//! segment; `%25`, which is no beginning of an escape; and what is not UTF-8. So `/%66/x` is `/f/x`, and
//! neither `/f%2Fx` nor `/f%252Fx` is.
//!
//! A `%` that is no escape stands for itself: it is compared as `%25`.

use std::{borrow::Cow, ops::Range};

/// A path in the form that is compared, and where each of its bytes came from.
pub(crate) struct Decoded {
    pub(crate) text: String,
    /// For each byte of the text, and for its end: where it begins in the path that the client sent.
    origins: Vec<u32>,
}

impl Decoded {
    /// Decodes what a client sent; `None` if the path is in that form already.
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

    /// Returns where in the client's path a part of the text came from.
    pub(crate) fn origin(&self, part: &Range<usize>) -> Range<usize> {
        let origin = |at: usize| self.origins.get(at).map_or(0, |origin| *origin as usize);
        origin(part.start)..origin(part.end)
    }
}

/// Returns a route's literal in the form that is compared.
pub(crate) fn decoded(literal: &str) -> Cow<'_, str> {
    Decoded::of(literal).map_or(Cow::Borrowed(literal), |decoded| decoded.text.into())
}

/// What is decoded at a time: one byte, one escape, or the escapes of one letter.
struct Unit {
    /// So many bytes of the path.
    read: usize,
    /// The bytes that are compared, as far as they are any.
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

    /// An escape that stays one, in capitals.
    fn kept(byte: u8) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let digit = |nibble: u8| DIGITS[usize::from(nibble)];
        Self::new(3, &[b'%', digit(byte >> 4), digit(byte & 15)])
    }

    /// A letter beyond ASCII, each byte of which is an escape.
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

/// The byte that an escape at the beginning stands for.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    // Two digits are no more than a byte.
    Some((digit(*high)? * 16 + digit(*low)?) as u8)
}

/// Decodes a path parameter, or says why it cannot be.
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
        bytes.push(escape(rest).ok_or("The path has a `%` that is no escape.")?);
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
            // A letter that is longer than it need be, and half of a pair.
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
