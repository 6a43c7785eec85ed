//! `SecretRotationOperation`: one action on one secret, with its journal.

mod automatic;
mod journal;
mod names;
mod next_status;
mod parse;
mod query;
mod status;
mod target;

use kube::CustomResource;
use schemars::JsonSchema;
use secret_rotation_core::{action, approval, operation};
use serde::{Deserialize, Serialize};

pub use next_status::{ApprovedReason, StepReport, UnsupportedReport, conditions};
pub use status::{BaselineStatus, SecretRotationOperationStatus, StepStatus, TryStatus};
pub use target::{SecretTarget, secret_label};

use crate::{
    approval::Approval,
    duration::{BoundedDuration, HOUR, MINUTE, SECOND},
    name_rules,
    schema::rule,
    text::Text,
    time::Time,
    wire_enum::wire_enum,
};

/// The action, the secret, and what must be true before the operation acts.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "secretrotation.dev",
    version = "v1alpha1",
    kind = "SecretRotationOperation",
    plural = "secretrotationoperations",
    singular = "secretrotationoperation",
    shortname = "sro",
    category = "secret-rotation",
    namespaced,
    derive = "PartialEq",
    status = "SecretRotationOperationStatus",
    doc = "SecretRotationOperation is one action on one AWS secret: the request, the journal, and the record for audits.",
    selectable = ".spec.policyRef.name",
    selectable = ".spec.action"
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "has(oldSelf.decision) ? self == oldSelf : self.policyRef == oldSelf.policyRef && self.secret == oldSelf.secret && self.action == oldSelf.action && has(self.expect) == has(oldSelf.expect) && (!has(self.expect) || self.expect == oldSelf.expect) && self.reason == oldSelf.reason && self.trigger == oldSelf.trigger && self.approval == oldSelf.approval && has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy) && self.confirmAfter == oldSelf.confirmAfter && self.deadline == oldSelf.deadline && self.ttlAfterFinished == oldSelf.ttlAfterFinished",
        "the spec of an operation cannot be changed, except that decision can be set once; create another operation",
    ),
    rule(
        "self.action != 'Rotate' || (has(self.expect) && has(self.expect.currentVersionId))",
        "write expect.currentVersionId: Rotate must name the version that it replaces",
    ),
    rule(
        "!(self.action in ['RetryRotation', 'ClearPending', 'ClearAndRotate', 'PromotePending']) || (has(self.expect) && has(self.expect.pendingVersionId))",
        "write expect.pendingVersionId: the action must name the pending version that it acts on",
    ),
    rule(
        "!(self.action in ['PromotePending', 'RevertToPrevious']) || (has(self.expect) && has(self.expect.currentVersionId))",
        "write expect.currentVersionId: the action must name the version that loses AWSCURRENT",
    ),
    rule(
        "self.action != 'RevertToPrevious' || (has(self.expect) && has(self.expect.previousVersionId))",
        "write expect.previousVersionId: RevertToPrevious must name the version that gets AWSCURRENT",
    ),
    rule(
        "self.action != 'RestorePending' || (has(self.expect) && has(self.expect.pinnedVersionId))",
        "write expect.pinnedVersionId: RestorePending must name the pinned version that gets AWSPENDING back",
    ),
    rule(
        "self.action != 'RestoreSecret' || (has(self.expect) && has(self.expect.deletedTime))",
        "write expect.deletedTime: RestoreSecret must name the DeletedDate of the deletion that it cancels",
    ),
    rule(
        "!(self.action in ['PromotePending', 'RestorePending', 'RevertToPrevious']) || !has(self.trigger) || self.trigger == 'Manual'",
        "write trigger Manual: only a person can know that this action is right",
    ),
]))]
pub struct SecretRotationOperationSpec {
    /// The policy that must select the secret, and whose profile must allow the action.
    pub policy_ref: PolicyReference,

    /// The secret to act on: either its name and region, or its ARN.
    pub secret: SecretReference,

    /// The action: RetryRotation, Rotate, ClearPending, ClearAndRotate, PromotePending, RestorePending, RevertToPrevious, RestoreSecret or ReleasePins.
    pub action: Action,

    /// The versions that must hold their labels until the operation itself moves them; otherwise the operation fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,

    /// Why the operation is requested, for the audit trail.
    pub reason: Text<1, 1024>,

    /// Who requests the operation: Manual for a person, Policy for the controller itself.
    #[serde(default)]
    pub trigger: Trigger,

