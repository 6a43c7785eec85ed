//! `--fail-on`: the states that make an audit fail.

use clap::ValueEnum;
use secret_rotation_core::survey::State;

/// A value of `--fail-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// No state.
    Never,
    /// Every state that needs attention: all of the following except rotating.
    Any,
    /// No version has AWSCURRENT.
    Broken,
    /// A rotation that stopped halfway.
    Stuck,
    /// A value that expires soon according to its tag.
    Expiring,
    /// A rotation that AWS missed.
    Overdue,
    /// A current version older than maxAge.
    TooOld,
    /// A secret that will be deleted.
    ScheduledForDeletion,
    /// An exact name in the policy that does not exist.
    NotFound,
    /// Rotation that is turned off.
    Disabled,
    /// A secret that could not be read, or whose expiry tag is invalid.
    Unknown,
    /// A rotation in progress.
    Rotating,
}

impl FailOn {
    /// Returns whether it includes this state.
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
    fn every_state_that_needs_attention_has_a_value() {
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
    fn never_includes_no_state() {
        assert!(
            !State::ALL
                .into_iter()
                .any(|state| FailOn::Never.matches(state))
        );
    }
}
