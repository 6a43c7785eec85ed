//! Puts together what a policy selects in each of its regions, and adds what no row shows: names that could not be
//! read, names that do not exist, and findings from before the controller started.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::Action;
use crate::authorise::{Tenant, under_ceiling};
use crate::aws_error::{AwsError, ErrorClass};
use crate::inventory::Observation;
use crate::names::{Region, SecretName};
use crate::policy::Policy;
use crate::profile::Profile;
use crate::secret::PendingValue;
use crate::stability::Stability;
use crate::survey::{Finding, PreviousFinding, PreviousFindings, RegionSurvey, State, Survey};
use crate::time::AwsTime;
use crate::verdict::Verdict;

/// Builds the finding of a secret that was seen.
pub(crate) fn finding(
    seen: &Observation,
    verdict: Verdict,
    stability: Option<&Stability>,
) -> Finding {
    let secret = &seen.secret;
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
    Finding {
        name: secret.name.clone(),
        region: secret.arn.region().clone(),
        arn: Some(secret.arn.clone()),
        state,
        since: Some(since),
        message,
        current: secret.current().cloned(),
        pending: secret.unfinished().cloned(),
        first_observed,
        pending_value: seen.pending_value(),
        remedy_kind,
        stability: stability.cloned(),
        secret: Some(secret.clone()),
        unseen_since: seen.unseen.map(|unseen| unseen.since),
        unreadable: seen.unreadable.as_ref().map(|error| error.class),
    }
}

/// One region of a policy.
pub(crate) struct Part<'a> {
    /// The region.
    pub(crate) region: Region,
    /// The time of the oldest answer of the latest read.
    pub(crate) time: AwsTime,
    /// The time of the latest complete read.
    pub(crate) completed: Option<AwsTime>,
    /// Whether the latest read saw everything.
    pub(crate) is_complete: bool,
    /// Names that could not be read, and of which nothing else is known.
    pub(crate) unread: BTreeMap<SecretName, AwsError>,
    /// Returns whether a secret of that name is known.
    pub(crate) contains: Box<dyn Fn(&SecretName) -> bool + 'a>,
    /// The secrets that the policy selects.
    pub(crate) members: Members,
}

/// The secrets of one region that a policy selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    /// The number of secrets in each state that occurs.
    pub(crate) counts: BTreeMap<State, usize>,
    /// How many there are, and how many of them can rotate and are stuck.
    pub(crate) region: RegionSurvey,
    /// Those that are neither healthy nor ineligible.
    pub(crate) findings: Vec<Finding>,
    /// Healthy ones with pins.
    pub(crate) pinned: Vec<Finding>,
}

impl Members {
    /// Counts a secret and keeps its finding.
    pub(crate) fn add(&mut self, finding: Finding) {
        self.count(&finding);
        let rested = matches!(finding.state, State::Healthy | State::Ineligible);
        let Some(secret) = finding.secret.as_ref().filter(|_| rested) else {
            return self.findings.push(finding);
        };
        if finding.state == State::Healthy && crate::pin::has_any(secret) {
            self.pinned.push(finding);
        }
    }

    fn count(&mut self, finding: &Finding) {
        let secret = finding.secret.as_ref();
        let eligible = secret.is_some_and(|secret| secret.exclusion(Action::Rotate).is_none());
        let is_stuck = eligible && finding.state == State::Stuck;
        self.region.selected += 1;
        self.region.eligible += usize::from(eligible);
        self.region.stuck += usize::from(is_stuck);
        *self.counts.entry(finding.state).or_default() += 1;
    }
}

/// Builds the survey of a policy from its regions.
pub(crate) fn assemble(
    tenant: &Tenant,
    profile: &Profile,
    policy: &Policy,
    parts: Vec<Part<'_>>,
    previous: &PreviousFindings,
) -> Survey {
    let assembly = Assembly {
        tenant,
        profile,
        policy,
        previous,
    };
    let mut parts: Vec<_> = parts
        .into_iter()
        .filter(|part| assembly.covers(&part.region))
        .collect();
    parts.sort_by(|a, b| a.region.cmp(&b.region));
    let mut survey = Survey {
        time: parts
            .iter()
            .map(|part| part.time)
            .min()
            .unwrap_or(AwsTime::new(jiff::Timestamp::UNIX_EPOCH)),
        checked: assembly.checked(&parts),
        counts: State::ALL.into_iter().map(|state| (state, 0)).collect(),
        selected: 0,
        regions: assembly.regions(&parts),
        findings: Vec::new(),
        pinned: Vec::new(),
    };
    for part in &mut parts {
        let members = std::mem::take(&mut part.members);
        merge(&mut survey, &part.region, members);
    }
    assembly.report_unread(&parts, &mut survey);
    assembly.report_missing(&parts, &mut survey);
    // Last, because it keeps only findings that nothing above has reported.
    assembly.report_previous(&parts, &mut survey);
    survey.findings.sort_by(|a, b| rank(a).cmp(&rank(b)));
    survey.pinned.sort_by(|a, b| rank(a).cmp(&rank(b)));
    survey
}

fn merge(survey: &mut Survey, region: &Region, members: Members) {
    for (state, count) in members.counts {
        *survey.counts.entry(state).or_default() += count;
    }
    survey.selected += members.region.selected;
    let total = survey.regions.entry(region.clone()).or_default();
    total.selected += members.region.selected;
    total.eligible += members.region.eligible;
    total.stuck += members.region.stuck;
    survey.findings.extend(members.findings);
    survey.pinned.extend(members.pinned);
}

fn rank(finding: &Finding) -> (State, Option<AwsTime>, &SecretName, &Region) {
    (finding.state, finding.since, &finding.name, &finding.region)
}

