//! A `SecretRotationOperation`: one act on one secret, with its journal. It is the intent log.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::{AwsTime, ServerTime};
use crate::identity::{Arn, ObjectKey, ObjectName, Uid, VersionId};
use crate::outcome::ErrorClass;
use crate::pin::{ClusterId, Pin};
use crate::profile::Permission;

/// The namespace of the UUIDs from which request tokens are made.
const TOKEN_NAMESPACE: Uuid = Uuid::from_u128(0x7d3f_2c1e_9a54_4f0b_8e61_5b0c_d2a7_91f4);

/// One act on one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its namespace and name.
    pub key: ObjectKey,
    /// Its UID: the request token is derived from it.
    pub uid: Uid,
    /// When it was created.
    pub created: ServerTime,
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

    /// Whether it has ended.
    pub const fn is_finished(&self) -> bool {
        self.outcome.is_some()
    }
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// `RotateSecret` while a version is pending: AWS runs that version again.
    RetryRotation,
    /// `RotateSecret` of a secret at rest.
    Rotate,
    /// Pin, wait, remove AWSPENDING.
    ClearPending,
    /// Pin, wait, remove AWSPENDING, rotate, verify, unpin.
    ClearAndRotate,
    /// Remove our pins from a secret that has long been healthy.
    ReleasePins,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::RetryRotation,
        Self::Rotate,
        Self::ClearPending,
        Self::ClearAndRotate,
        Self::ReleasePins,
    ];

    /// The name used in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RetryRotation => "RetryRotation",
            Self::Rotate => "Rotate",
            Self::ClearPending => "ClearPending",
            Self::ClearAndRotate => "ClearAndRotate",
            Self::ReleasePins => "ReleasePins",
        }
    }

    /// What the profile must allow.
    pub const fn permissions(self) -> &'static [Permission] {
        match self {
            Self::RetryRotation | Self::Rotate => &[Permission::Rotate],
            Self::ClearPending | Self::ReleasePins => &[Permission::ClearPending],
            Self::ClearAndRotate => &[Permission::Rotate, Permission::ClearPending],
        }
    }

    /// Whether it begins by pinning a stuck version.
    pub const fn clears(self) -> bool {
        matches!(self, Self::ClearPending | Self::ClearAndRotate)
    }

    /// Whether it starts a rotation function.
    pub const fn rotates(self) -> bool {
        matches!(
            self,
            Self::RetryRotation | Self::Rotate | Self::ClearAndRotate
        )
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who asked for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// The controller, for a policy.
    Policy,
    /// A person.
    Manual,
}

/// Preconditions: a version that is named must hold its label at every look until our own write moves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// Which version holds AWSCURRENT.
    pub current: Option<VersionId>,
    /// Which version holds AWSPENDING.
    pub pending: Option<VersionId>,
}

/// What the first look saw, so that our own pin is told from a foreign change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// The labels.
    pub labels: crate::secret::LabelMap,
    /// `LastChangedDate` then.
    pub last_changed: Option<AwsTime>,
    /// Whether the pending version had a value, as far as AWS tells.
    pub pending_value: PendingValue,
}

impl Baseline {
    /// The version that held the label at the first look.
    pub fn holder(&self, label: &crate::identity::StageLabel) -> Option<&VersionId> {
        self.labels
            .iter()
            .find(|(_, labels)| labels.contains(label))
            .map(|(version, _)| version)
    }
}

/// Whether a pending version has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PendingValue {
    /// No unfinished pending version.
    None,
    /// It is in no complete list of versions.
    Empty,
    /// It is listed.
    Present,
    /// No list was taken.
    Unknown,
}

/// The journal: one entry per step, in the order in which the steps began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal(pub Vec<JournalEntry>);

impl Journal {
    /// Whether nothing was ever intended.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entry of a step.
    pub fn entry(&self, step: Step) -> Option<&JournalEntry> {
        self.0.iter().find(|entry| entry.step == step)
    }

    /// Records an intent: a first try, or one more of a step that did not come through.
    pub fn intend(&mut self, intent: &Intent) {
        let tries = self
            .entry(intent.step)
            .map_or(0, |entry| entry.tries)
            .saturating_add(1);
        let entry = JournalEntry {
            step: intent.step,
            version: intent.version.clone(),
            tries,
            intent: intent.at,
            result: None,
        };
        match self.0.iter_mut().find(|old| old.step == intent.step) {
            Some(old) => *old = entry,
            None => self.0.push(entry),
        }
    }

