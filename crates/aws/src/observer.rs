//! The observer of calls, for metrics and logs. It receives neither names nor contents.

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::words;

/// A callback that receives every finished call, successful or not.
pub type Observer = Arc<dyn Fn(&Call) + Send + Sync>;

/// One finished call, including its retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The API operation.
    pub operation: Operation,
    /// The class of the failure. `None` if the call succeeded.
    pub class: Option<ErrorClass>,
    /// The time from the first attempt to the last answer, without the wait for the rate limit.
    pub duration: Duration,
    /// The number of attempts after the first one.
    pub retries: u32,
}

words! {
    /// The API operations that this crate calls, by their AWS names.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Operation {
        /// `ListSecrets`.
        ListSecrets,
        /// `DescribeSecret`.
        DescribeSecret,
        /// `ListSecretVersionIds`.
        ListSecretVersionIds,
        /// `UpdateSecretVersionStage`.
        UpdateSecretVersionStage,
        /// `RotateSecret`.
        RotateSecret,
        /// `RestoreSecret`.
        RestoreSecret,
        /// `ReceiveMessage`, of SQS.
        ReceiveMessage,
        /// `DeleteMessageBatch`, of SQS.
        DeleteMessageBatch,
    }
}
