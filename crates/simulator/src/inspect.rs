//! The ground truth for tests, beyond what AWS would report.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{Labels, Secret};
use crate::state::SimulatedAws;

/// The real state of a secret.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SecretSnapshot {
    /// The ARN.
    pub arn: String,
    /// Labels by version.
    pub labels: Labels,
    /// Every version, including versions without labels, and whether it has a value.
    pub versions: BTreeMap<String, bool>,
    /// The versions whose value the target accepts.
    pub accepted: BTreeSet<String>,
    /// Whether a version with a label has a value that the target accepts.
    pub live_value_is_labelled: bool,
    /// Whether the rotation function runs.
    pub rotating: bool,
    /// The number of runs of each step of the rotation function.
    pub invocations: BTreeMap<String, u64>,
    /// `LastChangedDate`.
    pub last_changed: Timestamp,
    /// `DeletedDate`: the time at which it was scheduled for deletion.
    pub deleted: Option<Timestamp>,
    /// Whether rotation is on.
    pub rotation_enabled: Option<bool>,
}

pub(crate) fn secret(state: &SimulatedAws, name: &str) -> Option<SecretSnapshot> {
    let secret = found(state, name)?;
    let accepted = secret.versions.iter().filter(|(_, version)| {
        version
            .value
            .as_ref()
            .is_some_and(|value| secret.target.accepts.contains(value))
    });
    Some(SecretSnapshot {
        arn: secret.arn.to_string(),
        labels: secret.labels(),
        versions: secret
            .versions
            .iter()
            .map(|(id, version)| (id.to_string(), version.value.is_some()))
            .collect(),
        accepted: accepted.map(|(id, _)| id.to_string()).collect(),
        live_value_is_labelled: secret.live_value_is_labelled(),
        rotating: secret.rare.running.is_some(),
        invocations: secret.rare.invocations.clone(),
        last_changed: secret.last_changed,
        deleted: secret
            .rare
            .deleted
            .as_ref()
            .map(|deletion| deletion.requested),
        rotation_enabled: secret.rotation.enabled,
    })
}

/// Finds a secret by its ARN, or by its name in any account and region.
pub(crate) fn found<'a>(state: &'a SimulatedAws, name: &str) -> Option<&'a Secret> {
    let secrets = &state.secrets;
    secrets.get(name).or_else(|| secrets.named_anywhere(name))
}
