//! The state of policies and operations that the screen shows, read with `kubectl`.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use testenv::project;

/// The state of the cluster at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) policies: Vec<Policy>,
}

/// A policy, from its status.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) mode: String,
    pub(super) healthy_condition: String,
    pub(super) counts: Value,
    pub(super) findings: Vec<Finding>,
    operations_succeeded: u64,
    operations_open: u64,
}

/// A finding with its operation in progress.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) message: String,
    pub(super) remedy: String,
}

impl State {
    /// Reads the policies and operations of the namespaces.
    pub(super) fn read(kubectl: &dyn Fn() -> Command, namespaces: &[&str]) -> Result<Self> {
        let get = |kind: &str| -> Result<Vec<Value>> {
            let text = project::output(kubectl().args(["get", kind, "-A", "-o", "json"]))?;
            let mut list: Value = serde_json::from_str(&text)?;
            list["items"]
                .as_array_mut()
                .map(std::mem::take)
                .context("kubectl prints a list")
        };
        let (policies, operations) = (get("srp")?, get("sro")?);
        let shown = policies.iter().filter(|policy| {
            namespaces
                .iter()
                .any(|name| policy["metadata"]["namespace"] == *name)
        });
        Ok(Self {
            policies: shown
                .map(|policy| Policy::of(policy, &operations))
                .collect(),
        })
    }

    /// Counts the stuck secrets of policies in mode Remediate.
    pub(super) fn stuck_in_remediate(&self) -> u64 {
        self.acting().map(|policy| policy.count("stuck")).sum()
    }

    /// Returns whether the policies in mode Remediate have nothing left to do: all rotations are healthy, and no operation
    /// is in progress.
    pub(super) fn recovered(&self) -> bool {
        self.acting().count() > 0
            && self.acting().all(|policy| {
                policy.count("stuck") + policy.count("overdue") == 0
                    && policy.operations_open == 0
                    && policy.count("selected") > 0
            })
    }

    /// Counts the operations that succeeded.
    pub(super) fn operations_succeeded(&self) -> u64 {
        self.policies
            .iter()
            .map(|policy| policy.operations_succeeded)
            .sum()
    }

    fn acting(&self) -> impl Iterator<Item = &Policy> {
        self.policies
            .iter()
            .filter(|policy| policy.mode == "Remediate")
    }
}

impl Policy {
    fn of(policy: &Value, operations: &[Value]) -> Self {
        let own: Vec<_> = operations
            .iter()
            .filter(|operation| {
                operation["metadata"]["namespace"] == policy["metadata"]["namespace"]
            })
            .collect();
        let findings = policy["status"]["findings"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let succeeded = own
            .iter()
            .filter(|operation| condition(operation, "Complete")["status"] == "True")
            .count();
        let failed = own
            .iter()
            .filter(|operation| condition(operation, "Failed")["status"] == "True")
            .count();
        Self {
            name: format!(
                "{}/{}",
                text(&policy["metadata"]["namespace"]),
                text(&policy["metadata"]["name"])
            ),
            mode: text(&policy["spec"]["mode"]),
            healthy_condition: text(&condition(policy, "Healthy")["reason"]),
            counts: policy["status"]["summary"].clone(),
            findings: findings
                .iter()
                .map(|finding| Finding::of(finding, &own))
                .collect(),
            operations_succeeded: succeeded as u64,
            operations_open: (own.len() - succeeded - failed) as u64,
        }
    }

    /// Returns a number of the summary.
    pub(super) fn count(&self, name: &str) -> u64 {
        self.counts[name].as_u64().unwrap_or(0)
    }
}

impl Finding {
    fn of(finding: &Value, operations: &[&Value]) -> Self {
        let operation = operations
            .iter()
            .find(|operation| operation["metadata"]["name"] == finding["operation"]);
        let remedy = match operation {
            Some(operation) => format!(
                "{}: {}",
                text(&operation["spec"]["action"]),
                text(&condition(operation, "Complete")["reason"])
            ),
            None => text(&finding["blockedBy"]),
        };
        Self {
            name: text(&finding["name"]),
            state: text(&finding["state"]),
            message: text(&finding["message"]),
            remedy,
        }
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
        .unwrap_or(&Value::Null)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
