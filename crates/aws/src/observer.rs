//! What an observer is told of each call, for metrics and logs. It carries no names and no contents.

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::words;

/// Told of every finished call, successful or not.
pub type Observer = Arc<dyn Fn(&Call) + Send + Sync>;

/// One finished call, its retries included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub operation: Operation,
    /// How it failed; `None` = it succeeded.
    pub class: Option<ErrorClass>,
    /// From the first attempt to the last answer, without the wait for the rate limit.
    pub duration: Duration,
    /// Attempts after the first one.
    pub retries: u32,
}

words! {
    /// The API operations that are ever called, by the names that AWS gives them.
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