    /// Records what came of the last intent of a step.
    pub fn conclude(&mut self, step: Step, result: StepResult) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.step == step) {
            entry.result = Some(result);
        }
    }

    /// When an intent of one of the steps was last journaled.
    pub fn last_intent(&self, steps: &[Step]) -> Option<AwsTime> {
        self.0
            .iter()
            .filter(|entry| steps.contains(&entry.step))
            .map(|entry| entry.intent)
            .max()
    }
}

/// One step of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Which step.
    pub step: Step,
    /// The version it is about.
    pub version: Option<VersionId>,
    /// How many intents were journaled.
    pub tries: u32,
    /// AWS time of the last intent.
    pub intent: AwsTime,
    /// What came of it; absent if the process did not live to write it down.
    pub result: Option<StepResult>,
}

impl JournalEntry {
    /// Whether AWS said yes.
    pub fn is_applied(&self) -> bool {
        self.result
            .as_ref()
            .is_some_and(|result| result.kind == ResultKind::Applied)
    }

    /// Why AWS said no, if it did.
    pub fn refusal(&self) -> Option<ErrorClass> {
        match self.result.as_ref()?.kind {
            ResultKind::Applied => None,
            ResultKind::Refused(class) => Some(class),
        }
    }

    /// Whether the request may have been applied although nobody knows: no answer, or none that says.
    pub fn is_unanswered(&self) -> bool {
        match &self.result {
            None => true,
            Some(StepResult {
                kind: ResultKind::Refused(class),
                ..
            }) => class.may_have_applied(),
            Some(StepResult {
                kind: ResultKind::Applied,
                ..
            }) => false,
        }
    }
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepResult {
    /// Yes or no.
    pub kind: ResultKind,
    /// AWS time of the answer, or of the next look if there was none.
    pub at: AwsTime,
    /// AWS's request id.
    pub request_id: Option<String>,
    /// AWS's error code, if it refused.
    pub code: Option<String>,
}

/// Yes, or a classified no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    /// AWS answered with success.
    Applied,
    /// AWS answered with an error, or did not answer.
    Refused(ErrorClass),
}

/// Steps that write to AWS, as named in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Attach our pin.
    Pin,
    /// Remove AWSPENDING.
    Clear,
    /// Start a rotation, or run a pending one again.
    Rotate,
    /// Remove our pins.
    Unpin,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pin, Self::Clear, Self::Rotate, Self::Unpin];

    /// The name used in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pin => "Pin",
            Self::Clear => "Clear",
            Self::Rotate => "Rotate",
            Self::Unpin => "Unpin",
        }
    }
}

/// What must be in the journal before a request goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Which step.
    pub step: Step,
    /// The version it is about.
    pub version: Option<VersionId>,
    /// AWS time of the look it rests on.
    pub at: AwsTime,
    /// The baseline, with the first intent.
    pub baseline: Option<Baseline>,
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

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The world moved on by itself.
    Superseded,
    /// What was expected was not so at the first look.
    PreconditionFailed,
    /// A hard safety rule, or AWS, says no for this secret.
    Refused,
    /// AWS denied the request.
    AccessDenied,
    /// No room for a pin, and nothing is cleared without one.
    PinExhausted,
    /// The rotation that was started stopped half-way.
    RotationDidNotFinish,
    /// Profile, policy or ceiling do not allow it.
    NotAuthorised,
    /// The policy it belongs to no longer exists.
    PolicyGone,
    /// The secret no longer exists.
    Gone,
    /// AWS could not be reached, again and again.
    AwsUnavailable,
    /// AWS answered with an error that nobody knows, again and again.
    Unexpected,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Superseded,
        Self::PreconditionFailed,
        Self::Refused,
        Self::AccessDenied,
        Self::PinExhausted,
        Self::RotationDidNotFinish,
        Self::NotAuthorised,
        Self::PolicyGone,
        Self::Gone,
        Self::AwsUnavailable,
        Self::Unexpected,
    ];

    /// The condition reason.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Superseded => "Superseded",
            Self::PreconditionFailed => "PreconditionFailed",
            Self::Refused => "Refused",
            Self::AccessDenied => "AccessDenied",
            Self::PinExhausted => "PinExhausted",
            Self::RotationDidNotFinish => "RotationDidNotFinish",
            Self::NotAuthorised => "NotAuthorised",
            Self::PolicyGone => "PolicyGone",
            Self::Gone => "Gone",
            Self::AwsUnavailable => "AWSUnavailable",
            Self::Unexpected => "Unexpected",
        }
    }
}
