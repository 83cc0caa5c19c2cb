//! Decides which part of a file the client asks for (RFC 9110, 14).
//!
//! tower-http serves the file. It accepts fewer forms of ranges than the standard, so this file
//! translates a range into a form that tower-http accepts.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderValue,
    header::{ETAG, IF_RANGE, LAST_MODIFIED, RANGE},
};

/// A date has a resolution of one second, so it cannot tell two changes within that second apart.
const RESOLUTION: Duration = Duration::from_secs(2);

/// Returns the range to serve of a file of this length, as `bytes=first-last`. Returns `None` for
/// the whole file. A range without a last byte begins beyond the end.
pub(super) fn wanted(headers: &HeaderMap, length: u64) -> Option<HeaderValue> {
    let mut all = headers.get_all(RANGE).iter();
    let range = match (all.next(), all.next()) {
        (Some(range), None) => range.to_str().ok()?,
        // Several ranges are treated like a malformed one.
        _ => return None,
    };
    let range = match part(range, length)? {
        Part::Of(first, last) => format!("bytes={first}-{last}"),
        Part::Beyond => format!("bytes={length}-"),
    };
    HeaderValue::try_from(range).ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// From the first byte to the last one, both within the file.
    Of(u64, u64),
    Beyond,
}

/// Parses a range. `None` stands for the whole file: it is empty, or the range is malformed or
/// several.
fn part(range: &str, length: u64) -> Option<Part> {
    let (unit, set) = range.split_once('=')?;
    if length == 0 || !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let specs = set.split(',').map(str::trim).filter(|it| !it.is_empty());
    let parts: Option<Vec<_>> = specs.map(|spec| one(spec, length)).collect();
    match parts?.as_slice() {
        [] => None,
        [Part::Of(first, last)] => Some(Part::Of(*first, *last)),
        parts if parts.iter().all(|it| *it == Part::Beyond) => Some(Part::Beyond),
        _ => None,
    }
}

/// Parses the two ends of a range. Returns `None` if they are malformed.
fn one(spec: &str, length: u64) -> Option<Part> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        let first = length.saturating_sub(suffix);
        return Some(if suffix == 0 {
            Part::Beyond
        } else {
            Part::Of(first, length - 1)
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    if last < first {
        return None;
    }
    Some(if first < length {
        Part::Of(first, last.min(length - 1))
    } else {
        Part::Beyond
    })
}

/// A number beyond `u64` is beyond the end of any file.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Returns whether the file is still the one that the client has a part of, by its `If-Range`.
pub(super) fn is_of(asked: &HeaderMap, served: &HeaderMap, modified: Option<SystemTime>) -> bool {
    let mut all = asked.get_all(IF_RANGE).iter();
    let Some(validator) = all.next() else {
        return true;
    };
    // A weak tag begins with `W/`. The tags of files are strong.
    let is_tag = served.get(ETAG) == Some(validator);
    let is_old = modified
        .and_then(|modified| modified.elapsed().ok())
        .is_some_and(|age| age >= RESOLUTION);
    let is_date = is_old && served.get(LAST_MODIFIED) == Some(validator);
    all.next().is_none() && (is_tag || is_date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_saturate() {
        assert_eq!(part("bytes=18446744073709551615-", 10), Some(Part::Beyond));
        assert_eq!(part("bytes=99999999999999999999-", 10), Some(Part::Beyond));
        assert_eq!(
            part("bytes=1-99999999999999999999", 10),
            Some(Part::Of(1, 9))
        );
        assert_eq!(
            part("bytes=-99999999999999999999", 10),
            Some(Part::Of(0, 9))
        );
        assert_eq!(part("bytes=0-", u64::MAX), Some(Part::Of(0, u64::MAX - 1)));
    }
}
