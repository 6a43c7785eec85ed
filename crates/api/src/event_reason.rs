//! The closed list of the reasons of Kubernetes events.

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
        /// No attempt is left in this window.
        AttemptsExhausted,
        /// Too many rotations are stuck for automatic operations.
        CircuitBreakerOpen,
        /// AWS denies what the policy needs.
        AccessDenied,
        /// The policy cannot be parsed, or asks for something that it may not have.
        PolicyInvalid,
        /// Another policy owns the same secret.
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
        /// A rotation that the controller started has finished.
        RotationCompleted,
        /// AWSPENDING was restored on a version.
        PendingRestored,
        /// A pending version was made current.
        PendingPromoted,
        /// The previous version was made current.
        VersionReverted,
        /// A scheduled deletion was canceled.
        SecretRestored,
        /// Pins were removed.
        PinsReleased,
        /// An operation waits before it can act.
        OperationDeferred,
    }
}

impl EventReason {
    /// Returns whether the event is a warning, which someone should look at.
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
