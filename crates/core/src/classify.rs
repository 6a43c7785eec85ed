//! Classifies an inventory for one policy: which state each selected secret is in, and why.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::Action;
use crate::authorise::{Tenant, under_ceiling};
use crate::aws_error::ErrorClass;
use crate::inventory::{Inventory, Observation};
use crate::names::{Arn, Region, SecretName};
use crate::operation_index::OperationIndex;
use crate::policy::{Detection, Policy};
use crate::profile::Profile;
use crate::secret::PendingValue;
use crate::stability::StabilityTracker;
use crate::survey::{
    Finding, PreviousFinding, PreviousFindings, RegionSurvey, RemedyKind, State, Survey,
    UnremarkableSecret,
};
use crate::time::AwsTime;
use crate::verdict::{self, Verdict, VerdictInput};

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
    let mut inventories: Vec<_> = inventories
        .iter()
        .copied()
        .filter(|inventory| classifier.covers(&inventory.region))
        .collect();
    inventories.sort_by(|a, b| a.region.cmp(&b.region));
    let mut survey = empty(&inventories);
    survey.regions = classifier.regions(&inventories);
    survey.checked = classifier.checked(&inventories);
    for inventory in &inventories {
        for (arn, observation) in &inventory.secrets {
            classifier.classify_secret(arn, observation, inventory, &mut survey);
        }
    }
    classifier.report_unread(&inventories, &mut survey);
    classifier.report_missing(&inventories, &mut survey);
    // Last, because it keeps only findings that nothing above has reported.
    classifier.report_previous(&inventories, &mut survey);
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
        checked: None,
        counts: State::ALL.into_iter().map(|state| (state, 0)).collect(),
        selected: 0,
        regions: BTreeMap::new(),
        findings: Vec::new(),
        unremarkable: Vec::new(),
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
    input: ClassifyInput<'a>,
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

    /// Returns the policy's regions, before anything is counted. A region that was not swept is not complete.
    fn regions(&self, inventories: &[&Inventory]) -> BTreeMap<Region, RegionSurvey> {
        let regions = self.profile.regions.iter();
        let covered = regions.filter(|region| self.covers(region));
        covered
            .map(|region| {
                let swept =
                    |inventory: &&Inventory| inventory.region == *region && inventory.is_complete();
                let previous = self.input.previous;
                let empty = RegionSurvey {
                    complete: inventories.iter().any(swept),
                    was_tripped: previous.unconfirmed.contains(region)
                        && previous.tripped.contains(region),
                    ..RegionSurvey::default()
                };
                (region.clone(), empty)
            })
            .collect()
    }

    /// Returns the time at which everything had been seen: the oldest of the latest complete sweeps of all regions.
    fn checked(&self, inventories: &[&Inventory]) -> Option<AwsTime> {
        let regions = self.profile.regions.iter();
        let completed = regions.filter(|region| self.covers(region)).map(|region| {
            let mut inventories = inventories.iter();
            inventories
                .find(|inventory| inventory.region == *region)?
                .completed
        });
        completed.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    fn classify_secret(
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
        count(&finding, survey);
        sort_in(finding, &self.policy.detection, survey);
    }

    fn may_see(&self, name: &SecretName) -> bool {
        under_ceiling(&self.tenant.namespace, self.profile, name).is_ok()
    }

    fn finding(&self, arn: &Arn, observation: &Observation, now: AwsTime) -> Finding {
        let secret = &observation.secret;
        let key = (arn.region().clone(), secret.name.clone());
        let verdict_input = VerdictInput {
            previous: self.input.previous.findings.get(&key),
            operations: Some(self.input.operations),
            stability: self.input.stability.stability(secret, now),
            bounds: Some((self.profile, self.tenant)),
        };
        let verdict = verdict::of(observation, &self.policy.detection, verdict_input, now);
        let Verdict {
            state,
            since,
            message,
            remedy_kind,
            first_observed,
        } = verdict;
        let message = match secret.lagging_replicas() {
            Some(behind) if !message.is_empty() => {
                format!("{message}; replicas are not in sync: {behind}")
            }
            Some(_) | None => message,
        };
        let stability = verdict_input.stability.cloned();
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
            remedy_kind,
            stability,
            secret: Some(secret.clone()),
            unseen_since: observation.unseen.map(|unseen| unseen.since),
            unreadable: observation.unreadable.as_ref().map(|error| error.class),
        }
    }

    /// Reports names that could not be read, and of which nothing else is known. A name that another region has is not
    /// expected in this one.
    fn report_unread(&self, inventories: &[&Inventory], survey: &mut Survey) {
        let unread = inventories.iter().flat_map(|inventory| {
            let names = inventory.unread.iter();
            names.map(move |(name, error)| (*inventory, name, error))
        });
        let mut known_names: Option<BTreeSet<&SecretName>> = None;
        for (inventory, name, error) in unread {
            let known_names = known_names.get_or_insert_with(|| names_in(inventories));
            if known_names.contains(name)
                || !self.may_see(name)
                || !self.policy.selector.may_select(name)
            {
                continue;
            }
            let message = if error.class == ErrorClass::Denied {
                "it does not exist, or the AWS role may not read it: AWS returns the same error for both"
                    .to_owned()
            } else {
                format!("it could not be read: {}", error.sentence())
            };
            let mut finding =
                self.finding_by_name(name, &inventory.region, State::Unknown, inventory.time);
            finding.message = message;
            finding.unreadable = Some(error.class);
            count(&finding, survey);
            sort_in(finding, &self.policy.detection, survey);
        }
    }

    /// Keeps findings from before the controller started, in regions of which no complete sweep exists since.
    fn report_previous(&self, inventories: &[&Inventory], survey: &mut Survey) {
        let previous = self.input.previous;
        if previous.unconfirmed.is_empty() {
            return;
        }
        let known_names = names_in_regions(inventories);
        let reported: BTreeSet<_> = survey
            .findings
            .iter()
            .map(|finding| (finding.region.clone(), finding.name.clone()))
            .collect();
        for (key, old) in &previous.findings {
            let (region, name) = key;
            let is_known = known_names.contains(&(region, name)) || reported.contains(key);
            let is_ours =
                self.covers(region) && self.may_see(name) && self.policy.selector.may_select(name);
            if is_known || !is_ours || !previous.unconfirmed.contains(region) {
                continue;
            }
            let finding = previous_finding(region, name, old);
            count(&finding, survey);
            sort_in(finding, &self.policy.detection, survey);
        }
        self.keep_previous_counts(survey);
    }

    /// Keeps the counts of the status until a complete sweep. A status lists only some findings, and no healthy secret.
    fn keep_previous_counts(&self, survey: &mut Survey) {
        let previous = self.input.previous;
        for (state, counted) in &previous.counts {
            let is_listed = !matches!(state, State::Healthy | State::Ineligible);
            if is_listed && previous.omitted == 0 {
                continue;
            }
            let count = survey.counts.entry(*state).or_default();
            survey.selected += counted.saturating_sub(*count);
            *count = (*count).max(*counted);
        }
    }

    /// Reports exact names that exist in none of the policy's regions, once all of them were seen completely.
    fn report_missing(&self, inventories: &[&Inventory], survey: &mut Survey) {
        let Some(first) = inventories.first() else {
            return;
        };
        if self.policy.selector.exact_names().next().is_none() {
            return;
        }
        let known_names = names_in(inventories);
        let unread: BTreeSet<_> = inventories
            .iter()
            .flat_map(|inventory| inventory.unread.keys())
            .collect();
        let expected: BTreeSet<_> = self.policy.selector.exact_names().collect();
        let allowed = expected
            .into_iter()
            .filter(|name| self.may_see(name) && !unread.contains(name));
        let complete = survey.is_complete();
        for name in allowed.filter(|name| !known_names.contains(name)) {
            let mut finding =
                self.finding_by_name(name, &first.region, State::NotFound, first.time);
            // While some region cannot be seen, only a finding that a complete view produced is kept.
            if !complete {
                let key = (first.region.clone(), name.clone());
                let old = self.input.previous.findings.get(&key);
                let Some(old) = old.filter(|old| old.state == State::NotFound) else {
                    continue;
                };
                finding.unseen_since = old.seen;
            }
            count(&finding, survey);
            sort_in(finding, &self.policy.detection, survey);
        }
    }

    /// Builds a finding of which only the name is known.
    fn finding_by_name(
        &self,
        name: &SecretName,
        region: &Region,
        state: State,
        now: AwsTime,
    ) -> Finding {
        let old = self
            .input
            .previous
            .findings
            .get(&(region.clone(), name.clone()))
            .filter(|old| old.state == state);
        Finding {
            name: name.clone(),
            region: region.clone(),
            arn: None,
            state,
            since: Some(
                old.and_then(|old| old.since)
                    .map_or(now, |since| since.min(now)),
            ),
            message: "no secret of this name exists; create it, or remove the name from the policy"
                .to_owned(),
            current: None,
            pending: None,
            first_observed: None,
            pending_value: PendingValue::None,
            remedy_kind: RemedyKind::None,
            stability: None,
            secret: None,
            unseen_since: None,
            unreadable: None,
        }
    }
}

