//! What the controller did for an operation: the journal, and what was there before and after.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use secret_rotation_core::action::Step;
use secret_rotation_core::secret::PendingValue;
use serde::{Deserialize, Serialize};

use super::names::{OFF, ON, results};
use crate::{
    conditions,
    count::{Count, LARGEST},
    schema::key_length,
    text::Text,
    time::Time,
};

/// What an operation did and saw. It holds labels and dates, never a value of the secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRotationOperationStatus {
    /// The generation of the operation that this status is about; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<Count<-1, LARGEST>>,

    /// The ARN of the secret, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<Text<1, 2048>>,

    /// The name of the secret, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<Text<1, 512>>,

    /// When the operation began to act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,

    /// When the operation ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,

    /// What the first look saw; the controller compares with it to distinguish its own changes from those of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineStatus>,

    /// The labels of each version at the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label_map")]
    pub before: Option<BTreeMap<String, Vec<Text<1, 256>>>>,

    /// The labels of each version at the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label_map")]
    pub after: Option<BTreeMap<String, Vec<Text<1, 256>>>>,

    /// The journal: each step is written before its request is sent, and its result afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 12),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub steps: Vec<StepStatus>,

    /// The token of the rotation that the operation starts, which is also the id of the version that the rotation creates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request_token: Option<Text<1, 64>>,

    /// When the next step is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step_time: Option<Time>,

    /// The current state of the operation: Complete always, Failed only if it failed, Approved once someone has decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}

/// What the first look saw, except for the labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaselineStatus {
    /// The version that held AWSCURRENT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version_id: Option<Text<1, 64>>,

    /// The version that held AWSPENDING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_version_id: Option<Text<1, 64>>,

    /// When the secret was last changed before that look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_changed_time: Option<Time>,

    /// Whether the pending version had a value: None if there was no pending version, Empty, Present, or Unknown if the versions were not listed.
    #[schemars(extend("enum" = PendingValue::ALL.map(PendingValue::name)))]
    pub pending_value: Text<1, 64>,

    /// Whether rotation was switched on: On or Off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [ON, OFF]))]
    pub rotation: Option<Text<1, 64>>,

    /// The ARN of the rotation function; it counts against the limit of the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_arn: Option<Text<1, 2048>>,
}

/// One step of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// The name of the step: Pin, Clear, Rotate, Unpin, Promote, DropPending, RestorePending, Revert or RestoreSecret.
    #[schemars(extend("enum" = Step::ALL.map(Step::name)))]
    pub name: Text<1, 64>,

    /// The version that the step is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<Text<1, 64>>,

    /// The number of times that the step was intended.
    #[serde(default)]
    pub tries: Count<1, 1_000, 1>,

    /// When the step was last intended, by the clock of AWS.
    pub intent_time: Time,

    /// When the secret was last changed before that, other than by the controller's own pins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_change_time: Option<Time>,

    /// The tries before the last one, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 12),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub earlier_tries: Vec<TryStatus>,

    /// When the result was seen, by the clock of AWS; absent while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_time: Option<Time>,

    /// The result of the step: Applied, or the class of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = results()))]
    pub result: Option<Text<1, 64>>,

    /// The request id that AWS returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Text<0, 256>>,

    /// The error code that AWS returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Text<0, 256>>,
}

/// One try of a step before the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TryStatus {
    /// When the try was intended, by the clock of AWS.
    pub intent_time: Time,

    /// When the secret was last changed before that, other than by the controller's own pins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_change_time: Option<Time>,

    /// The result of the try: Applied, or the class of the error; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = results()))]
    pub result: Option<Text<1, 64>>,
}

/// Builds the schema of a label map. Its bounds are twice the 20 labels that AWS allows. The map is written as a whole.
fn label_map(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 40,
        "x-kubernetes-map-type": "atomic",
        "x-kubernetes-validations": key_length(64),
        "additionalProperties": {
            "description": "The labels of the version that the key names.",
            "type": "array",
            "maxItems": 40,
            "x-kubernetes-list-type": "set",
            "items": { "type": "string", "minLength": 1, "maxLength": 256 },
        },
    })
}
