//! Parses the expiry date of a value, as people write it in a tag.

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};

use crate::time::AwsTime;

/// The length of `2026-11-30`.
const DATE: usize = 10;

/// Parses an RFC 3339 date, which means its first moment in UTC, or an RFC 3339 time. Surrounding white space is
/// ignored.
///
/// The parser is strict on purpose: 2026-12-01T00:00:00 without a zone, a bare number or a month could each mean
/// several moments, and a value that expires at a wrong moment is worse than a finding about the tag.
pub(crate) fn parse(text: &str) -> Option<AwsTime> {
    let text = text.trim();
    if text.len() == DATE {
        return Some(moment(date(text)?.at(0, 0, 0, 0), SignedDuration::ZERO));
    }
    let (day, rest) = text.split_at_checked(DATE)?;
    // RFC 3339, section 5.6, allows a lower-case "t" and a space.
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, offset) = zone(rest)?;
    Some(moment(date(day)?.to_datetime(time(clock)?), offset))
}

/// Parses `YYYY-MM-DD` and nothing else: jiff also accepts `20261130` and dates of more than four digits.
fn date(text: &str) -> Option<Date> {
    let shape = text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    shape.then(|| text.parse().ok()).flatten()
}

/// Parses `HH:MM:SS` with or without a fraction. A leap second becomes the second before it.
fn time(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut fields = whole.split(':').map(two_digits);
    let (hour, minute, second) = (fields.next()??, fields.next()??, fields.next()??);
    let digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = fields.next().is_none() && second <= 60 && digits;
    is_whole
        .then(|| Time::new(hour, minute, second.min(59), 0).ok())
        .flatten()
}

/// Splits off the zone: returns the text before it, and how far the zone is ahead of UTC.
fn zone(text: &str) -> Option<(&str, SignedDuration)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, SignedDuration::ZERO));
    }
    let at = text.rfind(['+', '-'])?;
    let (clock, offset) = text.split_at_checked(at)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let ahead = SignedDuration::from_mins(i64::from(hours) * 60 + i64::from(minutes));
    let ahead = if offset.starts_with('-') {
        -ahead
    } else {
        ahead
    };
    Some((clock, ahead))
}

fn two_digits(text: &str) -> Option<i8> {
    let shape = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    shape.then(|| text.parse().ok()).flatten()
}

/// Converts a local time to UTC. The last hours of the year 9999, which people write to mean "never", are beyond the
/// greatest timestamp and become that timestamp.
fn moment(local: DateTime, ahead: SignedDuration) -> AwsTime {
    let end = if local.year() > 0 {
        Timestamp::MAX
    } else {
        Timestamp::MIN
    };
    let utc = local.checked_sub(ahead).ok();
    let utc = utc.and_then(|utc| jiff::tz::Offset::UTC.to_timestamp(utc).ok());
    AwsTime::new(utc.unwrap_or(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        parse(text).map(|time| time.to_string())
    }

    #[test]
    fn every_date_and_time_of_rfc_3339_is_read() {
        for (text, expected) in [
            ("2026-12-01", "2026-12-01T00:00:00Z"),
            (" 2026-12-01\t", "2026-12-01T00:00:00Z"),
            ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-12-01t00:00:00z ", "2026-12-01T00:00:00Z"),
            ("2026-12-01 00:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-12-01T00:00:00.123456789123Z", "2026-12-01T00:00:00Z"),
            ("2026-12-01T01:30:00+01:30", "2026-12-01T00:00:00Z"),
            ("2026-11-30T19:00:00-05:00", "2026-12-01T00:00:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("2028-02-29", "2028-02-29T00:00:00Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn the_end_of_the_year_9999_is_a_date_like_any_other() {
        let last = AwsTime::new(Timestamp::MAX);
        for text in [
            "9999-12-31",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59-23:59",
            " 9999-12-31T23:59:59.999Z ",
        ] {
            assert_eq!(parse(text), Some(last), "{text}");
        }
        assert_eq!(read("9999-12-30").as_deref(), Some("9999-12-30T00:00:00Z"));
        let first = AwsTime::new(Timestamp::MIN);
        assert!(parse("0000-01-01T00:00:00+23:59") < Some(AwsTime::new(Timestamp::UNIX_EPOCH)));
        assert!(parse("0000-01-01T00:00:00+23:59") >= Some(first));
    }

    #[test]
    fn what_could_mean_several_moments_or_none_is_not_read() {
        for text in [
            "",
            "  ",
            "never",
            "2026-12-01T00:00:00",
            "2026-12-01T00:00Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T00:00:61Z",
            "2026-12-01T00:00:00.Z",
            "2026-12-01T00:00:00+0100",
            "2026-12-01T00:00:00+24:00",
            "2026-12-01T00:00:00+01:00[Europe/Berlin]",
            "20261201",
            "20261201T000000Z",
            "2026-12",
            "2026-W49-2",
            "1796083200",
            "12-1-2026",
            "01/12/2026",
            "2026-02-29",
            "+002026-12-01",
            "2026-12-01é",
            "2026-12-0１",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
