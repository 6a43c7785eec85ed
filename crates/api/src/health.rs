//! Whether the secrets of a policy are healthy: the reason of condition `Healthy`.

use secret_rotation_core::{
    survey::{State, Survey},
    words,
};

use crate::conditions::ConditionStatus;

words! {
    /// The reasons of condition `Healthy`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Health {
        /// No selected secret needs attention.
        AllRotationsHealthy => "no selected secret needs attention",
        /// The policy selects no secret.
        NothingSelected => "no secret matches the selector",
        /// A secret is [`Broken`](State::Broken).
        SecretBroken => "a secret has no current version",
        /// A secret is [`Stuck`](State::Stuck).
        RotationStuck => "a rotation has stopped halfway",
        /// A secret is [`Expiring`](State::Expiring).
        SecretExpiring => "the value of a secret expires soon",
        /// A secret is [`Overdue`](State::Overdue).
        RotationOverdue => "the date of a rotation has passed",
        /// A secret is [`TooOld`](State::TooOld).
        SecretTooOld => "a current version is older than the policy allows",
        /// A secret is [`ScheduledForDeletion`](State::ScheduledForDeletion).
        ScheduledForDeletion => "AWS will delete it",
        /// A secret is [`NotFound`](State::NotFound).
        SecretNotFound => "a secret that is named exactly does not exist",
        /// The rotation of a secret is [`Disabled`](State::Disabled).
        RotationDisabled => "rotation is off, and rotating would switch it on",
        /// Not every secret was seen.
        Unknown => "it could not be read",
    }
}

impl Health {
    /// Returns the health of the secrets of a policy, by the worst of their states.
    pub fn of(survey: &Survey) -> Self {
        match survey.worst_state() {
            Some(state) => Self::of_state(state),
            None if !survey.is_complete() => Self::Unknown,
            None if survey.selected == 0 => Self::NothingSelected,
            None => Self::AllRotationsHealthy,
        }
    }

    const fn of_state(state: State) -> Self {
        match state {
            State::Broken => Self::SecretBroken,
            State::Stuck => Self::RotationStuck,
            State::Expiring => Self::SecretExpiring,
            State::Overdue => Self::RotationOverdue,
            State::TooOld => Self::SecretTooOld,
            State::ScheduledForDeletion => Self::ScheduledForDeletion,
            State::NotFound => Self::SecretNotFound,
            State::Disabled => Self::RotationDisabled,
            State::Unknown | State::Rotating | State::Ineligible | State::Healthy => Self::Unknown,
        }
    }

    /// Returns the value of condition `Healthy`.
    pub const fn status(self) -> ConditionStatus {
        match self {
            Self::AllRotationsHealthy | Self::NothingSelected => ConditionStatus::True,
            Self::SecretBroken
            | Self::RotationStuck
            | Self::SecretExpiring
            | Self::RotationOverdue
            | Self::SecretTooOld
            | Self::ScheduledForDeletion
            | Self::SecretNotFound
            | Self::RotationDisabled => ConditionStatus::False,
            Self::Unknown => ConditionStatus::Unknown,
        }
    }
}
