//! Ages and spans as kubectl prints them: two units at most, and only where the second one matters.

use secret_rotation_core::clock::AwsTime;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// How long ago something was; a dash if nobody knows.
pub(crate) fn since(time: Option<AwsTime>, now: AwsTime) -> String {
    time.map_or_else(dash, |time| human(now.since(time).as_secs()))
}

/// In how long something will be: `18d`, or `overdue` if it should have been.
pub(crate) fn until(time: Option<AwsTime>, now: AwsTime) -> String {
    match time {
        None => dash(),
        Some(time) if time <= now => "overdue".to_owned(),
        Some(time) => human(time.since(now).as_secs()),
    }
}

/// What stands where nothing is known.
pub(crate) fn dash() -> String {
    "-".to_owned()
}

/// `45s`, `9m12s`, `26h`, `12d`, `2y40d`: the rules of apimachinery's `HumanDuration`.
pub(crate) fn human(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / MINUTE, seconds / HOUR, seconds / DAY);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % MINUTE, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(seconds / YEAR, "y", days % 365, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn two(first: u64, unit: &str, second: u64, smaller: &str) -> String {
    if second == 0 {
        format!("{first}{unit}")
    } else {
        format!("{first}{unit}{second}{smaller}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_look_as_kubectl_prints_them() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (552, "9m12s"),
            (600, "10m"),
            (11_220, "3h7m"),
            (93_600, "26h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (12 * DAY, "12d"),
            (770 * DAY, "2y40d"),
            (3000 * DAY, "8y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }
}
