//! A `SecretRotationOperation`: one act on one secret, with its journal. It is the intent log.

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

/// Four steps of a rotation function, 15 minutes each, and some to spare: after this much quiet none is at work.
pub const FUNCTION_AT_REST: Duration = Duration::from_mins(75);

/// One act on one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its namespace and name.
    pub key: ObjectKey,
    /// Its UID: the request token is derived from it.
    pub uid: Uid,
    /// When it was created.
    pub created: ServerTime,
    /// When somebody deleted it, if a finalizer still keeps it.
    pub deletion_requested: Option<ServerTime>,
    /// The policy whose selection and profile bound it, by name and, once known, by UID.
    pub policy: PolicyReference,
    /// The secret, once it is known which ARN its name means.
    pub arn: Option<Arn>,
    /// What to do.
    pub action: Action,
    /// What must be true before.
    pub expect: Expectation,
    /// Who asked for it.
    pub trigger: Trigger,
    /// Who asked for it, as the API server knows them; automatic ones do not say.
    pub requested_by: Option<String>,
    /// Whether the request itself asks for approval.
    pub approval: Approval,
    /// What a person decided about it.
    pub decision: Option<Decision>,
    /// When the approval was noticed.
    pub approved: Option<ServerTime>,
    /// How long after its creation, or after its approval, it may still begin to act.
    pub deadline: Duration,
    /// How long it is kept after it has ended.
    pub ttl: Duration,
    /// Time between pin and clear.
    pub confirm_after: Duration,
    /// What the first look saw.
    pub baseline: Option<Baseline>,
    /// What was intended and what came of it.
    pub journal: Journal,
    /// Whether it has ended, and how.
    pub outcome: Option<Outcome>,
    /// AWS time at which it ended.
    pub completed: Option<AwsTime>,
    /// The same by the API server's clock.
    pub ended: Option<ServerTime>,
}

/// The policy an operation belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyReference {
    /// Its name, in the operation's namespace.
    pub name: ObjectName,
    /// Its UID; automatic operations always carry it.
    pub uid: Option<Uid>,
}

impl Operation {
    /// The token of its rotation, and so the id of the version that it makes: derived, never drawn.
    pub fn request_token(&self) -> Option<VersionId> {
        VersionId::parse(Uuid::new_v5(&TOKEN_NAMESPACE, self.uid.as_str().as_bytes()).to_string())
            .ok()
    }

    /// The pin that it sets on a version.
    pub fn pin(&self, cluster: &ClusterId, version: &VersionId) -> Pin {
        Pin::new(cluster.clone(), self.created, version.clone())
    }

    /// Whether it has begun to act: an intent is in its journal.
    pub fn has_started(&self) -> bool {
        !self.journal.is_empty()
    }

    /// Whether it has meant to do more than to pin: from then on only what stops everything stops it.
    pub fn has_acted(&self) -> bool {
        self.journal.last_intent(self.action.main_steps()).is_some()
    }

    /// When a pin that AWS took has settled at the earliest, if the operation waits for that: a look before then decides
    /// nothing.
    pub fn settles_at(&self) -> Option<AwsTime> {
        let pin = self.journal.entry(Step::Pin)?;
        let waits = self.action.clears()
            && pin.is_applied()
            && !self.has_acted()
            && self.journal.entry(Step::Unpin).is_none();
        waits.then(|| pin.intent.plus(self.confirm_after))
    }

    /// When it is too late to begin.
    pub fn expires(&self) -> ServerTime {
        self.approved.unwrap_or(self.created).plus(self.deadline)
    }

    /// Whether it has ended.
    pub const fn is_finished(&self) -> bool {
        self.outcome.is_some()
    }
}

words! {
    /// Who asked for an operation.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Trigger {
        /// The controller, for a policy.
        Policy,
        /// A person.
        Manual,
    }
}

/// Preconditions: a version that is named must hold its label at every look until our own write moves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// Which version holds AWSCURRENT.
    pub current: Option<VersionId>,
    /// Which version holds AWSPENDING.
    pub pending: Option<VersionId>,
    /// Which version holds AWSPREVIOUS.
    pub previous: Option<VersionId>,
    /// Which version carries a pin of ours.
    pub pinned: Option<VersionId>,
    /// For when the secret is scheduled for deletion, as AWS writes it.
    pub deleted: Option<AwsTime>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    Succeeded {
        /// A sentence for people.
        message: String,
    },
    /// Not as asked.
    Failed {
        /// Why, in one word.
        reason: Failure,
        /// Why, in a sentence.
        message: String,
    },
}

impl Outcome {
    /// The same with more to say.
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
        /// The world moved on by itself.
        Superseded => "something else changed what it was about",
        /// What was expected was not so at the first look.
        PreconditionFailed => "AWS shows something else than it expects",
        /// A hard safety rule, or AWS, says no for this secret.
        Refused => "this must not, or cannot, be done to this secret",
        /// AWS denied the request.
        AccessDenied => "AWS does not allow it to the controller",
        /// No room for a pin, and nothing is cleared without one.
        PinExhausted => "the secret has no room for one more label",
        /// The rotation that was started stopped half-way.
        RotationDidNotFinish => "the rotation started and did not come to its end",
        /// A person said no.
        Rejected => "a person denied it",
        /// It did not begin to act before its deadline.
        Expired => "it did not begin before its deadline",
        /// Profile, policy or ceiling do not allow it.
        NotAuthorised => "policy and profile do not allow it",
        /// The policy it belongs to no longer exists.
        PolicyGone => "its policy was deleted or replaced",
        /// The secret no longer exists.
        Gone => "the secret does not exist",
        /// AWS could not be reached, again and again.
        AwsUnavailable as "AWSUnavailable" => "AWS could not be reached often enough",
        /// AWS answered with an error that nobody knows, again and again.
        Unexpected => "AWS answered what nobody foresaw",
    }
}
