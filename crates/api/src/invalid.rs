//! Why an object cannot be parsed, and what to write instead.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use secret_rotation_core::{
    names::{Arn, InvalidName, SecretName},
    time::ServerTime,
};
use thiserror::Error;

/// Why an object cannot be converted to the types of core. Each variant names the field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// A text that is no number or duration, or one outside its bounds.
    #[error("{path} is {value}; write {bounds}")]
    OutOfBounds {
        /// The path of the field.
        path: String,
        /// The value of the field.
        value: String,
        /// The values that the field may have.
        bounds: String,
    },
    /// A text that is not a valid name of the expected form.
    #[error("{path}: {source}")]
    Name {
        /// The path of the field.
        path: String,
        /// Why the text is not a valid name.
        source: InvalidName,
    },
    /// A required field that is absent.
    #[error("{path} is missing; {advice}")]
    Missing {
        /// The path of the field.
        path: String,
        /// What to write.
        advice: &'static str,
    },
    /// Fields that contradict each other, or a value that does not mean what it appears to mean.
    #[error("{path}: {advice}")]
    Contradiction {
        /// The path of the field.
        path: String,
        /// What to write.
        advice: String,
    },
    /// A part of the status that only the controller writes, in a form that the controller does not write.
    #[error("{path}: {text:?} is not {expected}; only the controller may write it")]
    Unreadable {
        /// The path of the field.
        path: String,
        /// The value of the field.
        text: String,
        /// The value that the field should have.
        expected: &'static str,
    },
}

impl Invalid {
    /// Returns the reason for the condition.
    pub const fn reason(&self) -> &'static str {
        "InvalidSpec"
    }

    pub(crate) fn unreadable(path: &str, text: &str, expected: &'static str) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            text: text.to_owned(),
            expected,
        }
    }

    pub(crate) fn contradiction(path: &str, advice: impl Into<String>) -> Self {
        Self::Contradiction {
            path: path.to_owned(),
            advice: advice.into(),
        }
    }
}

/// Refuses a text that can be neither the name of a secret nor the beginning of one.
pub(crate) fn possible(path: &str, text: &str) -> Result<(), Invalid> {
    if text.starts_with("arn:") {
        let advice = Arn::parse(text).map_or_else(
            |_| "write the beginning of names, not of an ARN".to_owned(),
            |arn| format!("write the name {} instead of the ARN", arn.name()),
        );
        return Err(Invalid::contradiction(path, advice));
    }
    if SecretName::is_possible(text) {
        return Ok(());
    }
    Err(Invalid::contradiction(
        path,
        "write only letters, digits and / _ + = . @ -: the name of a secret has no other characters",
    ))
}

/// Parses a name with a parser of core, and adds the path of the field to the error.
pub(crate) fn named<T>(
    path: &str,
    text: &str,
    parse: impl FnOnce(String) -> Result<T, InvalidName>,
) -> Result<T, Invalid> {
    parse(text.to_owned()).map_err(|source| Invalid::Name {
        path: path.to_owned(),
        source,
    })
}

/// Returns a field of `metadata` that every stored object has.
pub(crate) fn stored<'a>(path: &str, field: Option<&'a String>) -> Result<&'a str, Invalid> {
    field.map(String::as_str).ok_or_else(|| Invalid::Missing {
        path: path.to_owned(),
        advice: "an object read from an API server has it",
    })
}

/// Returns when the deletion of the object was requested, if a finalizer still keeps it.
pub(crate) fn deleted(time: Option<&Time>) -> Option<ServerTime> {
    time.map(|time| ServerTime::new(time.0))
}

/// Returns the creation time, which every stored object has.
pub(crate) fn created(time: Option<&Time>) -> Result<ServerTime, Invalid> {
    let path = "metadata.creationTimestamp".to_owned();
    let missing = Invalid::Missing {
        path,
        advice: "an object read from an API server has it",
    };
    time.map(|time| ServerTime::new(time.0)).ok_or(missing)
}
