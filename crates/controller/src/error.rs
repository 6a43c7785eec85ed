//! What can go wrong between the two sides, sorted by what to do next.

use secret_rotation_core::outcome::AwsError;
use thiserror::Error;

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

impl Error {
    /// Whether the object changed since it was read.
    pub(crate) const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict | Self::AlreadyExists)
    }

    /// Whether the next try is expected to work: no failure that anybody must look at.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Conflict | Self::AlreadyExists | Self::Stale(_))
    }

    /// How `reconcile_total` counts it.
    pub(crate) const fn result(&self) -> &'static str {
        match self {
            Self::Conflict | Self::AlreadyExists | Self::Stale(_) => "requeue",
            Self::Invalid(_) => "terminal_error",
            Self::NotFound | Self::Kubernetes { .. } | Self::Unreachable(_) | Self::Aws(_) => {
                "error"
            }
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
            other => Self::Unreachable(other.to_string()),
        }
    }
}
