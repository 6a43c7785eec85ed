//! Classifies a whole inventory for one policy from scratch: which state each selected secret is in, and why.
//!
//! Nothing in production does this. The [engine](crate::engine) keeps surveys up to date row by row, and tests compare
//! its surveys with these. It shares with the engine the verdict on one secret and the assembly of a survey, which are
//! private to this crate; so it is part of the crate.

use std::collections::BTreeSet;

use crate::assemble::{Members, Part, assemble, finding};
use crate::authorise::{Tenant, under_ceiling};
use crate::aws_error::ErrorClass;
use crate::inventory::{Inventory, Observation};
use crate::names::{Arn, SecretName};
use crate::operation_index::OperationIndex;
use crate::policy::Policy;
use crate::profile::Profile;
use crate::stability::StabilityTracker;
use crate::survey::{Finding, PreviousFindings, State, Survey};
use crate::time::AwsTime;
use crate::verdict::{self, VerdictInput};

/// What is known besides the inventories.
#[derive(Clone, Copy, Debug)]
pub struct ClassifyInput<'a> {
    /// The findings in the policy's status. They can delay nothing. They can make a report appear earlier, never an
    /// action.
    pub previous: &'a PreviousFindings,
    /// Every known operation. Their journals show which changes the controller made itself, and which recoveries are
    /// unfinished.
    pub operations: &'a OperationIndex,
    /// The unfinished rotations as this process has watched them.
    pub stability: &'a StabilityTracker,
}

/// Classifies everything that the policy selects under the ceiling of its profile.
///
/// Ages are measured in AWS time, up to the time of each inventory.
pub fn classify(
    tenant: &Tenant,
    profile: &Profile,
    policy: &Policy,
    inventories: &[&Inventory],
    input: ClassifyInput<'_>,
) -> Survey {
    let classifier = Classifier {
        tenant,
        profile,
        policy,
        input,
    };
    let names: Vec<_> = inventories
        .iter()
        .map(|inventory| present(inventory))
        .collect();
    let parts = inventories.iter().zip(&names);
    let parts = parts.map(|(inventory, names)| classifier.part(inventory, names));
    assemble(tenant, profile, policy, parts.collect(), input.previous)
}

struct Classifier<'a> {
    tenant: &'a Tenant,
    profile: &'a Profile,
    policy: &'a Policy,
    input: ClassifyInput<'a>,
}

impl Classifier<'_> {
    fn part<'n>(&self, inventory: &Inventory, names: &'n BTreeSet<&SecretName>) -> Part<'n> {
        let mut part = Part {
            region: inventory.region.clone(),
            time: inventory.time,
            completed: inventory.completed,
            is_complete: inventory.is_complete(),
            unread: inventory.unread.clone(),
            contains: Box::new(|name| names.contains(name)),
            members: Members::default(),
        };
        for (arn, observation) in &inventory.secrets {
            self.classify_secret(arn, observation, inventory, &mut part.members);
        }
        part
    }

    fn classify_secret(
        &self,
        arn: &Arn,
        observation: &Observation,
        inventory: &Inventory,
        members: &mut Members,
    ) {
        let secret = &observation.secret;
        let foreign = self
            .profile
            .account
            .as_ref()
            .is_some_and(|account| account != arn.account());
        if vanished(observation)
            || foreign
            || !self.may_see(&secret.name)
            || !self.policy.selector.selects(secret)
        {
            return;
        }
        // A secret that was not seen is judged as of its last sight: time alone makes no verdict worse.
        let at = inventory.seen_at(arn, observation);
        let finding = self.finding(arn, observation, at);
        members.add(finding);
    }

    fn may_see(&self, name: &SecretName) -> bool {
        under_ceiling(&self.tenant.namespace, self.profile, name).is_ok()
    }

    fn finding(&self, arn: &Arn, observation: &Observation, now: AwsTime) -> Finding {
        let secret = &observation.secret;
        let key = (arn.region().clone(), secret.name.clone());
        let previous = self.input.previous.findings.get(&key);
        let verdict_input = VerdictInput {
            // That the name did not exist shows nothing about the secret that has it now.
            previous: previous.filter(|old| old.state != State::NotFound),
            operations: Some(self.input.operations),
            stability: self.input.stability.stability(secret, now),
            bounds: Some((self.profile, self.tenant)),
        };
        let verdict = verdict::of(observation, &self.policy.detection, verdict_input, now);
        finding(observation, verdict, verdict_input.stability)
    }
}

fn present(inventory: &Inventory) -> BTreeSet<&SecretName> {
    inventory
        .secrets
        .values()
        .filter(|observation| !vanished(observation))
        .map(|observation| &observation.secret.name)
        .collect()
}

/// Returns whether the secret was listed, but no longer existed when it was described.
fn vanished(observation: &Observation) -> bool {
    observation
        .unreadable
        .as_ref()
        .is_some_and(|error| error.class == ErrorClass::Gone)
}

/// Returns the findings by region and name, as the next pass reads them.
pub fn previous_findings(survey: &Survey) -> PreviousFindings {
    let findings = survey
        .findings
        .iter()
        .map(|finding| survey.remembered(finding));
    PreviousFindings {
        findings: findings.collect(),
        counts: survey.counts.clone(),
        ..PreviousFindings::default()
    }
}
