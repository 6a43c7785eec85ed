//! Scenario files: the initial state as YAML.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::faults::Fault;
use crate::functions::Script;
use crate::model::Strategy;
use crate::templates::Generate;
use crate::world::WorldChange;

/// The content of a scenario file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Scenario {
    /// Switches for what AWS does not document.
    pub world: Option<WorldChange>,
    /// Scripts of rotation functions, by name.
    pub functions: BTreeMap<String, Script>,
    /// Single secrets.
    pub secrets: Vec<SecretEntry>,
    /// Groups of secrets in one state.
    pub generate: Vec<Generate>,
    /// Faults on the wire.
    pub faults: Vec<Fault>,
    /// SQS queues that receive the events of their region.
    pub queues: Vec<QueueEntry>,
}

/// A standard SQS queue of account 111122223333.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct QueueEntry {
    /// The name.
    pub name: String,
    /// The region. `eu-west-1` if absent.
    #[serde(default)]
    pub region: Option<String>,
}

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

impl Scenario {
    /// Parses a scenario file.
    ///
    /// # Errors
    ///
    /// Returns an error that names the invalid place.
    pub fn parse(yaml: &str) -> Result<Self> {
        serde_saphyr::from_str(yaml).context("the scenario is not valid")
    }
}
