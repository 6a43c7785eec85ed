//! Scenario files: the initial state as YAML.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::entries::SecretEntry;
use crate::faults::Fault;
use crate::functions::Script;
use crate::quirks::QuirksChange;
use crate::templates::Generate;

/// The content of a scenario file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Scenario {
    /// Switches for what AWS does not document.
    #[serde(rename = "world")]
    pub quirks: Option<QuirksChange>,
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
