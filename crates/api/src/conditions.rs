//! Conditions of a status: a list keyed by type. The transition time of a condition changes only when its status
//! does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{Schema, SchemaGenerator, json_schema};
use secret_rotation_core::time::ServerTime;
use secret_rotation_core::words;

use crate::text::clip;

/// Maximum length of a message in characters: well below the bound of the API server, and enough for a finding.
const MAX_MESSAGE: usize = 4_096;

words! {
    /// The three possible statuses of a condition.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum ConditionStatus {
        /// The condition holds.
        True,
        /// The condition does not hold.
        False,
        /// It is not known whether the condition holds.
        Unknown,
    }
}

words! {
    /// The types of the conditions of all resources. [`crate::reasons`] lists what each means.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum ConditionType {
        /// A policy or profile can be used.
        Ready,
        /// Every selected secret of a policy is healthy.
        Healthy,
        /// Only a change of a policy or of its profile can help. Exists only while it is True.
        Stalled,
        /// A policy was not evaluated completely yet. Exists only while it is True.
        Reconciling,
        /// An operation succeeded. Its reason is the phase while the operation is in progress.
        Complete,
        /// An operation failed. Exists only while it is True.
        Failed,
        /// Someone decided about an operation.
        Approved,
    }
}

/// One condition as this pass sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionUpdate {
    /// The type of the condition.
    pub kind: ConditionType,
    /// Whether the condition holds.
    pub status: ConditionStatus,
    /// The reason, in CamelCase.
    pub reason: &'static str,
    /// The reason in a sentence, with absolute times only: a relative time would change the status on every pass.
    pub message: String,
}

impl ConditionUpdate {
    /// Builds the condition to publish. The transition time of the previous one is kept unless the status changed.
    pub fn condition(self, previous: &[Condition], generation: i64, now: ServerTime) -> Condition {
        let unflipped = find(previous, self.kind).filter(|old| old.status == self.status.name());
        Condition {
            type_: self.kind.name().to_owned(),
            status: self.status.name().to_owned(),
            reason: self.reason.to_owned(),
            message: clip(&self.message, MAX_MESSAGE).to_owned(),
            observed_generation: Some(generation),
            last_transition_time: unflipped
                .map_or_else(|| whole_second(now), |old| old.last_transition_time.clone()),
        }
    }
}

/// Returns the instant without its fraction, as the API server stores it.
fn whole_second(now: ServerTime) -> Time {
    Time(jiff::Timestamp::from_second(now.timestamp().as_second()).unwrap_or(now.timestamp()))
}

/// Returns the condition of a type.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions
        .iter()
        .find(|condition| condition.type_ == kind.name())
}

/// Returns whether the condition of a type is True.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == ConditionStatus::True.name())
}

/// Builds the schema of a list of conditions, with the bounds that the derived schema lacks.
pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "description": "One aspect of the current state of the object.",
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "description": "The aspect that the condition is about, in CamelCase.",
                    "type": "string",
                    "maxLength": 316,
                    "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
                "status": {
                    "description": "Whether the condition holds, one of True, False and Unknown.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "description": "The generation of the object that the condition was evaluated for.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                    "maximum": crate::count::LARGEST,
                },
                "lastTransitionTime": {
                    "description": "When the status of the condition last changed.",
                    "type": "string",
                    "format": "date-time",
                    "maxLength": 64,
                },
                "reason": {
                    "description": "Why the condition has its status, in one word for programs.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "Why the condition has its status, in a sentence for people.",
                    "type": "string",
                    "maxLength": 32768,
                },
            },
        },
    })
}
