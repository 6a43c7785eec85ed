//! The errors of both sides, Kubernetes and AWS, sorted by what the caller does next.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use secret_rotation_core::aws_error::AwsError;
use thiserror::Error;

use crate::metrics::labels::ReconcileResult;

/// Maximum pause for a `Retry-After`.
const LONGEST_REST: Duration = Duration::from_mins(5);

/// Why a reconcile failed.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The object changed since it was read: start again with a fresh read.
    #[error("the object has changed since it was read")]
    Conflict,
    /// The object does not exist.
    #[error("the object does not exist")]
    NotFound,
    /// The object exists already.
    #[error("the object exists already")]
    AlreadyExists,
    /// The API server refused the request. Right after a restart it refuses every request, so this is not a final
    /// answer.
    #[error("the Kubernetes API server answered {code} {reason}")]
    Kubernetes {
        /// The HTTP status code.
        code: u16,
        /// The reason in the Status object.
        reason: String,
    },
    /// The API server asks to be left alone for some time.
    #[error(transparent)]
    ServerBusy(ServerBusy),
    /// The controller must not read something that it needs.
    #[error(
        "the controller may not read {0}; grant it what `secret-rotation-controller selftest` lists"
    )]
    Forbidden(String),
    /// The API server did not answer, or not in time.
    #[error("the Kubernetes API server could not be reached: {0}")]
    Unreachable(String),
    /// An object could not be parsed.
    #[error("{0}")]
    Invalid(String),
    /// AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Something has changed since this step began, so its facts may be out of date.
    #[error("reconcile starts again: {0}")]
    Stale(&'static str),
}

/// The API server asks to be left alone: a 429 or 503 with a `Retry-After`.
#[derive(Clone, Copy, Debug, Error)]
#[error("the Kubernetes API server answered {code}: try again in {} s", rest.as_secs())]
pub(crate) struct ServerBusy {
    /// The HTTP status code.
    code: u16,
    /// The requested pause.
    pub rest: Duration,
}

impl ServerBusy {
    /// Returns the request for a pause in an answer, if there is one. A date instead of seconds is ignored, because
    /// no API server sends one.
    pub(crate) fn from_response(code: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let asks = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        let seconds = seconds.trim().parse().ok()?;
        asks.contains(&code).then_some(Self {
            code: code.as_u16(),
            rest: Duration::from_secs(seconds),
        })
    }
}

impl Error {
    /// Adds what was read to an error if reading it is forbidden.
    pub(crate) fn while_reading(self, what: impl FnOnce() -> String) -> Self {
        if matches!(self, Self::Kubernetes { code: 403, .. }) {
            Self::Forbidden(what())
        } else {
            self
        }
    }

    /// Returns whether the object changed since it was read.
    pub(crate) const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict | Self::AlreadyExists)
    }

    /// Returns whether the next try is expected to succeed, so that no one needs to look at the error.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Conflict | Self::AlreadyExists | Self::Stale(_))
    }

    /// Returns how long the API server asked to be left alone, if it did.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ServerBusy(busy) => Some(busy.rest.min(LONGEST_REST)),
            Self::Conflict
            | Self::NotFound
            | Self::AlreadyExists
            | Self::Kubernetes { .. }
            | Self::Forbidden(_)
            | Self::Unreachable(_)
            | Self::Invalid(_)
            | Self::Aws(_)
            | Self::Stale(_) => None,
        }
    }

    /// Returns the value of label `result` in `reconcile_total`.
    pub(crate) const fn result(&self) -> ReconcileResult {
        match self {
            Self::Conflict | Self::AlreadyExists | Self::Stale(_) => ReconcileResult::Requeue,
            Self::Invalid(_) => ReconcileResult::TerminalError,
            Self::NotFound
            | Self::Kubernetes { .. }
            | Self::ServerBusy(_)
            | Self::Forbidden(_)
            | Self::Unreachable(_)
            | Self::Aws(_) => ReconcileResult::Error,
        }
    }
}

impl From<kube::Error> for Error {
    /// Keeps only codes and short texts: `Display` of the API error of kube prints the whole Status.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "everything else means that no answer was had"
    )]
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match (status.code, status.reason.as_str()) {
                (409, "AlreadyExists") => Self::AlreadyExists,
                (409, _) => Self::Conflict,
                (404, _) => Self::NotFound,
                (code, reason) => Self::Kubernetes {
                    code,
                    reason: reason.to_owned(),
                },
            },
            kube::Error::SerdeError(error) => {
                Self::Invalid(format!("an object could not be parsed: {error}"))
            }
            kube::Error::Service(error) => match error.downcast::<ServerBusy>() {
                Ok(busy) => Self::ServerBusy(*busy),
                Err(error) => Self::Unreachable(error.to_string()),
            },
            other => Self::Unreachable(other.to_string()),
        }
    }
}
