//! Compares the content type of a request with the expected one.

#[cfg(feature = "multipart")]
use std::borrow::Cow;

use http::header::CONTENT_TYPE;

use super::head::Request;
use crate::error::{HttpError, Result};

impl Request {
    /// Accepts JSON, and a request without a content type.
    #[inline]
    pub(super) fn expect_json(&self) -> Result<()> {
        match self.headers().get(CONTENT_TYPE) {
            None => Ok(()),
            Some(value) if value == "application/json" => Ok(()),
            Some(_) => self.expect("application/json", |found| found.is_json()),
        }
    }

    /// Accepts exactly this media type.
    pub(super) fn expect_essence(&self, essence: &'static str) -> Result<()> {
        self.expect(essence, |found| found.is(essence))
    }

    #[cold]
    fn expect(&self, expected: &str, is_it: impl Fn(&MediaType<'_>) -> bool) -> Result<()> {
        let found = self.header(CONTENT_TYPE).unwrap_or_default();
        if is_it(&MediaType::parse(found)) {
            return Ok(());
        }
        let detail = if found.is_empty() {
            format!("The content type must be `{expected}`.")
        } else {
            format!("The content type must be `{expected}`, and is `{found}`.")
        };
        Err(HttpError::new(415).detail(detail).into())
    }
}

/// A media type (RFC 9110, 8.3.1): `type/subtype`, followed by parameters. Each parameter comes
/// after a `;`, which blanks may surround.
pub(super) struct MediaType<'a> {
    essence: &'a str,
    #[cfg(feature = "multipart")]
    parameters: &'a str,
}

impl<'a> MediaType<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let (essence, _parameters) = text.split_once(';').unwrap_or((text, ""));
        Self {
            essence: trim(essence),
            #[cfg(feature = "multipart")]
            parameters: _parameters,
        }
    }

    fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    /// Returns whether the type is `application/json`, or a type based on JSON such as
    /// `application/problem+json`.
    fn is_json(&self) -> bool {
        let Some((kind, subtype)) = self.essence.split_once('/') else {
            return false;
        };
        let subtype = subtype.to_ascii_lowercase();
        let before = subtype.strip_suffix("+json");
        !kind.is_empty() && (subtype == "json" || before.is_some_and(|before| !before.is_empty()))
    }

    /// Returns the value of a parameter, without its quotation marks.
    #[cfg(feature = "multipart")]
    pub(super) fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.parameters;
        while !rest.is_empty() {
            let end = rest.find([';', '=']).unwrap_or(rest.len());
            let (known, after) = rest.split_at(end);
            let Some(after) = after.strip_prefix('=') else {
                rest = after.strip_prefix(';').unwrap_or_default();
                continue;
            };
            let (value, after) = value(after)?;
            if trim(known).eq_ignore_ascii_case(name) {
                return Some(value);
            }
            rest = after;
        }
        None
    }
}

/// Reads a value. Returns it with the rest after its `;`, or `None` if a quotation mark is not
/// closed.
#[cfg(feature = "multipart")]
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return Some((trim(value).into(), rest));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => {
                let rest = &quoted[at + 1..];
                let rest = rest.split_once(';').map_or("", |(_, rest)| rest);
                return Some((value.into(), rest));
            }
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
