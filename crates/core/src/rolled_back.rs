//! Versions that a person rolled back, by moving AWSCURRENT away or by setting another value. No automatic operation
//! makes such a version current again.
//!
//! Both the planner and [`advance`](crate::advance) use this rule.

use crate::action::Action;
use crate::secret::{Secret, VersionListing};

/// Whether the unfinished pending version was rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollbackStatus {
    /// A rotation made it, and none has succeeded since; or there is no unfinished pending version.
    NotRolledBack,
    /// A person rolled it back.
    RolledBack,
    /// Only the list of versions can show it, and that list was not read.
    Unknown,
}

impl RollbackStatus {
    /// Evaluates labels and dates. `versions` is the complete list of versions.
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

    /// Returns whether an automatic operation may perform the action on the version. A manual operation may perform
    /// any.
    pub fn permits(self, action: Action) -> bool {
        match self {
            Self::NotRolledBack => true,
            Self::RolledBack => permitted_instead(action) == Some(action),
            Self::Unknown => !action.rotates(),
        }
    }
}

/// Returns what an automatic operation may do about a version that was rolled back, if a policy chooses `action`:
/// remove its label, if the policy allows that. `None` = nothing.
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
