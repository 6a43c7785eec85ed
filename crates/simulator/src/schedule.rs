//! When AWS rotates next.

use jiff::{SignedDuration, Timestamp};

use crate::model::Rotation;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The next rotation date after a rotation, or after rules were set, at `from`; absent if rotation is off.
///
/// Windows start on the hour; schedules in days start at midnight UTC (User Guide, rotation schedules). Of `cron(…)` only
/// plain hours are understood, on every day.
pub(crate) fn next(rotation: &Rotation, from: Timestamp) -> Option<Timestamp> {
    (rotation.enabled == Some(true)).then_some(())?;
    if let Some(expression) = &rotation.schedule {
        return by_expression(expression, from);
    }
    rotation.days.and_then(|days| end_of_day(from, days))
}

fn by_expression(expression: &str, from: Timestamp) -> Option<Timestamp> {
    if let Some((number, unit)) = rate(expression) {
        let on_the_hour = from.as_second() - from.as_second().rem_euclid(HOUR);
        return match unit {
            HOUR => Timestamp::from_second(on_the_hour + number * HOUR).ok(),
            _ => end_of_day(from, number),
        };
    }
    let fields = expression.strip_prefix("cron(")?.strip_suffix(')')?;
    let hours: Vec<i64> = fields
        .split_whitespace()
        .nth(1)?
        .split(',')
        .filter_map(|hour| hour.parse().ok())
        .collect();
    let midnight = from.as_second() - from.as_second().rem_euclid(DAY);
    let openings = (0..=1).flat_map(|day| {
        hours
            .iter()
            .map(move |hour| midnight + day * DAY + hour * HOUR)
    });
    openings
        .filter(|opening| *opening > from.as_second())
        .min()
        .and_then(|opening| Timestamp::from_second(opening).ok())
}

/// Days between rotations, as AWS computes them from `rate(…)`; what it makes of `cron(…)` is not documented.
pub(crate) fn days(rotation: &Rotation) -> Option<i64> {
    let computed = || {
        let (number, unit) = rate(rotation.schedule.as_deref()?)?;
        Some((number * unit + DAY - 1).div_euclid(DAY))
    };
    rotation.days.or_else(computed)
}

/// Whether AWS takes the expression: 4 hours to 999 days, or a cron of whole hours in any year (User Guide, schedules).
pub(crate) fn is_valid(expression: &str) -> bool {
    if let Some((number, unit)) = rate(expression) {
        return (4 * HOUR..=999 * DAY).contains(&number.saturating_mul(unit));
    }
    let fields = expression
        .strip_prefix("cron(")
        .and_then(|rest| rest.strip_suffix(')'));
    let fields: Vec<_> = fields.unwrap_or_default().split_whitespace().collect();
    let &[minutes, _, day_of_month, _, day_of_week, year] = fields.as_slice() else {
        return false;
    };
    minutes == "0" && year == "*" && (day_of_month == "?") != (day_of_week == "?")
}

/// The number of a rate, and the seconds of its unit.
fn rate(expression: &str) -> Option<(i64, i64)> {
    let rate = expression.strip_prefix("rate(")?.strip_suffix(')')?;
    let (number, unit) = rate.split_once(' ')?;
    let unit = match unit.trim_end_matches('s') {
        "hour" => HOUR,
        "day" => DAY,
        _ => return None,
    };
    Some((number.parse().ok()?, unit))
}

/// The latest date of a window that is open for a whole day.
fn end_of_day(from: Timestamp, days: i64) -> Option<Timestamp> {
    let midnight = from.as_second() - from.as_second().rem_euclid(DAY);
    let last = Timestamp::from_second(midnight + (days + 1) * DAY).ok()?;
    last.checked_sub(SignedDuration::from_secs(1)).ok()
}
