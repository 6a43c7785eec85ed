//! Times in scenario files.

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};

/// Parses an RFC 3339 time, or a time relative to now: `-6h`, `+30s`, `-90d`.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Timestamp> {
    let complaint = || {
        format!(
            "{text:?} is neither a time such as 2026-11-23T10:00:00Z nor one relative to now such as -6h or +30s"
        )
    };
    let Some(number) = text
        .strip_suffix(['s', 'm', 'h', 'd'])
        .filter(|_| text.starts_with(['+', '-']))
    else {
        return text.parse().with_context(complaint);
    };
    let number: i64 = number.parse().with_context(complaint)?;
    let seconds = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => 1,
    };
    now.checked_add(SignedDuration::from_secs(number.saturating_mul(seconds)))
        .with_context(complaint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T10:00:00Z";

    fn read(text: &str) -> String {
        match parse(text, NOW.parse().unwrap()) {
            Ok(time) => time.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_relative_time_counts_from_now() {
        let times = ["+30s", "-5m", "-6h", "-40d"].map(read);
        assert_eq!(
            times,
            [
                "2026-11-23T10:00:30Z",
                "2026-11-23T09:55:00Z",
                "2026-11-23T04:00:00Z",
                "2026-10-14T10:00:00Z"
            ]
        );
    }

    #[test]
    fn a_time_with_an_offset_is_converted_to_utc() {
        assert_eq!(read("2020-02-29T01:00:00+01:00"), "2020-02-29T00:00:00Z");
    }

    #[test]
    fn an_invalid_time_is_reported_with_examples() {
        for text in [
            "",
            "-",
            "6h",
            "-h",
            "-6w",
            "--6h",
            "+1.5h",
            "yesterday",
            "-9223372036854775807d",
        ] {
            let complaint = read(text);
            let start = format!("{text:?} is neither a time such as 2026-");
            assert!(complaint.starts_with(&start), "{complaint}");
        }
    }
}
