//! Why nothing is done about a finding, and until when.

use crate::time::AwsTime;

/// Why nothing is done about a finding, and until when if time alone changes that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The reason.
    pub reason: BlockReason,
    /// When it ends by itself.
    pub until: Option<AwsTime>,
}

impl Block {
    /// Held back until something other than time changes.
    pub const fn indefinite(reason: BlockReason) -> Self {
        Self {
            reason,
            until: None,
        }
    }

    /// The last of several to end: until then something holds. One that time does not end comes before all.
    pub(crate) fn latest(holds: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let holds = holds.into_iter().flatten();
        // Of two that end together the first counts: they come in the order of their weight.
        holds.reduce(|one, other| match (one.until, other.until) {
            (Some(_), None) => other,
            (Some(first), Some(second)) if second > first => other,
            (None | Some(_), _) => one,
        })
    }

    pub(crate) const fn until(reason: BlockReason, until: AwsTime) -> Self {
        Self {
            reason,
            until: Some(until),
        }
    }
}

/// Why nothing is done about a finding (`blockedBy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockReason {
    /// The policy observes only, or its remedy is Report.
    ObserveOnly,
    /// No maintenance window is open.
    OutsideWindow,
    /// An operation waits for a person.
    AwaitingApproval,
    /// As many operations as allowed are at work.
    ConcurrencyLimit,
    /// The pause after an attempt is not over.
    BackingOff,
    /// No more attempts in this window.
    AttemptsExhausted,
    /// Too much is stuck.
    CircuitBreakerOpen,
    /// The policy selects more than it said.
    SelectionTooLarge,
    /// The latest sweep of the region did not see everything, or not this secret.
    SweepIncomplete,
    /// Another policy, or another cluster, takes care of it.
    Conflict,
    /// The profile does not allow it.
    ActionNotAllowed,
    /// AWS does not allow it.
    AccessDenied,
    /// No room for a pin.
    PinExhausted,
    /// Nothing may ever be done to this secret.
    Ineligible,
    /// Rotation is off; starting one would switch it on.
    RotationDisabled,
    /// AWS may still retry by itself.
    RotationWindowOpen,
    /// Something about it changed too recently.
    RecentlyChanged,
    /// A person acted.
    ManualHold,
    /// The policy or its profile is suspended, or the policy is being deleted.
    Suspended,
}

impl BlockReason {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::ObserveOnly,
        Self::OutsideWindow,
        Self::AwaitingApproval,
        Self::ConcurrencyLimit,
        Self::BackingOff,
        Self::AttemptsExhausted,
        Self::CircuitBreakerOpen,
        Self::SelectionTooLarge,
        Self::SweepIncomplete,
        Self::Conflict,
        Self::ActionNotAllowed,
        Self::AccessDenied,
        Self::PinExhausted,
        Self::Ineligible,
        Self::RotationDisabled,
        Self::RotationWindowOpen,
        Self::RecentlyChanged,
        Self::ManualHold,
        Self::Suspended,
    ];

    /// Why, in a sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::ObserveOnly => "the policy only observes, or its remedy is Report",
            Self::OutsideWindow => "no maintenance window is open",
            Self::AwaitingApproval => "an operation waits for the approval of a person",
            Self::ConcurrencyLimit => "as many operations as allowed are at work",
            Self::BackingOff => "the last attempt was too recent",
            Self::AttemptsExhausted => "no attempt is left in this attempt window",
            Self::CircuitBreakerOpen => "too much is stuck in the region for a machine to act",
            Self::SelectionTooLarge => "the selection in the region is larger than maxSecrets",
            Self::SweepIncomplete => "the latest check did not see everything in the region",
            Self::Conflict => "another policy or cluster takes care of the secret",
            Self::ActionNotAllowed => "the profile does not allow the remedy",
            Self::AccessDenied => "AWS denied the last attempt",
            Self::PinExhausted => "the secret has no room for one more label",
            Self::Ineligible => "nothing may ever be done to this kind of secret",
            Self::RotationDisabled => "rotation is off, and rotating would switch it on",
            Self::RotationWindowOpen => "AWS may still retry the rotation by itself",
            Self::RecentlyChanged => "the secret changed too recently",
            Self::ManualHold => "a person acted on it, or denied an operation on it",
            Self::Suspended => "the policy or its profile is suspended or being deleted",
        }
    }

    /// The name used in status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ObserveOnly => "ObserveOnly",
            Self::OutsideWindow => "OutsideWindow",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::ConcurrencyLimit => "ConcurrencyLimit",
            Self::BackingOff => "BackingOff",
            Self::AttemptsExhausted => "AttemptsExhausted",
            Self::CircuitBreakerOpen => "CircuitBreakerOpen",
            Self::SelectionTooLarge => "SelectionTooLarge",
            Self::SweepIncomplete => "SweepIncomplete",
            Self::Conflict => "Conflict",
            Self::ActionNotAllowed => "ActionNotAllowed",
            Self::AccessDenied => "AccessDenied",
            Self::PinExhausted => "PinExhausted",
            Self::Ineligible => "Ineligible",
            Self::RotationDisabled => "RotationDisabled",
            Self::RotationWindowOpen => "RotationWindowOpen",
            Self::RecentlyChanged => "RecentlyChanged",
            Self::ManualHold => "ManualHold",
            Self::Suspended => "Suspended",
        }
    }
}
