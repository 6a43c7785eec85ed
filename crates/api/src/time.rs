//! An instant in a status, as text.

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secret_rotation_core::time::{AwsTime, ServerTime};
use serde::{Deserialize, Serialize};

use crate::Invalid;

/// An RFC 3339 instant. It stays text until it is parsed, so that one invalid time does not make a whole object
/// unreadable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(String);

impl Time {
    /// Formats an instant of the clock of AWS with all its digits, for times that are compared later.
    pub fn exact(time: AwsTime) -> Self {
        Self(time.timestamp().to_string())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the instant, if the text is valid.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.0.parse().ok()
    }

    /// Returns the instant on the clock of AWS, if the text is valid.
    pub fn aws(&self) -> Option<AwsTime> {
        self.timestamp().map(AwsTime::new)
    }

    pub(crate) fn parse(&self, path: &str) -> Result<AwsTime, Invalid> {
        self.aws()
            .ok_or_else(|| Invalid::unreadable(path, &self.0, "an RFC 3339 time"))
    }
}

impl From<AwsTime> for Time {
    /// Formats whole seconds, for people.
    fn from(time: AwsTime) -> Self {
        Self(time.to_string())
    }
}

impl From<ServerTime> for Time {
    /// Formats whole seconds, for people.
    fn from(time: ServerTime) -> Self {
        Self(time.to_string())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "maxLength": 64 })
    }
}
