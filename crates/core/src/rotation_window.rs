//! AWS's rotation window, in which AWS retries a failed rotation by itself.
//!
//! This is not a maintenance window of a policy. AWS documents neither how often nor how long it retries, only that it
//! does so "during the open rotation windows" (User Guide, rotation by Lambda function). So a window that is not
//! plainly known counts as open until the end of the UTC day.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::secret::{Rotation, RotationRules, Secret};
use crate::time::AwsTime;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// After this time without a change, AWS no longer retries a rotation.
const ALWAYS_CLOSED_AFTER: Duration = Duration::from_hours(24);

/// Returns when the window closes in which AWS may still retry a rotation that last changed at `quiet_since`; `None` if
/// it is closed.
pub fn closes_at(secret: &Secret, quiet_since: AwsTime, now: AwsTime) -> Option<AwsTime> {
    let limit = quiet_since.plus(ALWAYS_CLOSED_AFTER);
    let Rotation::Enabled { rules, .. } = &secret.rotation else {
        return None;
    };
    let close = match DailyWindows::parse(rules) {
        Some(windows) if windows.close_after(quiet_since).is_some() => windows.close_after(now),
        Some(windows) => end_of_day(quiet_since)
            .filter(|end| now < *end)
            .max(windows.close_after(now)),
        None => end_of_day(quiet_since).filter(|end| now < *end),
    };
    close
        .map(|close| close.min(limit))
        .filter(|close| now < *close)
}

/// Windows that open at the same whole hours (UTC) every day. A schedule that skips days is treated as one that opens
/// daily.
struct DailyWindows {
    hours: BTreeSet<i64>,
    length: i64,
}

impl DailyWindows {
    /// Parses `cron(0 H … )` with plain hours and a duration in hours, and nothing else.
    fn parse(rules: &RotationRules) -> Option<Self> {
        let fields = rules
            .schedule
            .as_deref()?
            .strip_prefix("cron(")?
            .strip_suffix(')')?;
        let mut fields = fields.split_whitespace();
        let (minute, hours) = (fields.next()?, fields.next()?);
        let hours = hours
            .split(',')
            .map(|hour| hour.parse().ok().filter(|hour| (0..24).contains(hour)))
            .collect::<Option<_>>()?;
        let length: i64 = rules.duration.as_deref()?.strip_suffix('h')?.parse().ok()?;
        (minute == "0" && (1..=24).contains(&length)).then_some(Self {
            hours,
            length: length.checked_mul(HOUR)?,
        })
    }

    /// Returns when the window that is open at this instant closes.
    fn close_after(&self, instant: AwsTime) -> Option<AwsTime> {
        let second = instant.timestamp().as_second();
        let midnight = second - second.rem_euclid(DAY);
        let openings = self
            .hours
            .iter()
            .flat_map(|hour| [midnight + hour * HOUR, midnight + hour * HOUR - DAY]);
        let closes = openings
            .filter(|open| (*open..open + self.length).contains(&second))
            .map(|open| open + self.length)
            .max()?;
        Timestamp::from_second(closes).ok().map(AwsTime::new)
    }
}

fn end_of_day(instant: AwsTime) -> Option<AwsTime> {
    let second = instant.timestamp().as_second();
    Timestamp::from_second(second - second.rem_euclid(DAY) + DAY)
        .ok()
        .map(AwsTime::new)
}
