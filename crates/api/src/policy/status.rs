//! The status of a `SecretRotationPolicy`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::survey::State;
use serde::{Deserialize, Serialize};

use crate::{
    conditions,
    count::{Count, LARGEST},
    text::Text,
    time::Time,
};

/// Maximum number of findings listed.
pub(super) const MAX_FINDINGS: usize = 50;

/// Maximum number of characters kept of the token of a check.
pub(super) const MAX_TOKEN: usize = 256;

/// Upper bound of every count: more secrets than any account holds.
const COUNTABLE: i64 = 10_000_000;

/// What the controller saw and did for a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRotationPolicyStatus {
    /// The generation of the policy that this status is about; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<Count<-1, LARGEST>>,

    /// When the secrets were last checked, by the clock of AWS; written at most every 15 minutes while nothing else changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check_time: Option<Time>,

    /// The token of the last requested check that is complete, from annotation secretrotation.dev/check-requested-at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_request: Option<Text<0, MAX_TOKEN>>,

    /// The last request to reset the count of attempts, from annotation secretrotation.dev/retry-requested-at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_retry_request: Option<RetryRequest>,

    /// The number of secrets in each state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,

    /// The secrets that are not healthy, worst first, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 50),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["region", "name"])
    )]
    pub findings: Vec<FindingStatus>,

    /// The number of secrets that are not healthy and not listed in findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings_omitted: Option<Count<0, COUNTABLE>>,

    /// When automatic operations may start next; absent without windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_window: Option<NextWindow>,

    /// The current state of the policy: Ready and Healthy always, Reconciling and Stalled only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}

/// The maintenance window that is open, or the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextWindow {
    /// When the window opens; absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<Time>,

    /// When the window closes; absent if it does not close in the foreseeable future.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes: Option<Time>,
}

/// A request to reset the count of attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryRequest {
    /// The token of the annotation.
    pub token: Text<0, MAX_TOKEN>,

    /// When the controller saw the request, by the clock of AWS; earlier attempts no longer count.
    pub time: Time,
}

/// The number of secrets in each state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Summary {
    /// The number of secrets that the policy selects within the bounds of its profile; the states below add up to it.
    pub selected: Count<0, COUNTABLE>,
    /// The number of secrets with nothing to report.
    pub healthy: Count<0, COUNTABLE>,
    /// The number of secrets whose rotation is in progress.
    pub rotating: Count<0, COUNTABLE>,
    /// The number of secrets whose rotation makes no progress, or whose pending version was rolled back.
    pub stuck: Count<0, COUNTABLE>,
    /// The number of secrets whose rotation date has passed.
    pub overdue: Count<0, COUNTABLE>,
    /// The number of secrets whose current version is older than the policy allows.
    pub too_old: Count<0, COUNTABLE>,
    /// The number of secrets whose value expires soon.
    pub expiring: Count<0, COUNTABLE>,
    /// The number of secrets that do not rotate.
    pub disabled: Count<0, COUNTABLE>,
    /// The number of secrets without a current version, for which a person must set a value.
    pub broken: Count<0, COUNTABLE>,
    /// The number of secrets scheduled for deletion.
    pub scheduled_for_deletion: Count<0, COUNTABLE>,
    /// The number of exact names that do not exist.
    pub not_found: Count<0, COUNTABLE>,
    /// The number of replicas; a replica rotates with its primary.
    pub ineligible: Count<0, COUNTABLE>,
    /// The number of secrets that could not be read.
    pub unknown: Count<0, COUNTABLE>,
    /// Deprecated: always 0. What lies beyond the bounds of the profile is neither read nor counted.
    pub outside_ceiling: Count<0, COUNTABLE>,
}

/// One secret that is not healthy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingStatus {
    /// The name of the secret.
    pub name: Text<1, 512>,

    /// The AWS region of the secret.
    pub region: Text<1, 32>,

    /// The ARN of the secret; absent if it does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<Text<1, 2048>>,

    /// The state of the secret: Broken, Stuck, Expiring, Overdue, TooOld, ScheduledForDeletion, NotFound, Disabled, Unknown or Rotating.
    #[schemars(extend("enum" = states()))]
    pub state: Text<1, 64>,

    /// Since when the secret has been in this state; absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,

    /// Why the secret is in this state, in a sentence.
    pub message: Text<0, 1024>,

    /// The version that holds AWSCURRENT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version_id: Option<Text<1, 64>>,

    /// The version of the unfinished rotation, which holds AWSPENDING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_version_id: Option<Text<1, 64>>,

    /// When this pending version was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_observed_time: Option<Time>,

    /// The number of attempts on the secret within the attempt window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Count<0, 1_000>>,

    /// When the next automatic attempt may begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,

    /// Why no automatic operation starts for the secret, in one word; absent if nothing blocks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = BlockReason::ALL.map(BlockReason::name)))]
    pub blocked_by: Option<Text<1, 64>>,

    /// The name of the SecretRotationOperation in progress on the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Text<1, 253>>,

    /// Since when the secret could not be read; absent while it can be read. The other fields then hold what was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen_since: Option<Time>,
}

/// Returns the names of the states that findings can have.
fn states() -> Vec<&'static str> {
    let listed = |state: &State| state.is_unhealthy() || *state == State::Rotating;
    State::ALL
        .into_iter()
        .filter(listed)
        .map(State::name)
        .collect()
}

impl SecretRotationPolicyStatus {
    /// Returns how many secrets were in each state at the last check.
    pub fn counts(&self) -> Vec<(State, usize)> {
        self.summary
            .as_ref()
            .map(Summary::counts)
            .unwrap_or_default()
    }

    /// Returns whether anything but the time of the check differs, so that the status must be written immediately.
    pub fn differs_beyond_check_time(&self, other: &Self) -> bool {
        let timeless = |status: &Self| Self {
            last_check_time: None,
            ..status.clone()
        };
        timeless(self) != timeless(other)
    }
}
