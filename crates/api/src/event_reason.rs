//! The reasons of Kubernetes events: a closed list.

use secret_rotation_core::words;

words! {
    /// The reasons of all events.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum EventReason {
        /// A rotation makes no progress.
        RotationStuck,
        /// A rotation is due.
        RotationOverdue,
        /// A value is about to expire.
        SecretExpiring,
        /// An operation failed.
        RemediationFailed,
        /// No more attempts in this window.
        AttemptsExhausted,
        /// Too much is stuck for a machine to act.
        CircuitBreakerOpen,
        /// AWS denies what the policy needs.
        AccessDenied,
        /// The policy cannot be understood, or asks for what it may not have.
        PolicyInvalid,
        /// Another policy takes care of the same secret.
        ConflictingPolicy,
        /// A secret that needed attention no longer does.
        RotationRecovered,
        /// An operation was created.
        OperationCreated,
        /// A pending version was pinned.
        PendingPinned,
        /// AWSPENDING was removed from a version.
        PendingCleared,
        /// AWS accepted a rotation.
        RotationTriggered,
        /// A rotation that was started came through.
        RotationCompleted,
        /// AWSPENDING was put back on a version.
        PendingRestored,
        /// A pending version was made current.
        PendingPromoted,
        /// The previous version was made current.
        VersionReverted,
        /// A scheduled deletion was called off.
        SecretRestored,
        /// Pins were removed.
        PinsReleased,
        /// An operation waits.
        OperationDeferred,
    }
}

impl EventReason {
    /// Returns whether someone should look.
    pub const fn is_warning(self) -> bool {
        match self {
            Self::RotationStuck
            | Self::RotationOverdue
            | Self::SecretExpiring
            | Self::RemediationFailed
            | Self::AttemptsExhausted
            | Self::CircuitBreakerOpen
            | Self::AccessDenied
            | Self::PolicyInvalid
            | Self::ConflictingPolicy => true,
            Self::RotationRecovered
            | Self::OperationCreated
            | Self::PendingPinned
            | Self::PendingCleared
            | Self::RotationTriggered
            | Self::RotationCompleted
            | Self::PendingRestored
            | Self::PendingPromoted
            | Self::VersionReverted
            | Self::SecretRestored
            | Self::PinsReleased
            | Self::OperationDeferred => false,
        }
    }
}
