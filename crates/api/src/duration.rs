//! A duration as text (GEP-2257), with bounds and a default.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{Invalid, schema::rule};

/// One second, in seconds.
pub const SECOND: u64 = 1;
/// One minute, in seconds.
pub const MINUTE: u64 = 60;
/// One hour, in seconds.
pub const HOUR: u64 = 3_600;

/// The pattern of a duration, by GEP-2257 of the Gateway API.
pub const PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// The length of the longest text: four groups of five digits and a unit of two letters.
const MAX_LENGTH: usize = 28;

/// A duration such as `30m` or `1h30m`, from `MIN` to `MAX` seconds; `DEFAULT` if the field is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BoundedDuration<const MIN: u64, const MAX: u64, const DEFAULT: u64>(String);

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> BoundedDuration<MIN, MAX, DEFAULT> {
    /// Creates the text of a duration. A duration beyond the bounds becomes the nearest bound.
    pub fn new(duration: Duration) -> Self {
        Self(written(
            duration.clamp(Duration::from_secs(MIN), Duration::from_secs(MAX)),
        ))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses the text, and refuses a duration outside the bounds.
    pub(crate) fn parse(&self, path: &str) -> Result<Duration, Invalid> {
        let duration = read(&self.0).ok_or_else(|| self.refusal(path))?;
        let within = (Duration::from_secs(MIN)..=Duration::from_secs(MAX)).contains(&duration);
        if within {
            Ok(duration)
        } else {
            Err(self.refusal(path))
        }
    }

    fn refusal(&self, path: &str) -> Invalid {
        Invalid::OutOfBounds {
            path: path.to_owned(),
            value: format!("{:?}", self.0),
            bounds: Self::bounds(),
        }
    }

    fn bounds() -> String {
        format!(
            "a duration between {} and {}, in hours (h), minutes (m) or seconds (s)",
            seconds(MIN),
            seconds(MAX)
        )
    }
}

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> Default
    for BoundedDuration<MIN, MAX, DEFAULT>
{
    fn default() -> Self {
        Self(seconds(DEFAULT))
    }
}

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> From<&str>
    for BoundedDuration<MIN, MAX, DEFAULT>
{
    /// Takes the text unchecked; parsing checks it.
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> fmt::Display
    for BoundedDuration<MIN, MAX, DEFAULT>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> JsonSchema
    for BoundedDuration<MIN, MAX, DEFAULT>
{
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("SpanOf{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let (min, max) = (seconds(MIN), seconds(MAX));
        let bounds = format!(
            "self.matches('{PATTERN}') && duration(self) >= duration('{min}') && duration(self) <= duration('{max}')"
        );
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": MAX_LENGTH,
            "pattern": PATTERN,
            "x-kubernetes-validations": [rule(&bounds, &format!("write {}", Self::bounds()))],
        })
    }
}

/// Parses one to four groups, each of up to five digits and a unit.
fn read(text: &str) -> Option<Duration> {
    let (mut total, mut rest, mut groups) = (Duration::ZERO, text, 0);
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|digits| (1..=5).contains(digits))?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let (unit, tail) = unit(tail)?;
        total = total.checked_add(unit.checked_mul(number.parse().ok()?)?)?;
        (rest, groups) = (tail, groups + 1);
    }
    (1..=4).contains(&groups).then_some(total)
}

fn unit(text: &str) -> Option<(Duration, &str)> {
    let units = [
        ("ms", Duration::from_millis(1)),
        ("h", Duration::from_hours(1)),
        ("m", Duration::from_mins(1)),
        ("s", Duration::from_secs(1)),
    ];
    units
        .into_iter()
        .find_map(|(name, unit)| Some((unit, text.strip_prefix(name)?)))
}

/// Formats a duration with as few groups as possible.
fn written(duration: Duration) -> String {
    let total = duration.as_secs();
    let parts = [
        (total / HOUR, "h"),
        (total % HOUR / MINUTE, "m"),
        (total % MINUTE, "s"),
        (duration.subsec_millis().into(), "ms"),
    ];
    let groups = parts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"));
    let groups: Vec<_> = groups.collect();
    if groups.is_empty() {
        "0s".to_owned()
    } else {
        groups.concat()
    }
}

fn seconds(total: u64) -> String {
    written(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_parsed_as_the_gateway_api_defines_them() {
        for (text, milliseconds) in [
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
            ("00030m", 1_800_000),
            ("1s5ms", 1_005),
        ] {
            assert_eq!(
                read(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "m",
            "1800000ms",
            "1h 30m",
            "-5m",
            "1.5h",
            "5M",
            "1h1m1s1ms1h",
            "5d",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn an_error_describes_what_to_write() {
        let span: BoundedDuration<{ 2 * HOUR }, { 720 * HOUR }, { 6 * HOUR }> = "90m".into();
        let refusal = span
            .parse("spec.detection.stuckAfter")
            .expect_err("too short");
        assert_eq!(
            refusal.to_string(),
            "spec.detection.stuckAfter is \"90m\"; write a duration between 2h and 720h, in hours (h), minutes (m) or seconds (s)"
        );
    }

    proptest! {
        #[test]
        fn every_text_that_the_schema_admits_is_parsed(text in "([0-9]{1,5}(h|m|s|ms)){1,4}") {
            prop_assert!(read(&text).is_some());
        }

        #[test]
        fn a_formatted_duration_is_parsed_back(milliseconds in 0_u64..359_996_400_000) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(read(&written(duration)), Some(duration), "{}", written(duration));
        }
    }
}
