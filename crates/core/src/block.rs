//! Why nothing is done about a finding, and until when.

use crate::time::AwsTime;
use crate::words;

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

words! {
    /// Why nothing is done about a finding (`blockedBy`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum BlockReason {
        /// The policy observes only, or its remedy is Report.
        ObserveOnly => "the policy only observes, or its remedy is Report",
        /// No maintenance window is open.
        OutsideWindow => "no maintenance window is open",
        /// An operation waits for a person.
        AwaitingApproval => "an operation waits for the approval of a person",
        /// As many operations as allowed are at work.
        ConcurrencyLimit => "as many operations as allowed are at work",
        /// The pause after an attempt is not over.
        BackingOff => "the last attempt was too recent",
        /// No more attempts in this window.
        AttemptsExhausted => "no attempt is left in this attempt window",
        /// Too much is stuck.
        CircuitBreakerOpen => "too much is stuck in the region for a machine to act",
        /// The policy selects more than it said.
        SelectionTooLarge => "the selection in the region is larger than maxSecrets",
        /// The latest sweep of the region did not see everything, or not this secret.
        SweepIncomplete => "the latest check did not see everything in the region",
        /// Another policy, or another cluster, takes care of it.
        Conflict => "another policy or cluster takes care of the secret",
        /// The profile does not allow it.
        ActionNotAllowed => "the profile does not allow the remedy",
        /// AWS does not allow it.
        AccessDenied => "AWS denied the last attempt",
        /// No room for a pin.
        PinExhausted => "the secret has no room for one more label",
        /// Nothing may ever be done to this secret.
        Ineligible => "nothing may ever be done to this kind of secret",
        /// Rotation is off; starting one would switch it on.
        RotationDisabled => "rotation is off, and rotating would switch it on",
        /// AWS may still retry by itself.
        RotationWindowOpen => "AWS may still retry the rotation by itself",
        /// Something about it changed too recently.
        RecentlyChanged => "the secret changed too recently",
        /// A person acted.
        ManualHold => "a person acted on it, or denied an operation on it",
        /// The policy or its profile is suspended, or the policy is being deleted.
        Suspended => "the policy or its profile is suspended or being deleted",
    }
}
