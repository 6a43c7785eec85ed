//! Scenario files: an estate as YAML.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::faults::Fault;
use crate::functions::Script;
use crate::model::Strategy;
use crate::templates::Generate;
use crate::world::WorldChange;

/// What a scenario file holds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Scenario {
    /// Switches for what AWS does not document.
    pub world: Option<WorldChange>,
    /// Scripts of rotation functions, by name.
    pub functions: BTreeMap<String, Script>,
    /// Secrets one by one.
    pub secrets: Vec<SecretEntry>,
    /// Secrets by the dozen.
    pub generate: Vec<Generate>,
    /// Faults on the wire.
    pub faults: Vec<Fault>,
    /// SQS queues that get the events of their region.
    pub queues: Vec<QueueEntry>,
}

/// A standard SQS queue of account 111122223333.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct QueueEntry {
    /// Its name.
    pub name: String,
    /// `eu-west-1` if left out.
    #[serde(default)]
    pub region: Option<String>,
}

/// One secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretEntry {
    /// Its name.
    pub name: String,
    /// `eu-west-1` if left out.
    pub region: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its versions.
    pub versions: Vec<VersionEntry>,
    /// Whether and how it rotates.
    pub rotation: Option<RotationEntry>,
    /// When it was created: RFC 3339, or `-6h` for six hours ago.
    pub created: Option<String>,
    /// `LastChangedDate`, likewise.
    pub last_changed: Option<String>,
    /// `DeletedDate`, likewise.
    pub deleted: Option<String>,
    /// The AWS service that manages it.
    pub owning_service: Option<String>,
    /// The type of a managed external secret.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The primary's region.
    pub primary_region: Option<String>,
    /// What its value opens.
    pub target: Option<TargetEntry>,
    /// A rotation under way.
    pub rotating: Option<Rotating>,
}

/// One version.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct VersionEntry {
    /// Its id.
    pub id: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// When its value was written: RFC 3339 or `-6h`.
    pub created: Option<String>,
    /// Whether it has no value.
    pub empty: bool,
}

/// Whether and how a secret rotates.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct RotationEntry {
    /// The function's name or ARN.
    pub function: Option<String>,
    /// Switched on unless it says false.
    pub enabled: Option<bool>,
    /// `cron(…)` or `rate(…)`.
    pub schedule: Option<String>,
    /// Length of the window, such as `3h`.
    pub duration: Option<String>,
    /// Days between rotations.
    pub every_days: Option<i64>,
    /// `LastRotatedDate`.
    pub last_rotated: Option<String>,
    /// `NextRotationDate`.
    pub next: Option<String>,
}

/// What a secret's value opens.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TargetEntry {
    /// How its users rotate.
    pub strategy: Strategy,
    /// The version whose value it lets in; the current one if left out.
    pub accepts: Option<String>,
}

/// A rotation that is under way when the scenario begins.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rotating {
    /// The step that runs.
    pub step: String,
    /// When it ends: `+30s` from now.
    pub ends: String,
}

impl Scenario {
    /// Reads a scenario file; the error says where it is wrong.
    pub fn parse(yaml: &str) -> Result<Self> {
        serde_saphyr::from_str(yaml).context("the scenario is not valid")
    }
}
