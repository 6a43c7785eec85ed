//! Cron schedules: the minutes at which a maintenance window opens.
//!
//! It accepts the five fields and the macros that Kubernetes accepts for a `CronJob` (`robfig/cron`, standard parser).
//! If both day of the month and day of the week are restricted, a day matches if either does, as in cron(5).

use jiff::civil::{Date, DateTime, Time};
use thiserror::Error;

/// The number of days within which every day of the calendar occurs: the longest gap is the one between 29 February
/// 2096 and 29 February 2104. A 29 February on a given weekday is rarer, but no schedule requires both.
const HORIZON_DAYS: i32 = 9 * 366;

/// The minutes at which a window opens, in local time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    days_are_restricted: bool,
    weekdays_are_restricted: bool,
}

/// Why a text is not a schedule. Each message shows what to write.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// The text does not have five fields.
    #[error(
        "write five fields: minute, hour, day of month, month, day of week, as in 0 2 * * 1-5; it has {0}"
    )]
    FieldCount(usize),
    /// The macro does not exist.
    #[error(
        "{0} is not a macro; write @hourly, @daily, @weekly, @monthly, @yearly, or five fields"
    )]
    Macro(String),
    /// The schedule contains a time zone.
    #[error("write the time zone in timeZone, not in the schedule")]
    Zone,
    /// One field is invalid.
    #[error(
        "{text} is not a valid {field}; write {least} to {most}, a list, a range as in {least}-{most}, or a step as in */2"
    )]
    Field {
        /// The name of the field.
        field: &'static str,
        /// The text of the field.
        text: String,
        /// The least number allowed.
        least: u8,
        /// The greatest number allowed.
        most: u8,
    },
    /// No day ever matches.
    #[error("no day ever matches the schedule; correct the day of month and the month")]
    Never,
}

struct Field {
    name: &'static str,
    least: u8,
    most: u8,
    names: &'static [&'static str],
}

const MINUTE: Field = Field {
    name: "minute",
    least: 0,
    most: 59,
    names: &[],
};
const HOUR: Field = Field {
    name: "hour",
    least: 0,
    most: 23,
    names: &[],
};
const DAY: Field = Field {
    name: "day of month",
    least: 1,
    most: 31,
    names: &[],
};
const MONTH: Field = Field {
    name: "month",
    least: 1,
    most: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
/// Sunday is 0, and also 7.
const WEEKDAY: Field = Field {
    name: "day of week",
    least: 0,
    most: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

impl Schedule {
    /// Parses five fields or a macro.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a schedule, or if no day ever matches it.
    pub(crate) fn parse(text: &str) -> Result<Self, ScheduleError> {
        if text.contains("TZ=") {
            return Err(ScheduleError::Zone);
        }
        let text = expand(text.trim())?;
        let fields: Vec<_> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(ScheduleError::FieldCount(fields.len()));
        };
        let weekdays = WEEKDAY.parse(weekday)?;
        let schedule = Self {
            minutes: MINUTE.parse(minute)?,
            hours: HOUR.parse(hour)?,
            days: DAY.parse(day)?,
            months: MONTH.parse(month)?,
            weekdays: (weekdays | weekdays >> 7) & 0b111_1111,
            days_are_restricted: !is_star(day),
            weekdays_are_restricted: !is_star(weekday),
        };
        let comes = schedule
            .days_from(Date::constant(2024, 1, 1))
            .next()
            .is_some();
        if comes {
            Ok(schedule)
        } else {
            Err(ScheduleError::Never)
        }
    }

    /// Returns the local minutes that match, from `start` on, in order, up to the horizon.
    pub(crate) fn from(&self, start: DateTime) -> impl Iterator<Item = DateTime> {
        self.days_from(start.date())
            .flat_map(|day| self.times().map(move |time| day.to_datetime(time)))
            .skip_while(move |minute| *minute < start)
    }

    fn days_from(&self, first: Date) -> impl Iterator<Item = Date> {
        let mut next = Some(first);
        let days = std::iter::from_fn(move || {
            let day = next?;
            next = day.tomorrow().ok();
            Some(day)
        });
        days.take(usize::try_from(HORIZON_DAYS).unwrap_or(usize::MAX))
            .filter(|day| self.has_day(*day))
    }

    fn has_day(&self, day: Date) -> bool {
        let by_day = has(self.days, day.day());
        let by_weekday = has(self.weekdays, day.weekday().to_sunday_zero_offset());
        let by_either = if self.days_are_restricted && self.weekdays_are_restricted {
            by_day || by_weekday
        } else {
            by_day && by_weekday
        };
        has(self.months, day.month()) && by_either
    }

    fn times(&self) -> impl Iterator<Item = Time> {
        let minutes = self.minutes;
        let hours = (0..24_i8).filter(|hour| has(self.hours, *hour));
        hours.flat_map(move |hour| {
            let minutes = (0..60_i8).filter(move |minute| has(minutes, *minute));
            minutes.map(move |minute| Time::constant(hour, minute, 0, 0))
        })
    }
}

impl Field {
    fn parse(&self, text: &str) -> Result<u64, ScheduleError> {
        text.split(',')
            .map(|part| self.part(part))
            .try_fold(0, |all, part| part.map(|part| all | part))
            .ok_or_else(|| ScheduleError::Field {
                field: self.name,
                text: text.to_owned(),
                least: self.least,
                most: self.most,
            })
    }

    fn part(&self, text: &str) -> Option<u64> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
            None => (text, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if is_star(range) => (self.least, self.most),
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            None => {
                let only = self.value(range)?;
                (only, step.map_or(only, |_| self.most))
            }
        };
        if first > last {
            return None;
        }
        let matching = (first..=last).step_by(usize::from(step.unwrap_or(1)));
        Some(matching.fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u8> {
        let named = self
            .names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text))
            .and_then(|index| u8::try_from(index).ok())
            .and_then(|index| index.checked_add(self.least));
        named
            .or_else(|| number(text))
            .filter(|value| (self.least..=self.most).contains(value))
    }
}

fn expand(text: &str) -> Result<&str, ScheduleError> {
    Ok(match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ if text.starts_with('@') => return Err(ScheduleError::Macro(text.to_owned())),
        _ => text,
    })
}

fn is_star(text: &str) -> bool {
    matches!(text, "*" | "?")
}

/// Parses digits only: `parse` alone would also accept a sign.
fn number(text: &str) -> Option<u8> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value)
        .ok()
        .and_then(|value| bits.checked_shr(value))
        .is_some_and(|bits| bits & 1 == 1)
}