struct Assembly<'a> {
    tenant: &'a Tenant,
    profile: &'a Profile,
    policy: &'a Policy,
    previous: &'a PreviousFindings,
}

impl Assembly<'_> {
    fn covers(&self, region: &Region) -> bool {
        self.profile.regions.contains(region)
            && self
                .policy
                .regions
                .as_ref()
                .is_none_or(|regions| regions.contains(region))
    }

    fn covered(&self) -> impl Iterator<Item = &Region> {
        let regions = self.profile.regions.iter();
        regions.filter(|region| self.covers(region))
    }

    /// Returns the policy's regions, before anything is counted. A region that was not swept is not complete.
    fn regions(&self, parts: &[Part<'_>]) -> BTreeMap<Region, RegionSurvey> {
        let region = |region: &Region| {
            let swept = |part: &Part<'_>| part.region == *region && part.is_complete;
            let previous = self.previous;
            let empty = RegionSurvey {
                complete: parts.iter().any(swept),
                was_tripped: previous.unconfirmed.contains(region)
                    && previous.tripped.contains(region),
                ..RegionSurvey::default()
            };
            (region.clone(), empty)
        };
        self.covered().map(region).collect()
    }

    /// Returns the time at which everything had been seen: the oldest of the latest complete sweeps of all regions.
    fn checked(&self, parts: &[Part<'_>]) -> Option<AwsTime> {
        let completed = self.covered().map(|region| {
            let mut parts = parts.iter();
            parts.find(|part| part.region == *region)?.completed
        });
        completed.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    fn may_see(&self, name: &SecretName) -> bool {
        under_ceiling(&self.tenant.namespace, self.profile, name).is_ok()
    }

    fn add(finding: Finding, survey: &mut Survey) {
        let mut members = Members::default();
        let region = finding.region.clone();
        members.add(finding);
        merge(survey, &region, members);
    }

    /// Reports names that could not be read, and of which nothing else is known. A name that another region has is not
    /// expected in this one.
    fn report_unread(&self, parts: &[Part<'_>], survey: &mut Survey) {
        let unread = parts.iter().flat_map(|part| {
            let names = part.unread.iter();
            names.map(move |(name, error)| (part, name, error))
        });
        for (part, name, error) in unread {
            if is_known(parts, name)
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
            let mut finding = self.finding_by_name(name, &part.region, State::Unknown, part.time);
            finding.message = message;
            finding.unreadable = Some(error.class);
            Self::add(finding, survey);
        }
    }

    /// Keeps findings from before the controller started, in regions of which no complete sweep exists since.
    fn report_previous(&self, parts: &[Part<'_>], survey: &mut Survey) {
        let previous = self.previous;
        if previous.unconfirmed.is_empty() {
            return;
        }
        let is_seen = |region: &Region, name: &SecretName| {
            let mut parts = parts.iter();
            parts.any(|part| part.region == *region && (part.contains)(name))
        };
        let reported: BTreeSet<_> = survey
            .findings
            .iter()
            .map(|finding| (finding.region.clone(), finding.name.clone()))
            .collect();
        for (key, old) in &previous.findings {
            let (region, name) = key;
            let is_known = is_seen(region, name) || reported.contains(key);
            let is_ours =
                self.covers(region) && self.may_see(name) && self.policy.selector.may_select(name);
            if is_known || !is_ours || !previous.unconfirmed.contains(region) {
                continue;
            }
            let finding = previous_finding(region, name, old);
            Self::add(finding, survey);
        }
        self.keep_previous_counts(survey);
    }

    /// Keeps the counts of the status until a complete sweep. A status lists only some findings, and no healthy secret.
    fn keep_previous_counts(&self, survey: &mut Survey) {
        let previous = self.previous;
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
    fn report_missing(&self, parts: &[Part<'_>], survey: &mut Survey) {
        let Some(first) = parts.first() else {
            return;
        };
        if self.policy.selector.exact_names().next().is_none() {
            return;
        }
        let unread: BTreeSet<_> = parts.iter().flat_map(|part| part.unread.keys()).collect();
        let expected: BTreeSet<_> = self.policy.selector.exact_names().collect();
        let allowed = expected
            .into_iter()
            .filter(|name| self.may_see(name) && !unread.contains(name));
        let complete = survey.is_complete();
        for name in allowed.filter(|name| !is_known(parts, name)) {
            let mut finding =
                self.finding_by_name(name, &first.region, State::NotFound, first.time);
            // While some region cannot be seen, only a finding that a complete view produced is kept.
            if !complete {
                let key = (first.region.clone(), name.clone());
                let old = self.previous.findings.get(&key);
                let Some(old) = old.filter(|old| old.state == State::NotFound) else {
                    continue;
                };
                finding.unseen_since = old.seen;
            }
            Self::add(finding, survey);
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
            .previous
            .findings
            .get(&(region.clone(), name.clone()))
            .filter(|old| old.state == state);
        let since = old.and_then(|old| old.since);
        Finding {
            since: Some(since.map_or(now, |since| since.min(now))),
            message: "no secret of this name exists; create it, or remove the name from the policy"
                .to_owned(),
            ..Finding::named(name.clone(), region.clone(), state)
        }
    }
}

fn previous_finding(region: &Region, name: &SecretName, old: &PreviousFinding) -> Finding {
    Finding {
        arn: old.arn.clone(),
        since: old.since,
        message: old.message.clone(),
        current: old.current.clone(),
        pending: old.pending.clone(),
        first_observed: old.first_observed,
        pending_value: PendingValue::Unknown,
        unseen_since: old.seen,
        ..Finding::named(name.clone(), region.clone(), old.state)
    }
}

/// Returns whether some region has a secret of that name.
fn is_known(parts: &[Part<'_>], name: &SecretName) -> bool {
    parts.iter().any(|part| (part.contains)(name))
}
