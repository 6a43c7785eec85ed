//! What AWS answered, sorted by what to do next.

use thiserror::Error;

/// A failed call to AWS. The text never carries a response body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{class}{}{}", detail(.code.as_deref()), request(.request_id.as_deref()))]
pub struct AwsError {
    /// What to do about it.
    pub class: ErrorClass,
    /// AWS's error code, if there was one.
    pub code: Option<String>,
    /// AWS's request id, for support and the audit.
    pub request_id: Option<String>,
}

fn detail(code: Option<&str>) -> String {
    code.map_or_else(String::new, |code| format!(" ({code})"))
}

fn request(id: Option<&str>) -> String {
    id.map_or_else(String::new, |id| format!(", request {id}"))
}

/// Error classes of AWS calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum ErrorClass {
    /// Timeout, connection trouble, 5xx. A write may have been applied.
    #[error("AWS could not be reached")]
    Unreachable,
    /// Rate limits.
    #[error("AWS throttled the request")]
    Throttled,
    /// "A previous rotation isn't complete": AWS may be running it again.
    #[error("AWS says that a previous rotation is not complete")]
    RotationPending,
    /// `InvalidRequestException` of any other meaning: deleted, managed, no function.
    #[error("AWS refused the request for this secret")]
    Refused,
    /// Permission denied.
    #[error("AWS denied access")]
    Denied,
    /// "Secrets Manager cannot invoke the specified Lambda function": not a permission of ours, but of the function.
    #[error("Secrets Manager cannot invoke the rotation function")]
    CannotInvoke,
    /// No or expired credentials: nothing was asked.
    #[error("no usable AWS credentials")]
    Credentials,
    /// `InvalidParameterException`: a compare-and-swap was refused, or a label was there already.
    #[error("the labels are not as expected")]
    Mismatch,
    /// `ResourceNotFoundException`.
    #[error("AWS does not find it")]
    Gone,
    /// `LimitExceededException` on labels.
    #[error("the secret carries too many labels")]
    LimitExceeded,
    /// HTML with status 200, truncated JSON, absurd dates: an error, not data.
    #[error("AWS sent an answer that cannot be understood")]
    Malformed,
    /// Any other code.
    #[error("AWS answered with an unexpected error")]
    Unexpected,
}

impl ErrorClass {
    /// Whether a write that failed so may have been applied all the same.
    pub const fn may_have_applied(self) -> bool {
        matches!(self, Self::Unreachable | Self::Malformed | Self::Unexpected)
    }
}
