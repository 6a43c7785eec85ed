//! The words that the journal in the status is written with.

use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::journal::ResultKind;
use secret_rotation_core::secret::PendingValue;

const APPLIED: &str = "Applied";

/// Whether rotation was on, as written.
pub(super) const ON: &str = "On";
pub(super) const OFF: &str = "Off";

/// All results as they are written.
///
/// A release that finds a word it does not know cannot count the operation, so there is none for a function that cannot be
/// invoked: it is a refusal with a code of its own.
pub(super) const KINDS: [ResultKind; 12] = [
    ResultKind::Applied,
    ResultKind::Refused(ErrorClass::Unreachable),
    ResultKind::Refused(ErrorClass::Throttled),
    ResultKind::Refused(ErrorClass::RotationPending),
    ResultKind::Refused(ErrorClass::Refused),
    ResultKind::Refused(ErrorClass::Denied),
    ResultKind::Refused(ErrorClass::Credentials),
    ResultKind::Refused(ErrorClass::Mismatch),
    ResultKind::Refused(ErrorClass::Gone),
    ResultKind::Refused(ErrorClass::LimitExceeded),
    ResultKind::Refused(ErrorClass::Malformed),
    ResultKind::Refused(ErrorClass::Unexpected),
];

pub(super) const fn result_name(kind: ResultKind) -> &'static str {
    match kind {
        ResultKind::Applied => APPLIED,
        ResultKind::Refused(ErrorClass::Unreachable) => "Unreachable",
        ResultKind::Refused(ErrorClass::Throttled) => "Throttled",
        ResultKind::Refused(ErrorClass::RotationPending) => "RotationPending",
        ResultKind::Refused(ErrorClass::Refused | ErrorClass::CannotInvoke) => "Refused",
        ResultKind::Refused(ErrorClass::Denied) => "Denied",
        ResultKind::Refused(ErrorClass::Credentials) => "Credentials",
        ResultKind::Refused(ErrorClass::Mismatch) => "Mismatch",
        ResultKind::Refused(ErrorClass::Gone) => "Gone",
        ResultKind::Refused(ErrorClass::LimitExceeded) => "LimitExceeded",
        ResultKind::Refused(ErrorClass::Malformed) => "Malformed",
        ResultKind::Refused(ErrorClass::Unexpected) => "Unexpected",
    }
}

pub(super) const PENDING_VALUES: [PendingValue; 4] = [
    PendingValue::None,
    PendingValue::Empty,
    PendingValue::Present,
    PendingValue::Unknown,
];

pub(super) const fn pending_name(value: PendingValue) -> &'static str {
    match value {
        PendingValue::None => "None",
        PendingValue::Empty => "Empty",
        PendingValue::Present => "Present",
        PendingValue::Unknown => "Unknown",
    }
}

/// The names of all results, for the schema.
pub(super) fn results() -> [&'static str; 12] {
    KINDS.map(result_name)
}

/// The names of all pending values, for the schema.
pub(super) fn pending_values() -> [&'static str; 4] {
    PENDING_VALUES.map(pending_name)
}
