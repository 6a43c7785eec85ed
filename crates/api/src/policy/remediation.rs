//! What counts as unhealthy and what the controller does about it, as users write it.

use schemars::JsonSchema;
use secret_rotation_core::policy as core;
use serde::{Deserialize, Serialize};

use super::windows::Windows;
use crate::{
    approval::Approval,
    count::Count,
    duration::{BoundedDuration, HOUR, MINUTE, PATTERN, SECOND},
    schema::rule,
    text::Text,
    wire_enum::wire_enum,
};

/// The longest `attemptWindow` of a policy, in seconds.
pub const LONGEST_ATTEMPT_WINDOW: u64 = 720 * HOUR;

/// What counts as unhealthy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Detection {
    /// How long a rotation may make no progress before it counts as stuck, from 2h to 720h. Set it longer than a run of the rotation function with the retries of AWS.
    #[serde(default)]
    pub stuck_after: BoundedDuration<{ 2 * HOUR }, { 720 * HOUR }, { 6 * HOUR }>,

    /// How long after its next rotation date in AWS a rotation counts as overdue, from 0s to 720h.
    #[serde(default)]
    pub overdue_after: BoundedDuration<0, { 720 * HOUR }, HOUR>,

    /// The maximum age of the current version, from 4h to 99999h; not checked if the field is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<BoundedDuration<{ 4 * HOUR }, { 99_999 * HOUR }, { 99_999 * HOUR }>>,

    /// The AWS tag that holds the expiry date of a value, such as a key of a partner; secrets are not checked for expiry if the field is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Expiry>,

    /// Whether secrets that do not rotate are reported: Report those whose rotation was configured and is off, ReportUnconfigured also those whose rotation was never configured, Ignore neither.
    #[serde(default)]
    pub rotation_disabled: DisabledReporting,

    /// Whether secrets scheduled for deletion are reported: Report or Ignore.
    #[serde(default)]
    pub scheduled_for_deletion: Reporting,
}

/// An expiry date in an AWS tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expiry {
    /// The key of the AWS tag that holds the date or time at which the value expires, in RFC 3339.
    pub tag_key: Text<1, 128>,

    /// How long before that date the secret must have been rotated, from 1h to 8760h.
    #[serde(default)]
    pub rotate_before: BoundedDuration<HOUR, { 8_760 * HOUR }, { 168 * HOUR }>,
}

wire_enum! {
    /// Which secrets that do not rotate are reported.
    #[derive(Default)]
    pub enum DisabledReporting = core::DisabledReporting {
        /// Report secrets whose rotation was configured and then switched off.
        #[default]
        Report,
        /// Report also secrets whose rotation was never configured.
        ReportUnconfigured,
        /// Report neither.
        Ignore,
    }
}

wire_enum! {
    /// Whether a state is reported.
    #[derive(Default)]
    pub enum Reporting = core::Reporting {
        /// The state is a finding.
        #[default]
        Report,
        /// The state counts as healthy.
        Ignore,
    }
}

/// What is done about unhealthy secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Remediation {
    /// The remedy for a stuck rotation: Report, RetryRotation, ClearPending, ClearAndRotate, or Recover. Recover retries a pending version that has a value, once; otherwise it clears the label and rotates.
    #[serde(default)]
    pub stuck: StuckRemedy,

    /// The remedy for an overdue rotation, an expiring value, or a value that is too old: Report or Rotate.
    #[serde(default)]
    pub overdue: OverdueRemedy,

    /// The remedy for a secret that is scheduled for deletion: Report, or RestoreSecret once per secret within attemptWindow.
    #[serde(default)]
    pub scheduled_for_deletion: DeletionRemedy,

    /// Whether a person must approve every operation on a secret of the policy, also in mode Observe: Required or NotRequired.
    #[serde(default)]
    pub approval: Approval,

    /// When automatic operations may start; always if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,

    /// How long to wait between protecting a pending version and clearing its label, from 30s to 6h.
    #[serde(default)]
    pub confirm_after: BoundedDuration<{ 30 * SECOND }, { 6 * HOUR }, { 5 * MINUTE }>,

    /// The limits on the number of operations.
    #[serde(default)]
    pub limits: Limits,

    /// How long to pause between attempts on one secret.
    #[serde(default)]
    pub backoff: Backoff,

    /// The limit on stuck rotations above which a person must decide and no automatic operation starts.
    #[serde(default)]
    pub circuit_breaker: CircuitBreaker,
}

wire_enum! {
    /// The remedy for a stuck rotation.
    #[derive(Default)]
    pub enum StuckRemedy = core::StuckRemedy {
        /// Nothing.
        Report,
        /// Ask AWS to run the pending version again.
        RetryRotation,
        /// Remove the stale label.
        ClearPending,
        /// Remove the stale label, then rotate.
        ClearAndRotate,
        /// Retry a pending version that has a value, once; otherwise clear and rotate.
        #[default]
        Recover,
    }
}

wire_enum! {
    /// The remedy for an overdue rotation.
    #[derive(Default)]
    pub enum OverdueRemedy = core::OverdueRemedy {
        /// Nothing.
        Report,
        /// Rotate.
        #[default]
        Rotate,
    }
}

wire_enum! {
    /// The remedy for a secret that is scheduled for deletion.
    #[derive(Default)]
    pub enum DeletionRemedy = core::DeletionRemedy {
        /// Nothing.
        #[default]
        Report,
        /// Cancel the deletion.
        RestoreSecret,
    }
}

/// Budgets of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The maximum number of operations of this policy in progress at the same time.
    #[serde(default)]
    pub max_concurrent: Count<1, 100, 5>,

    /// The maximum number of automatic attempts on one secret within attemptWindow.
    #[serde(default)]
    pub max_attempts: Count<1, 10, 3>,

    /// The sliding window in which attempts are counted, from 1h to 720h.
    #[serde(default)]
    pub attempt_window: BoundedDuration<HOUR, LONGEST_ATTEMPT_WINDOW, { 24 * HOUR }>,
}

/// Exponential back-off between attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [longest_is_longest()]))]
pub struct Backoff {
    /// The pause after the first attempt, from 1m to 24h; it doubles with every further attempt.
    #[serde(default)]
    pub initial: BoundedDuration<MINUTE, { 24 * HOUR }, { 15 * MINUTE }>,

    /// The longest pause, from 1m to 168h.
    #[serde(default)]
    pub max: BoundedDuration<MINUTE, { 168 * HOUR }, { 4 * HOUR }>,
}

/// Builds the rule. It ignores texts that are not durations, because other rules refuse them.
fn longest_is_longest() -> serde_json::Value {
    let condition = format!(
        "!self.initial.matches('{PATTERN}') || !self.max.matches('{PATTERN}') || duration(self.initial) <= duration(self.max)"
    );
    rule(&condition, "write a max that is not shorter than initial")
}

/// The limit on stuck rotations above which no automatic operation starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CircuitBreaker {
    /// The percentage of stuck secrets among the eligible secrets of a region above which no automatic operation starts there, if minStuck is reached too.
    #[serde(default)]
    pub stuck_percent: Count<1, 100, 40>,

    /// The number of stuck secrets in a region from which no automatic operation starts there, if stuckPercent is exceeded too.
    #[serde(default)]
    pub min_stuck: Count<1, 500_000, 5>,
}
