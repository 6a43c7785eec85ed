//! Durations in the format of kubectl: at most two units, coarser for longer times.

use jiff::{SignedDuration, Timestamp};
use secret_rotation_core::time::AwsTime;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Formats a duration, such as `41s`, `2h7m` or `31d`. A negative one is `0s`.
pub(crate) fn length(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let two = |large: i64, unit: &str, small: i64, rest: &str| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{rest}")
        }
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        _ => two(seconds / (365 * DAY), "y", seconds % (365 * DAY) / DAY, "d"),
    }
}

/// Formats the age of something. AWS's clock may be a little ahead of the API server's: that is `0s`.
pub(crate) fn since(then: Timestamp, now: Timestamp) -> String {
    length(now.duration_since(then))
}

/// Formats the time until something; `None` if it is past.
pub(crate) fn until(then: Timestamp, now: Timestamp) -> Option<String> {
    let wait = then.duration_since(now);
    wait.is_positive().then(|| length(wait))
}

/// Returns the age of something by AWS's clock; a dash if its time is unknown.
pub(crate) fn age_or_dash(then: Option<AwsTime>, now: AwsTime) -> String {
    then.map_or_else(dash, |then| since(then.timestamp(), now.timestamp()))
}

/// Returns the time until something is due by AWS's clock: `18d`, `overdue` if it is past, a dash if it is unknown.
pub(crate) fn wait_or_dash(then: Option<AwsTime>, now: AwsTime) -> String {
    let Some(then) = then else { return dash() };
    until(then.timestamp(), now.timestamp()).unwrap_or_else(|| "overdue".to_owned())
}

/// Returns the text for an unknown value.
pub(crate) fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_past_due_time_is_overdue_and_an_unknown_one_is_a_dash() {
        let now = AwsTime::new("2026-11-23T10:00:00Z".parse().expect("a time"));
        let day = Duration::from_hours(24);
        assert_eq!(
            [
                None,
                Some(now.plus(day * 18)),
                Some(now),
                Some(now.minus(day))
            ]
            .map(|then| wait_or_dash(then, now)),
            ["-", "18d", "overdue", "overdue"]
        );
        assert_eq!(
            [None, Some(now.minus(day * 2))].map(|then| age_or_dash(then, now)),
            ["-", "2d"]
        );
    }

    #[test]
    fn durations_have_the_format_of_kubectl() {
        for (seconds, text) in [
            (-5, "0s"),
            (41, "41s"),
            (119, "119s"),
            (150, "2m30s"),
            (300, "5m"),
            (7_620, "127m"),
            (11_220, "3h7m"),
            (86_400, "24h"),
            (183_600, "2d3h"),
            (2_678_400, "31d"),
            (63_158_400, "2y1d"),
        ] {
            assert_eq!(
                length(SignedDuration::from_secs(seconds)),
                text,
                "{seconds}"
            );
        }
    }
}
