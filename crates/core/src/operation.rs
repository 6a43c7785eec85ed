//! A `SecretRotationOperation`: one action on one secret, with its journal. It is the intent log.

use std::time::Duration;

use uuid::Uuid;

use crate::action::{Action, Step};
use crate::approval::{Approval, Decision};
use crate::journal::{Baseline, Journal};
use crate::names::{Arn, ObjectKey, ObjectName, Uid, VersionId};
use crate::pin::{ClusterId, Pin};
use crate::time::{AwsTime, ServerTime};
use crate::words;

/// The namespace of the UUIDs from which request tokens are made.
const TOKEN_NAMESPACE: Uuid = Uuid::from_u128(0x7d3f_2c1e_9a54_4f0b_8e61_5b0c_d2a7_91f4);

/// Four steps of a rotation function, 15 minutes each, and a margin: after this time without a change no function is
/// running.
pub const FUNCTION_AT_REST: Duration = Duration::from_mins(75);

/// One action on one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The namespace and name.
    pub key: ObjectKey,
    /// The UID: the request token is derived from it.
    pub uid: Uid,
    /// When it was created.
    pub created: ServerTime,
    /// When it was deleted, if a finalizer still keeps it.
    pub deletion_requested: Option<ServerTime>,
    /// The policy whose selector and profile limit it, by name and, once known, by UID.
    pub policy: PolicyReference,
    /// The secret, once the ARN of its name is known.
    pub arn: Option<Arn>,
    /// The action.
    pub action: Action,
    /// What must be true before the first write.
    pub expect: Expectation,
    /// Whether the controller or a person requested it.
    pub trigger: Trigger,
    /// The user name of the requester, as the API server reports it. Automatic operations have none.
    pub requested_by: Option<String>,
    /// Whether the request itself requires approval.
    pub approval: Approval,
    /// The decision of the approver.
    pub decision: Option<Decision>,
    /// When the approval was noticed.
    pub approved: Option<ServerTime>,
    /// How long after its creation, or after its approval, it may still start to act.
    pub deadline: Duration,
    /// How long it is kept after it has ended.
    pub ttl: Duration,
    /// The time between pin and clear.
    pub confirm_after: Duration,
    /// What the first look saw.
    pub baseline: Option<Baseline>,
    /// The intents and their results.
    pub journal: Journal,
    /// Whether it has ended, and how.
    pub outcome: Option<Outcome>,
    /// AWS time at which it ended.
    pub completed: Option<AwsTime>,
    /// API server time at which it ended.
    pub ended: Option<ServerTime>,
}

/// The policy that an operation belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyReference {
    /// The name, in the operation's namespace.
    pub name: ObjectName,
    /// The UID. Automatic operations always have it.
    pub uid: Option<Uid>,
}

impl Operation {
    /// Returns the token of its rotation, which is also the ID of the version that the rotation makes. It is derived
    /// from the UID, never random.
    pub fn request_token(&self) -> Option<VersionId> {
        VersionId::parse(Uuid::new_v5(&TOKEN_NAMESPACE, self.uid.as_str().as_bytes()).to_string())
            .ok()
    }

    /// Returns the key of the policy that it names.
    pub fn policy_key(&self) -> ObjectKey {
        ObjectKey {
            namespace: self.key.namespace.clone(),
            name: self.policy.name.clone(),
        }
    }

    /// Returns the pin that it sets on a version.
    pub fn pin(&self, cluster: &ClusterId, version: &VersionId) -> Pin {
        Pin::new(cluster.clone(), self.created, version.clone())
    }

    /// Returns whether it has started: an intent is in its journal.
    pub fn has_started(&self) -> bool {
        !self.journal.is_empty()
    }

    /// Returns whether it has intended to do more than to pin. From then on, only conditions that stop every operation
    /// stop it.
    pub fn has_acted(&self) -> bool {
        self.journal.last_intent(self.action.main_steps()).is_some()
    }

    /// Returns the earliest time at which a pin that AWS accepted has settled, if the operation waits for that. A look
    /// before then decides nothing.
    pub fn settles_at(&self) -> Option<AwsTime> {
        let pin = self.journal.entry(Step::Pin)?;
        let waits = self.action.clears()
            && pin.is_applied()
            && !self.has_acted()
            && self.journal.entry(Step::Unpin).is_none();
        waits.then(|| pin.intent.plus(self.confirm_after))
    }

    /// Returns the time from which it may no longer start.
    pub fn expires(&self) -> ServerTime {
        self.approved.unwrap_or(self.created).plus(self.deadline)
    }

    /// Returns whether it has ended.
    pub const fn is_finished(&self) -> bool {
        self.outcome.is_some()
    }
}

words! {
    /// Who requested an operation.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Trigger {
        /// The controller, for a policy.
        Policy,
        /// A person.
        Manual,
    }
}

/// Preconditions: a version that is named here must hold its label at every look until a write of the operation moves
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// The version that holds AWSCURRENT.
    pub current: Option<VersionId>,
    /// The version that holds AWSPENDING.
    pub pending: Option<VersionId>,
    /// The version that holds AWSPREVIOUS.
    pub previous: Option<VersionId>,
    /// The version that carries a pin of this cluster.
    pub pinned: Option<VersionId>,
    /// The date of the scheduled deletion, as AWS returns it.
    pub deleted: Option<AwsTime>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The action was completed.
    Succeeded {
        /// A sentence for people.
        message: String,
    },
    /// The action was not completed.
    Failed {
        /// The reason.
        reason: Failure,
        /// A sentence for people.
        message: String,
    },
}

impl Outcome {
    /// Returns the outcome with a note appended to its message.
    #[must_use]
    pub fn noted(mut self, note: &str) -> Self {
        let (Self::Succeeded { message } | Self::Failed { message, .. }) = &mut self;
        message.push_str(note);
        self
    }
}

words! {
    /// Why an operation failed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Failure {
        /// Something else changed the secret.
        Superseded => "something else changed the secret",
        /// An expectation did not hold at the first look.
        PreconditionFailed => "the secret is not in the expected state",
        /// A safety rule or AWS refuses the action for this secret.
        Refused => "the action is not safe or not possible for this secret",
        /// AWS denied the request.
        AccessDenied => "AWS denied access to the controller",
        /// The secret has no room for a pin, and nothing is cleared without one.
        PinExhausted => "the secret has no room for another label",
        /// The rotation that was started did not finish.
        RotationDidNotFinish => "the rotation started and did not finish",
        /// A person denied it, or deleted the operation.
        Rejected => "a person denied it",
        /// It did not start before its deadline.
        Expired => "it did not start before its deadline",
        /// The profile, the policy or the ceiling does not allow it.
        NotAuthorised => "the policy or the profile does not allow it",
        /// The policy it belongs to no longer exists.
        PolicyGone => "its policy was deleted or replaced",
        /// The secret no longer exists.
        Gone => "the secret does not exist",
        /// AWS could not be reached after repeated attempts.
        AwsUnavailable as "AWSUnavailable" => "AWS could not be reached after repeated attempts",
        /// AWS returned an unrecognized error after repeated attempts.
        Unexpected => "AWS returned an unrecognized error",
    }
}
