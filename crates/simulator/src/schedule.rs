//! Calculates the next rotation date as AWS does.

use jiff::{SignedDuration, Timestamp};

use crate::model::Rotation;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Returns the next rotation date after a rotation, or after a change of the rules, at `from`. `None` if rotation is
/// off.
///
/// Windows start on the hour. Schedules in days start at midnight UTC (User Guide, rotation schedules). Of `cron(…)`
/// only plain hours are supported, on every day.
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
            HOUR => after(on_the_hour, number, HOUR),
            _ => end_of_day(from, number),
        };
    }
    let fields = expression.strip_prefix("cron(")?.strip_suffix(')')?;
    let hours: Vec<i64> = fields
        .split_whitespace()
        .nth(1)?
        .split(',')
        .filter_map(|hour| hour.parse().ok())
        .filter(|hour| (0..24).contains(hour))
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

/// Returns the days between rotations, as AWS calculates them from `rate(…)`. The days for `cron(…)` are not
/// documented.
pub(crate) fn days(rotation: &Rotation) -> Option<i64> {
    let computed = || {
        let (number, unit) = rate(rotation.schedule.as_deref()?)?;
        Some((number * unit + DAY - 1).div_euclid(DAY))
    };
    rotation.days.or_else(computed)
}

/// Returns whether AWS accepts the expression: 4 hours to 999 days, or a cron of whole hours in any year (User Guide,
/// schedules).
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

/// Returns the number of a rate, and the seconds of its unit.
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

/// Returns the last second of a window that is open for a whole day.
fn end_of_day(from: Timestamp, days: i64) -> Option<Timestamp> {
    let midnight = from.as_second() - from.as_second().rem_euclid(DAY);
    let last = after(midnight + DAY, days, DAY)?;
    last.checked_sub(SignedDuration::from_secs(1)).ok()
}

/// Returns the end of a period. `None` if the period is not positive or ends beyond the range of [`Timestamp`].
fn after(second: i64, number: i64, unit: i64) -> Option<Timestamp> {
    let period = number.checked_mul(unit).filter(|period| *period > 0)?;
    Timestamp::from_second(second.checked_add(period)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_of(schedule: Option<&str>, days: Option<i64>, from: &str) -> Option<String> {
        let rotation = Rotation {
            enabled: Some(true),
            schedule: schedule.map(str::to_owned),
            days,
            ..Rotation::default()
        };
        next(&rotation, from.parse().unwrap()).map(|at| at.to_string())
    }

    const FROM: &str = "2026-11-23T10:20:30Z";

    #[test]
    fn a_period_in_days_ends_with_its_last_day() {
        let end = Some("2026-12-23T23:59:59Z".to_owned());
        assert_eq!(next_of(None, Some(30), FROM), end);
        assert_eq!(next_of(Some("rate(30 days)"), None, FROM), end);
    }

    #[test]
    fn a_period_in_hours_starts_on_the_hour() {
        let next = next_of(Some("rate(4 hours)"), None, FROM);
        assert_eq!(next.as_deref(), Some("2026-11-23T14:00:00Z"));
    }

    #[test]
    fn a_cron_expression_opens_at_its_next_hour() {
        let schedule = Some("cron(0 2,16 * * ? *)");
        let today = next_of(schedule, None, FROM);
        assert_eq!(today.as_deref(), Some("2026-11-23T16:00:00Z"));
        let tomorrow = next_of(schedule, None, "2026-11-23T16:00:00Z");
        assert_eq!(tomorrow.as_deref(), Some("2026-11-24T02:00:00Z"));
    }

    #[test]
    fn an_invalid_or_endless_period_has_no_next_date() {
        for days in [0, -1, i64::MAX] {
            assert_eq!(next_of(None, Some(days), FROM), None, "{days}");
        }
        for schedule in [
            "rate(0 hours)",
            "rate(9223372036854775807 hours)",
            "at noon",
        ] {
            assert_eq!(next_of(Some(schedule), None, FROM), None, "{schedule}");
        }
    }

    #[test]
    fn a_rotation_that_is_off_has_no_next_date() {
        let rotation = Rotation {
            days: Some(30),
            ..Rotation::default()
        };
        assert_eq!(next(&rotation, FROM.parse().unwrap()), None);
    }
}
