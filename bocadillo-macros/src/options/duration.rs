//! Durations as they are written: `"30s"`.

const HOW: &str =
    "invalid duration; expected a whole number with `ms`, `s`, `m` or `h`, such as \"30s\"";

/// Returns the milliseconds.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err(HOW.to_owned()),
    };
    if number.is_empty() {
        return Err(HOW.to_owned());
    }
    let millis = number.parse::<u64>().ok();
    match millis.and_then(|number| number.checked_mul(factor)) {
        Some(0) => Err("invalid duration; a timeout must be longer than zero".to_owned()),
        Some(millis) => Ok(millis),
        None => Err("invalid duration; the number is too large".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_units() {
        assert_eq!(parse("250ms"), Ok(250));
        assert_eq!(parse("30s"), Ok(30_000));
        assert_eq!(parse("5m"), Ok(300_000));
        assert_eq!(parse("2h"), Ok(7_200_000));
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "30",
            "s",
            "1.5s",
            "-1s",
            "30 s",
            "30S",
            "0s",
            "99999999999999999999h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
