//! The plan as a value: the operations to create for one policy, and what is blocked and why.
//! [`planner`](crate::planner) makes it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use crate::action::Action;
use crate::approval::Approval;
use crate::block::{Block, BlockReason};
use crate::history::History;
use crate::maintenance_window::Opening;
use crate::names::{Arn, ObjectKey, ObjectName, Region, SecretName, Uid};
use crate::operation::Expectation;
use crate::operation_index::OperationIndex;
use crate::ownership::BoundPolicy;
use crate::pin::ClusterId;
use crate::policy_index::PolicyIndex;
use crate::stability::StabilityTracker;
use crate::time::AwsTime;

/// The operations to create for one policy, and why others are not created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The operations to create now.
    pub create: Vec<Proposal>,
    /// The findings on which nothing is done, with the reason, by ARN.
    pub blocked: BTreeMap<Arn, Block>,
    /// Attempts made within the attempt window, and when the next one may start, by ARN of each finding.
    pub attempts: BTreeMap<Arn, Attempts>,
    /// The unfinished operation of each finding.
    pub in_progress: BTreeMap<Arn, ObjectKey>,
    /// Operations of this policy that have not started and whose reason no longer exists, with a sentence that explains
    /// it.
    pub supersede: Vec<(ObjectKey, String)>,
    /// Whether the circuit breaker is open in any region.
    pub breaker: Breaker,
    /// Whether automatic operations may start in each region.
    pub regions: BTreeMap<Region, RegionGate>,
    /// Whether a maintenance window is open.
    pub window: Opening,
    /// The next time at which the plan changes without a change of anything else.
    pub wake_at: Option<AwsTime>,
}

/// An automatic operation that does not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The name of the operation. The same inputs always make the same name.
    pub name: ObjectName,
    /// The secret's ARN.
    pub arn: Arn,
    /// The secret's name.
    pub secret: SecretName,
    /// The secret's region.
    pub region: Region,
    /// The action.
    pub action: Action,
    /// What must be true before the first write.
    pub expect: Expectation,
    /// The reason, for the audit record.
    pub reason: String,
    /// Whether a person must approve first.
    pub approval: Approval,
    /// The time between pin and clear.
    pub confirm_after: Duration,
}

/// The attempts on one secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// The number of attempts within the attempt window.
    pub count: usize,
    /// When the next one may start. Absent if that is now, or is not known.
    pub next: Option<AwsTime>,
}

/// The circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Breaker {
    /// Automatic actions are allowed.
    #[default]
    Closed,
    /// Too many secrets are stuck: no automatic action starts.
    Open,
}

/// Whether automatic operations may start in a region, by what its latest sweep saw. It does not depend on other
/// regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionGate {
    /// They may start.
    Open,
    /// They may not start, for this reason.
    Blocked(BlockReason),
}

/// The region gates of each policy. A clone shares everything with the original.
#[derive(Clone, Debug, Default)]
pub struct RegionGates(RedBlackTreeMapSync<Uid, BTreeMap<Region, RegionGate>>);

impl RegionGates {
    /// Records the gates of a policy.
    pub fn insert(&mut self, policy: Uid, gates: BTreeMap<Region, RegionGate>) {
        if self.0.get(&policy) != Some(&gates) {
            self.0.insert_mut(policy, gates);
        }
    }

    /// Removes the gates of a policy.
    pub fn remove(&mut self, policy: &Uid) {
        self.0.remove_mut(policy);
    }

    /// Returns the gate of a policy in a region, if this process has planned for it.
    pub fn get(&self, policy: &Uid, region: &Region) -> Option<RegionGate> {
        self.0.get(policy)?.get(region).copied()
    }
}

impl FromIterator<(Uid, BTreeMap<Region, RegionGate>)> for RegionGates {
    fn from_iter<T: IntoIterator<Item = (Uid, BTreeMap<Region, RegionGate>)>>(gates: T) -> Self {
        Self(gates.into_iter().collect())
    }
}

/// Operations that could not start at their last step. A clone shares everything with the original.
#[derive(Clone, Debug, Default)]
pub struct DeferredOperations(RedBlackTreeSetSync<ObjectKey>);

impl DeferredOperations {
    /// Adds an operation. Returns whether it is new.
    pub fn insert(&mut self, operation: &ObjectKey) -> bool {
        let is_new = !self.contains(operation);
        if is_new {
            self.0.insert_mut(operation.clone());
        }
        is_new
    }

    /// Removes an operation.
    pub fn remove(&mut self, operation: &ObjectKey) {
        self.0.remove_mut(operation);
    }

    /// Returns whether the operation is among them.
    pub fn contains(&self, operation: &ObjectKey) -> bool {
        self.0.contains(operation)
    }
}

impl FromIterator<ObjectKey> for DeferredOperations {
    fn from_iter<T: IntoIterator<Item = ObjectKey>>(operations: T) -> Self {
        Self(operations.into_iter().collect())
    }
}

/// Everything that a plan depends on, besides the survey.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The policy, with its profile and namespace.
    pub own: &'a BoundPolicy,
    /// Every valid policy of the cluster, this one included.
    pub bound_policies: &'a PolicyIndex,
    /// Every operation of the cluster.
    pub operations: &'a OperationIndex,
    /// What this process last planned for each policy in each region.
    pub region_gates: &'a RegionGates,
    /// What this process has observed of unfinished rotations.
    pub stability: &'a StabilityTracker,
    /// Operations that have not started and could not at their last step, for a reason in their own secret: for
    /// example, it cannot be read, or AWS may still retry. They block no other operation.
    pub deferred: &'a DeferredOperations,
    /// The cluster whose pins belong to this controller.
    pub cluster: &'a ClusterId,
    /// The current AWS time.
    pub now: AwsTime,
}

impl PlanInput<'_> {
    /// Returns what was done to a secret, with the journals that this policy's profile trusts.
    pub(crate) fn history(&self, arn: &Arn) -> History<'_> {
        let operations = self.operations.on_secret(arn);
        let tenants = operations.filter_map(|one| self.bound_policies.tenant(&one.key.namespace));
        History::of(arn, self.operations.on_secret(arn))
            .trusting(&self.own.profile, tenants.chain([&self.own.tenant]))
    }
}

impl fmt::Display for Plan {
    /// Writes one line per decision, for tests and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for proposal in &self.create {
            writeln!(
                f,
                "create {} {} {}",
                proposal.name, proposal.action, proposal.secret
            )?;
        }
        for (arn, block) in &self.blocked {
            let until = block
                .until
                .map_or_else(String::new, |until| format!(" until {until}"));
            writeln!(f, "block {arn} {}{until}", block.reason.name())?;
        }
        for (key, why) in &self.supersede {
            writeln!(f, "supersede {key}: {why}")?;
        }
        Ok(())
    }
}
