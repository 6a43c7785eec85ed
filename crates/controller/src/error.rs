//! What can go wrong between the two sides, sorted by what to do next.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use secret_rotation_core::aws_error::AwsError;
use thiserror::Error;

/// No `Retry-After` is waited for longer.
const LONGEST_REST: Duration = Duration::from_mins(5);

/// A reconcile that could not do its work.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The object changed since it was read: begin again with a fresh read.
    #[error("the object changed meanwhile")]
    Conflict,
    /// The object is not there.
    #[error("the object does not exist")]
    NotFound,
    /// The object exists already.
    #[error("the object exists already")]
    AlreadyExists,
    /// The API server said no. Right after a restart it says so to everybody, so this is no verdict.
    #[error("the Kubernetes API server answered {code} {reason}")]
    Kubernetes {
        /// HTTP status.
        code: u16,
        /// The reason in its Status.
        reason: String,
    },
    /// The API server asks to be left alone for a while.
    #[error(transparent)]
    Busy(Busy),
    /// Something may not be read that must be.
    #[error(
        "the controller may not read {0}; grant it what `secret-rotation-controller selftest` lists"
    )]
    Forbidden(String),
    /// The API server did not answer, or not in time.
    #[error("the Kubernetes API server could not be reached: {0}")]
    Unreachable(String),
    /// An object of ours could not be understood.
    #[error("{0}")]
    Invalid(String),
    /// AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Something has changed since this step began, so what was read may no longer hold.
    #[error("begin again: {0}")]
    Stale(&'static str),
}

/// The API server asks to be left alone: 429 or 503 with a `Retry-After`.
#[derive(Clone, Copy, Debug, Error)]
#[error("the Kubernetes API server answered {code}: try again in {} s", rest.as_secs())]
pub(crate) struct Busy {
    /// HTTP status.
    code: u16,
    /// How long it asks for.
    pub rest: Duration,
}

impl Busy {
    /// A date instead of seconds, which no API server sends, is as good as none.
    pub(crate) fn told(code: StatusCode, headers: &HeaderMap) -> Option<Self> {
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
    /// The same, with what was read, if that is forbidden.
    pub(crate) fn reading(self, what: impl FnOnce() -> String) -> Self {
        if matches!(self, Self::Kubernetes { code: 403, .. }) {
            Self::Forbidden(what())
        } else {
            self
        }
    }

    /// Whether the object changed since it was read.
    pub(crate) const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict | Self::AlreadyExists)
    }

    /// Whether the next try is expected to work: no failure that anybody must look at.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Conflict | Self::AlreadyExists | Self::Stale(_))
    }

    /// How long the API server asked to be left alone, if it did.
    pub(crate) fn rest(&self) -> Option<Duration> {
        match self {
            Self::Busy(busy) => Some(busy.rest.min(LONGEST_REST)),
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

    /// How `reconcile_total` counts it.
    pub(crate) const fn result(&self) -> &'static str {
        match self {
            Self::Conflict | Self::AlreadyExists | Self::Stale(_) => "requeue",
            Self::Invalid(_) => "terminal_error",
            Self::NotFound
            | Self::Kubernetes { .. }
            | Self::Busy(_)
            | Self::Forbidden(_)
            | Self::Unreachable(_)
            | Self::Aws(_) => "error",
        }
    }
}

impl From<kube::Error> for Error {
    /// Keeps codes and short texts: `Display` of kube's API error prints the whole Status.
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
                Self::Invalid(format!("an object could not be understood: {error}"))
            }
            kube::Error::Service(error) => match error.downcast::<Busy>() {
                Ok(busy) => Self::Busy(*busy),
                Err(error) => Self::Unreachable(error.to_string()),
            },
            other => Self::Unreachable(other.to_string()),
        }
    }
}
