//! Why nothing is done about a finding, and until when.

use crate::time::AwsTime;
use crate::words;

/// The reason why nothing is done about a finding, and until when, if time alone ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The reason.
    pub reason: BlockReason,
    /// When it ends by itself; `None` = something other than time must change.
    pub until: Option<AwsTime>,
}

impl Block {
    /// Builds a block that lasts until something other than time changes.
    pub const fn indefinite(reason: BlockReason) -> Self {
        Self {
            reason,
            until: None,
        }
    }

    /// Returns the block that ends last: something blocks until then. A block that time does not end takes precedence.
    pub(crate) fn latest(holds: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let holds = holds.into_iter().flatten();
        // Of two that end together the first counts: callers pass them in order of precedence.
        holds.reduce(|one, other| match (one.until, other.until) {
            (Some(_), None) => other,
            (Some(first), Some(second)) if second > first => other,
            (None | Some(_), _) => one,
        })
    }

    /// Builds a block that ends by itself at `until`.
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
        /// The policy only observes, or its remedy is `Report`.
        ObserveOnly => "the policy only observes, or its remedy is Report",
        /// No maintenance window is open.
        OutsideWindow => "no maintenance window is open",
        /// An operation waits for an approval.
        AwaitingApproval => "an operation waits for approval",
        /// Every concurrency slot is taken.
        ConcurrencyLimit => "as many operations as allowed are in progress",
        /// The pause after an attempt is not over.
        BackingOff => "the last attempt was too recent",
        /// No more attempts in this window.
        AttemptsExhausted => "no attempt is left in this attempt window",
        /// The circuit breaker is open.
        CircuitBreakerOpen => "too many secrets of the region are stuck",
        /// The policy selects more secrets than `maxSecrets`.
        SelectionTooLarge => "the selection in the region is larger than maxSecrets",
        /// The latest sweep of the region did not see everything, or not this secret.
        SweepIncomplete => "the latest check did not see everything in the region",
        /// Another policy or another cluster acts on the secret.
        Conflict => "another policy or cluster acts on the secret",
        /// The profile does not allow the action.
        ActionNotAllowed => "the profile does not allow the remedy",
        /// AWS denied access.
        AccessDenied => "AWS denied the last attempt",
        /// The secret has no room for a pin.
        PinExhausted => "the secret has no room for another label",
        /// The controller never acts on this secret.
        Ineligible => "the controller never acts on this type of secret",
        /// Rotation is off; starting one would switch it on.
        RotationDisabled => "rotation is off, and a rotation would switch it on",
        /// AWS may still retry the rotation.
        RotationWindowOpen => "AWS may still retry the rotation",
        /// The secret changed too recently.
        RecentlyChanged => "the secret changed too recently",
        /// A person acted on the secret, or denied an operation on it.
        ManualHold => "a person acted on it, or denied an operation on it",
        /// The policy or its profile is suspended, or the policy is being deleted.
        Suspended => "the policy or its profile is suspended or being deleted",
    }
}