    /// Whether a person must approve the operation before it acts: Required or NotRequired. The policy and the profile can also require approval.
    #[serde(default)]
    pub approval: Approval,

    /// The user who requests the operation, by the username that the API server knows; required if the operation needs approval, because no one may approve their own request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<Text<1, 512>>,

    /// How long after its creation, or after its approval, the operation may begin to act, from 1m to 720h.
    #[serde(default)]
    pub deadline: BoundedDuration<MINUTE, { 720 * HOUR }, { 24 * HOUR }>,

    /// How long the operation is kept after it has ended, from 0s to 8760h; never shorter than the attemptWindow of its policy.
    #[serde(default)]
    pub ttl_after_finished: BoundedDuration<0, { 8_760 * HOUR }, { 168 * HOUR }>,

    /// The decision of a person who may approve operations; it can be set once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,

    /// How long to wait between protecting a pending version and clearing its label, from 30s to 6h.
    #[serde(default)]
    pub confirm_after: BoundedDuration<{ 30 * SECOND }, { 6 * HOUR }, { 5 * MINUTE }>,
}

/// What a person decided about an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Whether the operation may continue: Approve or Deny.
    pub verdict: DecisionVerdict,

    /// The user who decided, by the username that the API server knows.
    pub by: Text<1, 512>,

    /// Why the person decided so, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text<0, 1024>>,
}

wire_enum! {
    /// Whether an operation may continue.
    pub enum DecisionVerdict = approval::Answer {
        /// The operation may continue.
        Approve,
        /// The operation must not continue.
        Deny,
    }
}

/// A reference to a SecretRotationPolicy in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReference {
    /// The name of the SecretRotationPolicy, in the same namespace.
    pub name: Text<1, 63>,

    /// The UID of the SecretRotationPolicy, if the operation must not outlast it; automatic operations always name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Text<1, 128>>,
}

/// A secret, by name and region or by ARN.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule(
    "has(self.arn) ? !has(self.name) && !has(self.region) : has(self.name) && has(self.region)",
    "write either arn, or both name and region",
)]))]
pub struct SecretReference {
    /// The exact name of the secret; requires region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = "^[!-~]+$"),
        extend("x-kubernetes-validations" = name_rules::name_or_arn())
    )]
    pub name: Option<Text<1, 512>>,

    /// The AWS region of the secret; requires name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)+$"))]
    pub region: Option<Text<5, 32>>,

    /// The complete ARN of the secret, instead of name and region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(
        pattern = "^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[!-~]+$"
    ))]
    pub arn: Option<Text<20, 2048>>,
}

/// Versions that must hold their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// The version that must hold AWSCURRENT; required for Rotate, PromotePending and RevertToPrevious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[!-~]+$"))]
    pub current_version_id: Option<Text<1, 64>>,

    /// The version that must hold AWSPENDING; required for RetryRotation, ClearPending, ClearAndRotate and PromotePending, and for RestorePending if any version holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[!-~]+$"))]
    pub pending_version_id: Option<Text<1, 64>>,

    /// The version that must hold AWSPREVIOUS; required for RevertToPrevious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[!-~]+$"))]
    pub previous_version_id: Option<Text<1, 64>>,

    /// The version that must carry a pin of the controller; required for RestorePending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[!-~]+$"))]
    pub pinned_version_id: Option<Text<1, 64>>,

    /// The DeletedDate of the secret, to the second; required for RestoreSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_time: Option<Time>,
}

wire_enum! {
    /// The action of an operation.
    pub enum Action = action::Action {
        /// Ask AWS to run the pending version again.
        RetryRotation,
        /// Rotate a secret that has no unfinished rotation.
        Rotate,
        /// Remove a stale AWSPENDING label.
        ClearPending,
        /// Remove a stale AWSPENDING label, then rotate.
        ClearAndRotate,
        /// Make the pending version current, because the target accepts its value.
        PromotePending,
        /// Put AWSPENDING back on a version that the controller pinned.
        RestorePending,
        /// Make the previous version current again.
        RevertToPrevious,
        /// Cancel a scheduled deletion.
        RestoreSecret,
        /// Remove the controller's pins from a secret that has been healthy for a long time.
        ReleasePins,
    }
}

wire_enum! {
    /// Who requests an operation.
    #[derive(Default)]
    pub enum Trigger = operation::Trigger {
        /// A person.
        #[default]
        Manual,
        /// The controller, for a policy.
        Policy,
    }
}
