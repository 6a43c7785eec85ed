//! The entries of a scenario, as its file holds them: secrets, versions, rotations, targets.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::Strategy;

/// One secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretEntry {
    /// The name.
    pub name: String,
    /// The region. `eu-west-1` if absent.
    pub region: Option<String>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// The versions.
    pub versions: Vec<VersionEntry>,
    /// The rotation configuration.
    pub rotation: Option<RotationEntry>,
    /// The creation time: RFC 3339, or `-6h` for six hours ago.
    pub created: Option<String>,
    /// `LastChangedDate`, in the same format.
    pub last_changed: Option<String>,
    /// `DeletedDate`, in the same format.
    pub deleted: Option<String>,
    /// The AWS service that manages the secret.
    pub owning_service: Option<String>,
    /// The type of a managed external secret.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The region of the primary.
    pub primary_region: Option<String>,
    /// The target that accepts its value.
    pub target: Option<TargetEntry>,
    /// A rotation in progress.
    pub rotating: Option<Rotating>,
}

/// One version.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct VersionEntry {
    /// The version id.
    pub id: String,
    /// The labels.
    pub labels: Vec<String>,
    /// The time at which its value was written: RFC 3339 or `-6h`.
    pub created: Option<String>,
    /// Whether the version has no value.
    pub empty: bool,
}

/// The rotation configuration of a secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct RotationEntry {
    /// The name or ARN of the function.
    pub function: Option<String>,
    /// Whether rotation is on. True if absent.
    pub enabled: Option<bool>,
    /// `cron(…)` or `rate(…)`.
    pub schedule: Option<String>,
    /// The length of the window, such as `3h`.
    pub duration: Option<String>,
    /// Days between rotations.
    pub every_days: Option<i64>,
    /// `LastRotatedDate`.
    pub last_rotated: Option<String>,
    /// `NextRotationDate`.
    pub next: Option<String>,
}

/// The target that accepts the value of a secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TargetEntry {
    /// The strategy for its users.
    pub strategy: Strategy,
    /// The version whose value the target accepts. The current version if absent.
    pub accepts: Option<String>,
}

/// A rotation that is in progress when the scenario begins.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rotating {
    /// The running step.
    pub step: String,
    /// The end of the step: `+30s` from now.
    pub ends: String,
}
