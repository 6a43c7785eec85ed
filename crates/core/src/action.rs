//! The actions of operations, their steps, and what a profile must allow for them.

use crate::words;

words! {
    /// What an operation does.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Action {
        /// `RotateSecret` while a version is pending: AWS retries that version.
        RetryRotation,
        /// `RotateSecret` of a secret without an unfinished rotation.
        Rotate,
        /// Pin, wait, remove AWSPENDING.
        ClearPending,
        /// Pin, wait, remove AWSPENDING, rotate, verify, unpin.
        ClearAndRotate,
        /// Pin, then move AWSCURRENT to the pending version, and remove AWSPENDING from it.
        PromotePending,
        /// Restore AWSPENDING on a version that this cluster pinned: the undo of a clear.
        RestorePending,
        /// Move AWSCURRENT back to the previous version.
        RevertToPrevious,
        /// `RestoreSecret`: cancel a scheduled deletion.
        RestoreSecret,
        /// Remove the pins of this cluster from a secret that has long been healthy.
        ReleasePins,
    }
}

impl Action {
    /// Returns what the profile must allow.
    pub const fn permissions(self) -> &'static [Permission] {
        match self {
            Self::RetryRotation | Self::Rotate => &[Permission::Rotate],
            Self::ClearPending | Self::RestorePending | Self::ReleasePins => {
                &[Permission::ClearPending]
            }
            Self::PromotePending => &[Permission::PromotePending],
            Self::RevertToPrevious => &[Permission::RevertToPrevious],
            Self::RestoreSecret => &[Permission::RestoreSecret],
            Self::ClearAndRotate => &[Permission::Rotate, Permission::ClearPending],
        }
    }

    /// Returns the steps that perform the action, as opposed to those that prepare it and clean up after it.
    pub const fn main_steps(self) -> &'static [Step] {
        match self {
            Self::RetryRotation | Self::Rotate => &[Step::Rotate],
            Self::ClearPending | Self::ClearAndRotate => &[Step::Clear, Step::Rotate],
            Self::PromotePending => &[Step::Promote],
            Self::RestorePending => &[Step::RestorePending],
            Self::RevertToPrevious => &[Step::DropPending, Step::Revert],
            Self::RestoreSecret => &[Step::RestoreSecret],
            Self::ReleasePins => &[Step::Unpin],
        }
    }

    /// Returns whether it pins and clears a pending version.
    pub const fn clears(self) -> bool {
        matches!(self, Self::ClearPending | Self::ClearAndRotate)
    }

    /// Returns whether only a person can decide that it is right.
    pub const fn is_manual_only(self) -> bool {
        matches!(
            self,
            Self::PromotePending | Self::RestorePending | Self::RevertToPrevious
        )
    }

    /// Returns whether it starts a rotation function.
    pub const fn rotates(self) -> bool {
        matches!(
            self,
            Self::RetryRotation | Self::Rotate | Self::ClearAndRotate
        )
    }
}

words! {
    /// Steps that write to AWS, as named in the journal.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Step {
        /// Attach a pin.
        Pin,
        /// Remove AWSPENDING.
        Clear,
        /// Start a rotation, or retry a pending one.
        Rotate,
        /// Remove pins.
        Unpin,
        /// Move AWSCURRENT to the pending version.
        Promote,
        /// Remove AWSPENDING from the version that has become current.
        DropPending,
        /// Restore AWSPENDING on a pinned version.
        RestorePending,
        /// Move AWSCURRENT to the previous version.
        Revert,
        /// Cancel a scheduled deletion.
        RestoreSecret,
    }
}

words! {
    /// What a profile may allow (`allowedActions`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Permission {
        /// Start rotations, new ones and pending ones.
        Rotate,
        /// Pin and clear; restore what was cleared; release pins.
        ClearPending,
        /// Make a pending version current.
        PromotePending,
        /// Make the previous version current.
        RevertToPrevious,
        /// Cancel a scheduled deletion.
        RestoreSecret,
    }
}
