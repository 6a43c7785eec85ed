//! Labels with a closed set of values. Code that sets a metric uses these words, and a series starts at 0 for each of them.

use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::operation::{Failure, Outcome};
use secret_rotation_core::words;

words! {
    /// The reconcilers: label `controller`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Controller {
        /// Reconciles policies.
        Policy as "policy",
        /// Reconciles operations.
        Operation as "operation",
        /// Reconciles profiles.
        Profile as "profile",
        /// Sweeps the secrets of a profile in a region.
        Sweep as "sweep",
        /// Receives rotation events from a queue.
        Events as "events",
    }
}

words! {
    /// How a reconcile ends: label `result`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum ReconcileResult {
        /// The reconcile is done.
        Success as "success",
        /// The object is reconciled again.
        Requeue as "requeue",
        /// The reconcile failed and is retried.
        Error as "error",
        /// The reconcile fails until the object changes.
        TerminalError as "terminal_error",
    }
}

words! {
    /// How an AWS call ends: label `code`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum CallCode {
        /// The call succeeded.
        Success as "success",
        /// AWS asked for fewer requests.
        Throttled as "throttled",
        /// AWS denied access.
        AccessDenied as "access_denied",
        /// The secret does not exist.
        NotFound as "not_found",
        /// AWS refused the request for this secret.
        Invalid as "invalid",
        /// The secret was not in the expected state.
        Conflict as "conflict",
        /// AWS returned a response that cannot be parsed.
        ServerError as "server_error",
        /// AWS could not be reached.
        Network as "network",
        /// The call failed for another reason.
        Other as "other",
    }
}

impl CallCode {
    /// Returns the code of a call; `None` means that the call succeeded.
    pub(crate) const fn of(class: Option<ErrorClass>) -> Self {
        match class {
            None => Self::Success,
            Some(ErrorClass::Throttled) => Self::Throttled,
            Some(ErrorClass::Denied) => Self::AccessDenied,
            Some(ErrorClass::Gone) => Self::NotFound,
            Some(ErrorClass::Refused | ErrorClass::CannotInvoke | ErrorClass::LimitExceeded) => {
                Self::Invalid
            }
            Some(ErrorClass::Mismatch | ErrorClass::RotationPending) => Self::Conflict,
            Some(ErrorClass::Malformed) => Self::ServerError,
            Some(ErrorClass::Unreachable) => Self::Network,
            Some(ErrorClass::Credentials | ErrorClass::Unexpected) => Self::Other,
        }
    }
}

words! {
    /// What the controller watches: label `kind`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum WatchedKind {
        /// Policies.
        SecretRotationPolicy,
        /// Operations.
        SecretRotationOperation,
        /// Profiles.
        AwsAccessProfile as "AWSAccessProfile",
        /// Namespaces, for the labels that profiles select.
        Namespace,
    }
}

words! {
    /// How a rotation that the controller started ends: label `result`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum RotationResult {
        /// The pending version became current.
        Success as "success",
        /// The operation failed for another reason.
        Failed as "failed",
        /// The rotation did not finish.
        Timeout as "timeout",
    }
}

words! {
    /// How the removal of a stale AWSPENDING ends: label `result`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum ClearResult {
        /// AWS removed the label.
        Success as "success",
        /// AWS did not remove the label.
        Error as "error",
        /// Something else moved the label first.
        Superseded as "superseded",
    }
}

const SUCCEEDED: &str = "Succeeded";

/// Returns the value of label `result` for the outcome of an operation.
pub(super) const fn operation_result(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded { .. } => SUCCEEDED,
        Outcome::Failed { reason, .. } => reason.name(),
    }
}

/// Returns all values of label `result` of operations.
pub(super) fn operation_results() -> Vec<&'static str> {
    let failures = Failure::ALL.map(Failure::name);
    std::iter::once(SUCCEEDED).chain(failures).collect()
}
