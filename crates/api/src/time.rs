//! An instant in a status, as text.

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secret_rotation_core::time::{AwsTime, ServerTime};
use serde::{Deserialize, Serialize};

use crate::Invalid;

/// An RFC 3339 instant. It stays text until it is parsed, so that one bad time does not hide a whole object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(String);

impl Time {
    /// Writes an instant of AWS's clock with every digit, for what is compared later.
    pub fn exact(time: AwsTime) -> Self {
        Self(time.timestamp().to_string())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The instant, if the text is one.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.0.parse().ok()
    }

    /// The instant on AWS's clock, if the text is one.
    pub fn aws(&self) -> Option<AwsTime> {
        self.timestamp().map(AwsTime::new)
    }

    pub(crate) fn parse(&self, path: &str) -> Result<AwsTime, Invalid> {
        self.aws()
            .ok_or_else(|| Invalid::unreadable(path, &self.0, "an RFC 3339 time"))
    }
}

impl From<AwsTime> for Time {
    /// Writes whole seconds, for people.
    fn from(time: AwsTime) -> Self {
        Self(time.to_string())
    }
}

impl From<ServerTime> for Time {
    /// Writes whole seconds, for people.
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
