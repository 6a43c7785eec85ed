//! What an operation does, in which steps, and what a profile must allow for it.

use crate::words;

words! {
    /// What an operation does.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Action {
        /// `RotateSecret` while a version is pending: AWS runs that version again.
        RetryRotation,
        /// `RotateSecret` of a secret at rest.
        Rotate,
        /// Pin, wait, remove AWSPENDING.
        ClearPending,
        /// Pin, wait, remove AWSPENDING, rotate, verify, unpin.
        ClearAndRotate,
        /// Pin, then move AWSCURRENT to the pending version, and drop AWSPENDING from it.
        PromotePending,
        /// Put AWSPENDING back on a version that we pinned: the undo of a clear.
        RestorePending,
        /// Move AWSCURRENT back to the previous version.
        RevertToPrevious,
        /// `RestoreSecret`: call a scheduled deletion off.
        RestoreSecret,
        /// Remove our pins from a secret that has long been healthy.
        ReleasePins,
    }
}

impl Action {
    /// What the profile must allow.
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

    /// The steps that do what was asked for, as against those that prepare it and clean up after it.
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

    /// Whether it begins by pinning a stuck version.
    pub const fn clears(self) -> bool {
        matches!(self, Self::ClearPending | Self::ClearAndRotate)
    }

    /// Whether only a person can know that it is right.
    pub const fn is_manual_only(self) -> bool {
        matches!(
            self,
            Self::PromotePending | Self::RestorePending | Self::RevertToPrevious
        )
    }

    /// Whether it starts a rotation function.
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
        /// Attach our pin.
        Pin,
        /// Remove AWSPENDING.
        Clear,
        /// Start a rotation, or run a pending one again.
        Rotate,
        /// Remove our pins.
        Unpin,
        /// Move AWSCURRENT to the pending version.
        Promote,
        /// Drop AWSPENDING from the version that has become current.
        DropPending,
        /// Put AWSPENDING back on a pinned version.
        RestorePending,
        /// Move AWSCURRENT to the previous version.
        Revert,
        /// Call a scheduled deletion off.
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
        /// Call a scheduled deletion off.
        RestoreSecret,
    }
}
