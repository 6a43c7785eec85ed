//! The plan as a value: operations to create for one policy, and what is held back and why. [`planner`](crate::planner) makes
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::action::Action;
use crate::approval::Approval;
use crate::block::{Block, BlockReason};
use crate::history::History;
use crate::maintenance_window::Opening;
use crate::names::{Arn, FunctionArn, ObjectKey, ObjectName, Region, SecretName, Uid};
use crate::operation::{Expectation, Operation};
use crate::ownership::BoundPolicy;
use crate::pin::ClusterId;
use crate::stability::StabilityTracker;
use crate::time::AwsTime;

/// Operations to create for one policy, and why others are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be created now.
    pub create: Vec<Proposal>,
    /// Findings that are held back, by ARN.
    pub blocked: BTreeMap<Arn, Block>,
    /// Attempts made within the attempt window, and when the next may begin, by ARN of each finding.
    pub attempts: BTreeMap<Arn, Attempts>,
    /// The unfinished operation at work on each finding.
    pub in_progress: BTreeMap<Arn, ObjectKey>,
    /// Operations of this policy that have not started and whose reason is gone, with a sentence why.
    pub supersede: Vec<(ObjectKey, String)>,
    /// Whether the circuit breaker is open in any region.
    pub breaker: Breaker,
    /// Whether automatic operations may start in each region.
    pub regions: BTreeMap<Region, RegionGate>,
    /// How the maintenance windows stand.
    pub window: Opening,
    /// When time alone changes the plan.
    pub wake_at: Option<AwsTime>,
}

/// An automatic operation that does not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its name: the same inputs always make the same one.
    pub name: ObjectName,
    /// The secret's ARN.
    pub arn: Arn,
    /// The secret's name.
    pub secret: SecretName,
    /// The secret's region.
    pub region: Region,
    /// What to do.
    pub action: Action,
    /// What must be true before.
    pub expect: Expectation,
    /// Why, for the audit.
    pub reason: String,
    /// Whether a person must agree first.
    pub approval: Approval,
    /// Time between pin and clear.
    pub confirm_after: Duration,
}

/// Attempts on one secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Within the attempt window.
    pub count: usize,
    /// When the next may begin; absent if now, or if it is not known.
    pub next: Option<AwsTime>,
}

/// The circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Breaker {
    /// Actions are allowed.
    #[default]
    Closed,
    /// Too much is stuck for a machine to act.
    Open,
}

/// Whether automatic operations may start in a region, by what its latest sweep saw. No other region has a say in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionGate {
    /// They may.
    Open,
    /// They may not.
    Blocked(BlockReason),
}

/// Everything a plan rests on beside the survey.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The policy, with its profile and namespace.
    pub own: &'a BoundPolicy,
    /// Every policy of the cluster that is in order, the own one included.
    pub bound_policies: &'a [BoundPolicy],
    /// Every operation of the cluster.
    pub operations: &'a [Operation],
    /// The rotation function of each secret that an unfinished operation is about.
    pub functions: &'a BTreeMap<Arn, FunctionArn>,
    /// What this process last planned for each policy in each region.
    pub region_gates: &'a BTreeMap<Uid, BTreeMap<Region, RegionGate>>,
    /// What this process has seen of unfinished rotations.
    pub stability: &'a StabilityTracker,
    /// Operations that have not begun and could not at their last step, for a reason that lies in their own secret: it cannot
    /// be read, say, or AWS may still retry by itself. They keep nobody else waiting.
    pub deferred: &'a BTreeSet<ObjectKey>,
    /// Which pins are ours.
    pub cluster: &'a ClusterId,
    /// AWS time.
    pub now: AwsTime,
}

impl PlanInput<'_> {
    /// What was done to a secret, with the journals that this policy's profile believes.
    pub(crate) fn history(&self, arn: &Arn) -> History<'_> {
        let tenants = self.bound_policies.iter().map(|one| &one.tenant);
        History::of(arn, self.operations)
            .trusting(&self.own.profile, tenants.chain([&self.own.tenant]))
    }
}

impl fmt::Display for Plan {
    /// One line per decision, for tests and logs.
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
            writeln!(f, "hold {arn} {}{until}", block.reason.name())?;
        }
        for (key, why) in &self.supersede {
            writeln!(f, "supersede {key}: {why}")?;
        }
        Ok(())
    }
}