fn previous_finding(region: &Region, name: &SecretName, old: &PreviousFinding) -> Finding {
    Finding {
        name: name.clone(),
        region: region.clone(),
        arn: old.arn.clone(),
        state: old.state,
        since: old.since,
        message: old.message.clone(),
        current: old.current.clone(),
        pending: old.pending.clone(),
        first_observed: old.first_observed,
        pending_value: PendingValue::Unknown,
        remedy_kind: RemedyKind::None,
        stability: None,
        secret: None,
        unseen_since: old.seen,
        unreadable: None,
    }
}

/// Returns the names that exist in some region.
fn names_in<'a>(inventories: &[&'a Inventory]) -> BTreeSet<&'a SecretName> {
    let inventories = inventories.iter();
    inventories
        .flat_map(|inventory| present(inventory))
        .collect()
}

fn names_in_regions<'a>(inventories: &[&'a Inventory]) -> BTreeSet<(&'a Region, &'a SecretName)> {
    let keys = inventories.iter().flat_map(|inventory| {
        let names = present(inventory);
        names.map(|name| (&inventory.region, name))
    });
    keys.collect()
}

fn present(inventory: &Inventory) -> impl Iterator<Item = &SecretName> {
    inventory
        .secrets
        .values()
        .filter(|observation| !vanished(observation))
        .map(|observation| &observation.secret.name)
}

