//! What an observer is told of each call, for metrics and logs. It carries no names and no contents.

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_core::aws_error::ErrorClass;

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

/// The API operations that are ever called.
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

impl Operation {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ListSecrets,
        Self::DescribeSecret,
        Self::ListSecretVersionIds,
        Self::UpdateSecretVersionStage,
        Self::RotateSecret,
        Self::RestoreSecret,
        Self::ReceiveMessage,
        Self::DeleteMessageBatch,
    ];

    /// The name AWS gives it: the metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ListSecrets => "ListSecrets",
            Self::DescribeSecret => "DescribeSecret",
            Self::ListSecretVersionIds => "ListSecretVersionIds",
            Self::UpdateSecretVersionStage => "UpdateSecretVersionStage",
            Self::RotateSecret => "RotateSecret",
            Self::RestoreSecret => "RestoreSecret",
            Self::ReceiveMessage => "ReceiveMessage",
            Self::DeleteMessageBatch => "DeleteMessageBatch",
        }
    }
}
