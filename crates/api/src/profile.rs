//! `AWSAccessProfile`: what admins allow tenants to see and do in AWS.

mod next_status;
mod parse;
mod status;

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use secret_rotation_core::action;
use serde::{Deserialize, Serialize};

pub use next_status::{ProfileReport, RegionSweep};
pub use status::{AWSAccessProfileStatus, RegionStatus};

use crate::{
    count::Count,
    duration::{BoundedDuration, HOUR, MINUTE, SECOND},
    name_rules,
    schema::{key_length, rule},
    text::Text,
    wire_enum::wire_enum,
};

/// The bounds of all policies that refer to the profile.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "secretrotation.dev",
    version = "v1alpha1",
    kind = "AWSAccessProfile",
    plural = "awsaccessprofiles",
    singular = "awsaccessprofile",
    shortname = "awsap",
    category = "secret-rotation",
    derive = "PartialEq",
    status = "AWSAccessProfileStatus",
    doc = "AWSAccessProfile bounds what policies may see and do in AWS. Admins own it. It never holds credentials or secret values."
)]
#[serde(rename_all = "camelCase")]
pub struct AWSAccessProfileSpec {
    /// The id of the AWS account; if it is set, secrets of any other account are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]{12}$"))]
    pub account_id: Option<Text<12, 12>>,

    /// The AWS regions that policies may watch.
    #[schemars(
        length(min = 1, max = 40),
        inner(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)+$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub regions: Vec<Text<5, 32>>,

    /// The namespaces whose policies may refer to the profile; none if it is empty.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,

    /// The secrets that policies may see, by the beginning of their names; none if it is empty.
    #[serde(default)]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "atomic"))]
    pub allowed_secrets: Vec<AllowedSecret>,

    /// What policies and operations may do: Rotate (also RetryRotation), ClearPending (also RestorePending and ReleasePins), both for ClearAndRotate, PromotePending, RevertToPrevious, RestoreSecret. If it is empty, policies only observe.
    #[serde(default)]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub allowed_actions: Vec<AllowedAction>,

    /// The actions that always need the approval of a person, even if the policy requires none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub approval_required_for: Vec<AllowedAction>,

    /// Whether every policy of the profile is suspended: while true, no check runs and no operation starts or continues.
    #[serde(default)]
    pub suspend: bool,

    /// The shortest interval at which policies are checked, from 1s to 24h. It also limits requested checks: the first one of a policy runs immediately, and then at most one in each interval.
    #[serde(default)]
    pub min_check_interval: BoundedDuration<SECOND, { 24 * HOUR }, MINUTE>,

    /// The maximum number of rotations in progress in one rotation function, across all policies of the profile.
    #[serde(default)]
    pub max_concurrent_per_function: Count<1, 100, 1>,

    /// The rate limits of requests to AWS.
    #[serde(default)]
    pub rate_limit: RateLimit,

    /// The SQS queue to which EventBridge sends events about secrets. The controller then checks a changed secret within seconds; without the queue, it sees the change at the next check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_queue: Option<EventQueue>,
}

/// A queue of events about secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventQueue {
    /// The ARN of a standard SQS queue; the controller receives and deletes its messages.
    #[schemars(regex(
        pattern = "^arn:[a-z-]+:sqs:[a-z0-9]+(-[a-z0-9]+)+:[0-9]{12}:[A-Za-z0-9_-]{1,80}$"
    ))]
    pub arn: Text<20, 256>,
}

/// Namespaces by name or by label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// The exact names of namespaces, or * for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 200),
        inner(regex(pattern = r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub names: Vec<Text<1, 63>>,

    /// The labels that select namespaces in addition to names; it selects none if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// Namespaces by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// The labels that a namespace must have, all of them; no namespace is selected if it is empty.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 20, "x-kubernetes-map-type" = "atomic", "x-kubernetes-validations" = key_length(317)))]
    pub match_labels: BTreeMap<String, Text<0, 63>>,
}

/// Secrets by the beginning of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedSecret {
    /// The beginning of the names, in which ${namespace} is replaced by the namespace of the policy; * alone allows every name.
    #[schemars(
        regex(pattern = "^[!-~]+$"),
        extend("x-kubernetes-validations" = [
            rule("self == '*' || !self.contains('*')", "write * alone to allow every name, or a prefix without it"),
            rule(
                "!self.contains('$') || self.matches('^[^$]*[$][{]namespace[}][/_.+=@][^$]*$')",
                "write ${namespace} once and follow it with one of / _ . + = @, as in ${namespace}/",
            ),
            name_rules::ceiling(),
        ])
    )]
    pub name_prefix: Text<1, 512>,
}

wire_enum! {
    /// What a profile may allow.
    pub enum AllowedAction = action::Permission {
        /// Start rotations, new ones and pending ones.
        Rotate,
        /// Pin and clear pending versions; restore what was cleared; release pins.
        ClearPending,
        /// Make a pending version current.
        PromotePending,
        /// Make the previous version current.
        RevertToPrevious,
        /// Cancel a scheduled deletion.
        RestoreSecret,
    }
}

/// Requests per second to AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// The maximum number of read requests per second, with bursts of 100.
    #[serde(default)]
    pub reads_per_second: Count<1, 1_000, 20>,

    /// The maximum number of write requests per second, with bursts of 10.
    #[serde(default)]
    pub writes_per_second: Count<1, 100, 2>,
}
