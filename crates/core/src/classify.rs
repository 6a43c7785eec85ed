//! Judges an inventory for one policy: which state each selected secret is in, and why.

use std::collections::{BTreeMap, BTreeSet};

use crate::authorise::{Tenant, under_ceiling};
use crate::clock::AwsTime;
use crate::identity::{Arn, Region, SecretName};
use crate::inventory::{Inventory, Observation};
use crate::operation::{Action, Operation, PendingValue};
use crate::outcome::ErrorClass;
use crate::policy::{Detection, Policy};
use crate::profile::Profile;
use crate::survey::{Ailment, Finding, Member, Memory, RegionSurvey, State, Survey};
use crate::verdict::{self, Background, Verdict};
use crate::watch::Watches;

/// What is known beside the inventories.
#[derive(Clone, Copy, Debug)]
pub struct Knowledge<'a> {
    /// What the policy's status remembers; it can delay nothing and hasten only reports, never actions.
    pub memory: &'a Memory,
    /// Every known operation: their journals tell which changes were our own, and what was left undone.
    pub operations: &'a [Operation],
    /// Unfinished rotations as this process has watched them.
    pub watches: &'a Watches,
}

/// Classifies everything that the policy selects under the ceiling of its profile.
///
/// Ages are measured from the time of each inventory, by AWS's clock.
pub fn classify(
    tenant: &Tenant,
    profile: &Profile,
    policy: &Policy,
    inventories: &[&Inventory],
    known: Knowledge<'_>,
) -> Survey {
    let classifier = Classifier {
        tenant,
        profile,
        policy,
        known,
    };
    let mut inventories: Vec<_> = inventories
        .iter()
        .copied()
        .filter(|inventory| classifier.covers(&inventory.region))
        .collect();
    inventories.sort_by(|a, b| a.region.cmp(&b.region));
    let mut survey = empty(&inventories);
    survey.regions = classifier.regions(&inventories);
    for inventory in &inventories {
        for (arn, observation) in &inventory.secrets {
            classifier.judge(arn, observation, inventory, &mut survey);
        }
    }
    classifier.report_missing(&inventories, &mut survey);
    survey.findings.sort_by(|a, b| rank(a).cmp(&rank(b)));
    survey
}

fn empty(inventories: &[&Inventory]) -> Survey {
    Survey {
        time: inventories
            .iter()
            .map(|inventory| inventory.time)
            .min()
            .unwrap_or(AwsTime::new(jiff::Timestamp::UNIX_EPOCH)),
        counts: State::ALL.into_iter().map(|state| (state, 0)).collect(),
        selected: 0,
        outside_ceiling: 0,
        regions: BTreeMap::new(),
        findings: Vec::new(),
        others: Vec::new(),
        pinned: Vec::new(),
    }
}

fn rank(finding: &Finding) -> (State, Option<AwsTime>, &SecretName, &Region) {
    (finding.state, finding.since, &finding.name, &finding.region)
}

struct Classifier<'a> {
    tenant: &'a Tenant,
    profile: &'a Profile,
    policy: &'a Policy,
    known: Knowledge<'a>,
}

