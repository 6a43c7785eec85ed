//! A whole number with bounds and a default, as the schema promises it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The largest number that every JSON reader represents exactly.
pub const LARGEST: i64 = (1 << 53) - 1;

/// A whole number from `MIN` to `MAX`; `DEFAULT` if the field is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Count<const MIN: i64, const MAX: i64, const DEFAULT: i64 = 0>(i64);

impl<const MIN: i64, const MAX: i64, const DEFAULT: i64> Count<MIN, MAX, DEFAULT> {
    /// Creates a count. A number beyond the bounds becomes the nearest bound.
    pub const fn new(value: i64) -> Self {
        Self(if value < MIN {
            MIN
        } else if value > MAX {
            MAX
        } else {
            value
        })
    }

    /// Returns the number.
    pub const fn value(self) -> i64 {
        self.0
    }

    /// Converts the number to the integer type of core, and refuses it outside the bounds.
    pub(crate) fn parse<T: TryFrom<i64>>(self, path: &str) -> Result<T, Invalid> {
        let within = (MIN..=MAX).contains(&self.0).then_some(self.0);
        within
            .and_then(|value| T::try_from(value).ok())
            .ok_or_else(|| Invalid::OutOfBounds {
                path: path.to_owned(),
                value: self.0.to_string(),
                bounds: format!("a whole number between {MIN} and {MAX}"),
            })
    }
}

impl<const MIN: i64, const MAX: i64, const DEFAULT: i64> Default for Count<MIN, MAX, DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<const MIN: i64, const MAX: i64, const DEFAULT: i64> From<usize> for Count<MIN, MAX, DEFAULT> {
    fn from(value: usize) -> Self {
        Self::new(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl<const MIN: i64, const MAX: i64, const DEFAULT: i64> JsonSchema for Count<MIN, MAX, DEFAULT> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("CountOf{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let format = if i32::try_from(MAX).is_ok() {
            "int32"
        } else {
            "int64"
        };
        json_schema!({ "type": "integer", "format": format, "minimum": MIN, "maximum": MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_limited_to_its_bounds_when_created_and_refused_outside_them_when_parsed() {
        assert_eq!(Count::<1, 5>::from(9).value(), 5);
        let read: Count<1, 5> = serde_json::from_str("9").expect("any number is read");
        let refusal = read
            .parse::<usize>("spec.x")
            .expect_err("beyond the bounds");
        assert_eq!(
            refusal.to_string(),
            "spec.x is 9; write a whole number between 1 and 5"
        );
    }
}
