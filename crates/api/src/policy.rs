//! `SecretRotationPolicy`: which secrets a team watches, and what the controller does about unhealthy ones.

mod next_status;
mod parse;
mod remediation;
mod selector;
mod status;
mod windows;

use kube::CustomResource;
use schemars::JsonSchema;
use secret_rotation_core::policy;
use serde::{Deserialize, Serialize};

pub use next_status::PassReport;
pub use remediation::{
    Backoff, CircuitBreaker, DeletionRemedy, Detection, DisabledReporting, Expiry,
    LONGEST_ATTEMPT_WINDOW, Limits, OverdueRemedy, Remediation, Reporting, StuckRemedy,
};
pub use selector::{Selector, SelectorItem, TagRequirement};
pub use status::{FindingStatus, NextWindow, RetryRequest, SecretRotationPolicyStatus, Summary};
pub use windows::{Window, Windows};

use crate::{
    count::Count,
    duration::{BoundedDuration, HOUR, MINUTE, SECOND},
    readiness::ReadyReason,
    schema::immutable,
    text::{Text, clip},
    wire_enum::wire_enum,
};

/// Which secrets are watched, what counts as unhealthy, and what is done about it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "secretrotation.dev",
    version = "v1alpha1",
    kind = "SecretRotationPolicy",
    plural = "secretrotationpolicies",
    singular = "secretrotationpolicy",
    shortname = "srp",
    category = "secret-rotation",
    namespaced,
    derive = "PartialEq",
    status = "SecretRotationPolicyStatus",
    doc = "SecretRotationPolicy watches the rotations of a set of AWS secrets and, in mode Remediate, recovers those that are stuck.",
    selectable = ".spec.mode",
    selectable = ".spec.profileRef.name"
)]
#[serde(rename_all = "camelCase")]
pub struct SecretRotationPolicySpec {
    /// The AWSAccessProfile that bounds what this policy may see and do; it cannot be changed.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = immutable("profileRef cannot be changed; create another policy that refers to the other profile")))]
    pub profile_ref: ProfileReference,

    /// The AWS regions to watch, among those of the profile; all of them if the field is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 40),
        inner(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)+$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub regions: Vec<Text<5, 32>>,

    /// The secrets that the policy watches.
    pub selector: Selector,

    /// Whether the policy acts: Observe reports only, Remediate also creates operations.
    #[serde(default)]
    pub mode: Mode,

    /// Whether the policy is suspended: while true, no check runs and no operation starts or continues.
    #[serde(default)]
    pub suspend: bool,

    /// How often the secrets are checked, from 30s to 24h; at most as often as the profile allows.
    #[serde(default)]
    pub check_interval: BoundedDuration<{ 30 * SECOND }, { 24 * HOUR }, { 5 * MINUTE }>,

    /// What counts as unhealthy.
    #[serde(default)]
    pub detection: Detection,

    /// What is done about unhealthy secrets in mode Remediate.
    #[serde(default)]
    pub remediation: Remediation,
}

/// A reference to an AWSAccessProfile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileReference {
    /// The name of the AWSAccessProfile.
    #[serde(default = "default_profile")]
    pub name: Text<1, 63>,
}

fn default_profile() -> Text<1, 63> {
    "default".into()
}

impl Default for ProfileReference {
    fn default() -> Self {
        Self {
            name: default_profile(),
        }
    }
}

wire_enum! {
    /// Whether a policy acts.
    #[derive(Default)]
    pub enum Mode = policy::Mode {
        /// The policy only reports.
        #[default]
        Observe,
        /// The policy also creates operations.
        Remediate,
    }
}

/// What suspends a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspendedBy {
    /// `spec.suspend` of the policy.
    Policy,
    /// `spec.suspend` of its profile.
    Profile,
}

impl SecretRotationPolicy {
    /// Returns what suspends the policy: its own spec, or its profile according to the status of this generation.
    pub fn suspended_by(&self) -> Option<SuspendedBy> {
        if self.spec.suspend {
            return Some(SuspendedBy::Policy);
        }
        let status = self.status.as_ref()?;
        let is_current = status.observed_generation.map(Count::value) == self.metadata.generation;
        let suspended = ReadyReason::of(&status.conditions) == Some(ReadyReason::Suspended);
        (is_current && suspended).then_some(SuspendedBy::Profile)
    }

    /// Returns the token of the last requested check, which the status repeats once that check is complete.
    ///
    /// It is shortened as in the status. Otherwise a long token would never count as handled.
    pub fn requested_check(&self) -> Option<&str> {
        self.token(crate::CHECK_REQUESTED_ANNOTATION)
    }

    /// Returns the token of the last request to reset the count of attempts, if the status does not have it yet.
    pub fn requested_retry(&self) -> Option<&str> {
        let handled = self
            .status
            .as_ref()
            .and_then(|status| status.last_retry_request.as_ref());
        let token = self.token(crate::RETRY_REQUESTED_ANNOTATION)?;
        (handled.map(|handled| handled.token.as_str()) != Some(token)).then_some(token)
    }

    fn token(&self, annotation: &str) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations
            .get(annotation)
            .map(|token| clip(token, status::MAX_TOKEN))
    }
}
