//! Why an object cannot be understood, and what to write instead.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use secret_rotation_core::{
    names::{Arn, InvalidName, SecretName},
    time::ServerTime,
};
use thiserror::Error;

/// An object that cannot be translated into core. Each variant names the field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// A number or duration that is none, or lies beyond its bounds.
    #[error("{path} is {value}; write {bounds}")]
    OutOfBounds {
        /// Which field.
        path: String,
        /// What it holds.
        value: String,
        /// What it may hold.
        bounds: String,
    },
    /// A text that is not the name it should be.
    #[error("{path}: {source}")]
    Name {
        /// Which field.
        path: String,
        /// What was expected.
        source: InvalidName,
    },
    /// A field that must be there.
    #[error("{path} is missing; {advice}")]
    Missing {
        /// Which field.
        path: String,
        /// What to write.
        advice: &'static str,
    },
    /// Fields that contradict each other, or a value that means something else than it seems to.
    #[error("{path}: {advice}")]
    Contradiction {
        /// Which field.
        path: String,
        /// What to write.
        advice: String,
    },
    /// A part of the status that only the controller writes, and did not write like this.
    #[error("{path}: {text:?} is not {expected}; only the controller may write it")]
    Unreadable {
        /// Which field.
        path: String,
        /// What it holds.
        text: String,
        /// What it should hold.
        expected: &'static str,
    },
}

impl Invalid {
    /// The condition reason.
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

/// Refuses what can be no name of a secret, nor the beginning of one.
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
        "write only letters, digits and / _ + = . @ -: no name of a secret has other characters",
    ))
}

/// Parses one of core's names, adding the field to the error.
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

/// Takes a field of `metadata` that every stored object has.
pub(crate) fn stored<'a>(path: &str, field: Option<&'a String>) -> Result<&'a str, Invalid> {
    field.map(String::as_str).ok_or_else(|| Invalid::Missing {
        path: path.to_owned(),
        advice: "an object read from an API server has it",
    })
}

/// Takes the time at which the object was deleted, if a finalizer still keeps it.
pub(crate) fn deleted(time: Option<&Time>) -> Option<ServerTime> {
    time.map(|time| ServerTime::new(time.0))
}

/// Takes the creation time that every stored object has.
pub(crate) fn created(time: Option<&Time>) -> Result<ServerTime, Invalid> {
    let path = "metadata.creationTimestamp".to_owned();
    let missing = Invalid::Missing {
        path,
        advice: "an object read from an API server has it",
    };
    time.map(|time| ServerTime::new(time.0)).ok_or(missing)
}
