//! The ground truth for tests, beyond what AWS would report.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::model::Labels;
use crate::state::SimulatedAws;
use crate::trace::{Entry, Trace};

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
    let secret = state.secrets.get(name).or_else(|| state.by_name(name))?;
    let accepted = secret.versions.iter().filter(|(_, version)| {
        version
            .value
            .as_ref()
            .is_some_and(|value| secret.target.accepts.contains(value))
    });
    Some(SecretSnapshot {
        arn: secret.arn.clone(),
        labels: secret.labels(),
        versions: secret
            .versions
            .iter()
            .map(|(id, version)| (id.clone(), version.value.is_some()))
            .collect(),
        accepted: accepted.map(|(id, _)| id.clone()).collect(),
        live_value_is_labelled: secret.live_value_is_labelled(),
        rotating: secret.running.is_some(),
        invocations: secret.invocations.clone(),
        last_changed: secret.last_changed,
        deleted: secret.deleted.as_ref().map(|deletion| deletion.requested),
        rotation_enabled: secret.rotation.enabled,
    })
}

pub(crate) fn calls(trace: &Trace) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for entry in &trace.entries {
        if let Entry::Request(request) = entry {
            *calls.entry(request.operation.clone()).or_default() += 1;
        }
    }
    calls
}
