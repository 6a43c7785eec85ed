//! Versions that a person moved AWSCURRENT away from, or passed over by setting a value: no machine makes one of them
//! current again.
//!
//! The rule of planner and [`advance`](crate::advance): both ask here.

use crate::action::Action;
use crate::secret::{Secret, VersionListing};

/// How the unfinished pending version stands to what is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollbackStatus {
    /// A rotation made it, and none has succeeded since. Also where nothing is pending.
    NotRolledBack,
    /// A person decided against it.
    RolledBack,
    /// Only the list of versions can tell, and it is not at hand.
    Unknown,
}

impl RollbackStatus {
    /// Judges by labels and dates. `versions` is the complete list of versions.
    pub fn of(secret: &Secret, versions: Option<&VersionListing>) -> Self {
        if secret.is_rolled_back(versions) {
            return Self::RolledBack;
        }
        let Some(pending) = secret.unfinished() else {
            return Self::NotRolledBack;
        };
        // A version that a complete list omits has no value, and so was never current.
        let is_known = versions.is_some_and(|versions| {
            !versions.lists(pending) || versions.created(pending).is_some()
        });
        if is_known {
            Self::NotRolledBack
        } else {
            Self::Unknown
        }
    }

    /// Whether a machine may do this about the version. A person may do anything.
    pub fn permits(self, action: Action) -> bool {
        match self {
            Self::NotRolledBack => true,
            Self::RolledBack => permitted_instead(action) == Some(action),
            Self::Unknown => !action.rotates(),
        }
    }
}

/// What a machine may do about a version that was rolled back, where a policy asks for `action`: take its label away, where
/// the policy allows that. `None` = nothing.
pub const fn permitted_instead(action: Action) -> Option<Action> {
    match action {
        Action::ClearPending | Action::ClearAndRotate => Some(Action::ClearPending),
        Action::ReleasePins => Some(Action::ReleasePins),
        Action::RestoreSecret => Some(Action::RestoreSecret),
        Action::RetryRotation
        | Action::Rotate
        | Action::PromotePending
        | Action::RestorePending
        | Action::RevertToPrevious => None,
    }
}