impl Classifier<'_> {
    fn covers(&self, region: &Region) -> bool {
        self.profile.regions.contains(region)
            && self
                .policy
                .regions
                .as_ref()
                .is_none_or(|regions| regions.contains(region))
    }

    /// The policy's regions, before anything is counted. One that was not swept is not complete.
    fn regions(&self, inventories: &[&Inventory]) -> BTreeMap<Region, RegionSurvey> {
        let regions = self.profile.regions.iter();
        let covered = regions.filter(|region| self.covers(region));
        covered
            .map(|region| {
                let swept =
                    |inventory: &&Inventory| inventory.region == *region && inventory.is_complete();
                let empty = RegionSurvey {
                    complete: inventories.iter().any(swept),
                    ..RegionSurvey::default()
                };
                (region.clone(), empty)
            })
            .collect()
    }

    fn judge(
        &self,
        arn: &Arn,
        observation: &Observation,
        inventory: &Inventory,
        survey: &mut Survey,
    ) {
        let secret = &observation.secret;
        let foreign = self
            .profile
            .account
            .as_ref()
            .is_some_and(|account| account != arn.account());
        if vanished(observation) || !self.policy.selector.selects(secret) {
            return;
        }
        if foreign || under_ceiling(&self.tenant.namespace, self.profile, &secret.name).is_err() {
            survey.outside_ceiling += 1;
            return;
        }
        let finding = self.finding(arn, observation, inventory.time);
        count(&finding, survey);
        file(finding, &self.policy.detection, survey);
    }

    fn finding(&self, arn: &Arn, observation: &Observation, now: AwsTime) -> Finding {
        let secret = &observation.secret;
        let place = (arn.region().clone(), secret.name.clone());
        let background = Background {
            remembered: self.known.memory.0.get(&place),
            operations: self.known.operations,
            rest: self.known.watches.rest(secret, now),
            bounds: Some((self.profile, self.tenant)),
        };
        let verdict = verdict::of(observation, &self.policy.detection, background, now);
        let Verdict {
            state,
            since,
            message,
            ailment,
            first_observed,
        } = verdict;
        let rest = background.rest.cloned();
        Finding {
            name: secret.name.clone(),
            region: arn.region().clone(),
            arn: Some(arn.clone()),
            state,
            since: Some(since),
            message,
            current: secret.current().cloned(),
            pending: secret.unfinished().cloned(),
            first_observed,
            pending_value: observation.pending_value(),
            ailment,
            rest,
            secret: Some(secret.clone()),
        }
    }

    /// Exact names that exist in none of the policy's regions, once all of them were seen completely.
    fn report_missing(&self, inventories: &[&Inventory], survey: &mut Survey) {
        let Some(first) = inventories.first() else {
            return;
        };
        if !survey.is_complete() {
            return;
        }
        let there: BTreeSet<_> = inventories
            .iter()
            .flat_map(|inventory| present(inventory))
            .collect();
        let expected: BTreeSet<_> = self.policy.selector.exact_names().collect();
        let allowed = expected
            .into_iter()
            .filter(|name| under_ceiling(&self.tenant.namespace, self.profile, name).is_ok());
        for name in allowed.filter(|name| !there.contains(name)) {
            let finding = self.missing(name, &first.region, first.time);
            count(&finding, survey);
            file(finding, &self.policy.detection, survey);
        }
    }

    fn missing(&self, name: &SecretName, region: &Region, now: AwsTime) -> Finding {
        let remembered = self
            .known
            .memory
            .0
            .get(&(region.clone(), name.clone()))
            .filter(|old| old.state == State::NotFound);
        Finding {
            name: name.clone(),
            region: region.clone(),
            arn: None,
            state: State::NotFound,
            since: Some(
                remembered
                    .and_then(|old| old.since)
                    .map_or(now, |since| since.min(now)),
            ),
            message: "no secret of this name exists; create it, or take the name out of the policy"
                .to_owned(),
            current: None,
            pending: None,
            first_observed: None,
            pending_value: PendingValue::None,
            ailment: Ailment::Untreatable,
            rest: None,
            secret: None,
        }
    }
}

fn present(inventory: &Inventory) -> impl Iterator<Item = &SecretName> {
    inventory
        .secrets
        .values()
        .filter(|observation| !vanished(observation))
        .map(|observation| &observation.secret.name)
}

/// Listed, but gone when it was looked at.
fn vanished(observation: &Observation) -> bool {
    observation
        .unreadable
        .as_ref()
        .is_some_and(|error| error.class == ErrorClass::Gone)
}

fn count(finding: &Finding, survey: &mut Survey) {
    let eligible = finding
        .secret
        .as_ref()
        .is_some_and(|secret| secret.hands_off(Action::Rotate).is_none());
    let region = survey.regions.entry(finding.region.clone()).or_default();
    region.selected += 1;
    region.eligible += usize::from(eligible);
    region.stuck += usize::from(eligible && finding.state == State::Stuck);
    survey.selected += 1;
    *survey.counts.entry(finding.state).or_default() += 1;
}

fn file(finding: Finding, detection: &Detection, survey: &mut Survey) {
    let Some(secret) = finding
        .secret
        .as_ref()
        .filter(|_| matches!(finding.state, State::Healthy | State::Ineligible))
    else {
        return survey.findings.push(finding);
    };
    survey.others.push(Member {
        name: finding.name.clone(),
        region: finding.region.clone(),
        last_rotated: secret.last_rotated,
        next_rotation: secret.next_rotation,
        expires: verdict::expires(secret, detection),
    });
    if finding.state == State::Healthy && crate::pin::has_any(secret) {
        survey.pinned.push(finding);
    }
}

/// States by region and name, as the next pass will remember them.
pub fn memory_of(survey: &Survey) -> Memory {
    let remembered = survey.findings.iter().map(|finding| {
        let place = (finding.region.clone(), finding.name.clone());
        let old = crate::survey::Remembered {
            state: finding.state,
            since: finding.since,
            pending: finding.pending.clone(),
            first_observed: finding.first_observed,
        };
        (place, old)
    });
    Memory(remembered.collect::<BTreeMap<_, _>>())
}