/// Returns whether the secret was listed, but no longer existed when it was described.
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
        .is_some_and(|secret| secret.exclusion(Action::Rotate).is_none());
    let region = survey.regions.entry(finding.region.clone()).or_default();
    region.selected += 1;
    region.eligible += usize::from(eligible);
    region.stuck += usize::from(eligible && finding.state == State::Stuck);
    survey.selected += 1;
    *survey.counts.entry(finding.state).or_default() += 1;
}

fn sort_in(finding: Finding, detection: &Detection, survey: &mut Survey) {
    let Some(secret) = finding
        .secret
        .as_ref()
        .filter(|_| matches!(finding.state, State::Healthy | State::Ineligible))
    else {
        return survey.findings.push(finding);
    };
    survey.unremarkable.push(UnremarkableSecret {
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

/// Returns the findings by region and name, as the next pass reads them.
pub fn previous_findings(survey: &Survey) -> PreviousFindings {
    let findings = survey.findings.iter().map(|finding| {
        let key = (finding.region.clone(), finding.name.clone());
        let old = PreviousFinding {
            state: finding.state,
            since: finding.since,
            pending: finding.pending.clone(),
            first_observed: finding.first_observed,
            arn: finding.arn.clone(),
            message: finding.message.clone(),
            current: finding.current.clone(),
            seen: Some(finding.unseen_since.unwrap_or(survey.time)),
        };
        (key, old)
    });
    PreviousFindings {
        findings: findings.collect(),
        counts: survey.counts.clone(),
        ..PreviousFindings::default()
    }
}
