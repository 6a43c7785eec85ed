//! What makes an audit fail.

use clap::ValueEnum;
use secret_rotation_core::survey::State;

/// A word of `--fail-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Nothing that is found.
    Never,
    /// Each state that needs attention: all of the following but rotating.
    Any,
    /// No version holds AWSCURRENT.
    Broken,
    /// A rotation that has stopped half-way.
    Stuck,
    /// A value that expires soon, by its tag.
    Expiring,
    /// A rotation that AWS has missed.
    Overdue,
    /// A current version older than maxAge.
    TooOld,
    /// A secret that will be purged.
    ScheduledForDeletion,
    /// An exact name of the policy that does not exist.
    NotFound,
    /// Rotation that was switched off.
    Disabled,
    /// A secret that could not be read, or whose expiry tag could not.
    Unknown,
    /// A rotation under way.
    Rotating,
}

impl FailOn {
    /// Whether a secret in this state sets it off.
    pub(super) fn matches(self, state: State) -> bool {
        let of = |own: State| own == state;
        match self {
            Self::Never => false,
            Self::Any => state.is_unhealthy(),
            Self::Broken => of(State::Broken),
            Self::Stuck => of(State::Stuck),
            Self::Expiring => of(State::Expiring),
            Self::Overdue => of(State::Overdue),
            Self::TooOld => of(State::TooOld),
            Self::ScheduledForDeletion => of(State::ScheduledForDeletion),
            Self::NotFound => of(State::NotFound),
            Self::Disabled => of(State::Disabled),
            Self::Unknown => of(State::Unknown),
            Self::Rotating => of(State::Rotating),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_that_needs_attention_can_be_named() {
        for state in State::ALL {
            let named = FailOn::value_variants()
                .iter()
                .filter(|word| !matches!(word, FailOn::Any) && word.matches(state))
                .count();
            let nameable = state.is_unhealthy() || state == State::Rotating;
            assert_eq!(named, usize::from(nameable), "{state}");
            assert_eq!(FailOn::Any.matches(state), state.is_unhealthy(), "{state}");
        }
    }

    #[test]
    fn never_is_not_set_off_by_anything() {
        assert!(
            !State::ALL
                .into_iter()
                .any(|state| FailOn::Never.matches(state))
        );
    }
}
