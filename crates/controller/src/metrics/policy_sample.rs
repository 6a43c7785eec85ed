//! The data from which the series of one policy are built.

use std::collections::BTreeMap;
use std::time::Duration;

use secret_rotation_api::Readiness;
use secret_rotation_api::conditions::ConditionStatus;
use secret_rotation_api::policy::{FindingStatus, SecretRotationPolicyStatus};
use secret_rotation_api::time::Time;
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::consent;
use secret_rotation_core::names::Uid;
use secret_rotation_core::operation::Operation;
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::{Breaker, Plan};
use secret_rotation_core::policy::{Detection, Policy, Suspension};
use secret_rotation_core::secret::{Exclusion, Secret};
use secret_rotation_core::survey::{Finding, State, Survey, UnremarkableSecret};
use secret_rotation_core::time::{AwsTime, ServerTime};
use secret_rotation_core::verdict;

use super::recovery::Recoveries;
use crate::profile_region::ProfileRegion;

/// The data from which the series of one policy are built.
#[derive(Clone, Debug, Default)]
pub(crate) struct PolicySample {
    pub(super) mode: &'static str,
    pub(super) profile: String,
    pub(super) suspended: bool,
    pub(super) detection: Option<Detection>,
    pub(super) conditions: BTreeMap<&'static str, ConditionStatus>,
    pub(super) counts: BTreeMap<State, usize>,
    pub(super) last_check: Option<AwsTime>,
    pub(super) check_interval: Option<Duration>,
    pub(super) breaker: Option<Breaker>,
    pub(super) blocked: BTreeMap<BlockReason, usize>,
    /// When the oldest operation that waits for an approval was created.
    pub(super) approval_waiting: Option<ServerTime>,
    /// Since when the oldest finding in each state has been in it, without secrets that another service manages.
    pub(super) oldest: BTreeMap<State, AwsTime>,
    /// The number of secrets that AWS denied to read.
    pub(super) denied: Option<usize>,
    /// The number of findings that the latest checks did not see.
    pub(super) unseen: Option<usize>,
    pub(super) recoveries: Recoveries,
    /// The findings, worst first.
    pub(super) secrets: Vec<SecretSample>,
    /// The number of findings that are not listed.
    pub(super) omitted: usize,
    /// Where the other secrets of the policy are known.
    pub(super) known_in: Option<(Uid, Vec<ProfileRegion>)>,
}

/// The dates of one secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecretSample {
    pub(super) region: String,
    pub(super) name: String,
    /// The state, unless the secret is healthy, and since when it has been in it.
    pub(super) state: Option<(State, AwsTime)>,
    /// Whether another service manages the secret, so that no one else can act on it.
    pub(super) is_managed: bool,
    pub(super) stuck_since: Option<AwsTime>,
    pub(super) last_rotated: Option<AwsTime>,
    pub(super) next_rotation: Option<AwsTime>,
    pub(super) expires: Option<AwsTime>,
    pub(super) restorable_until: Option<AwsTime>,
}

impl PolicySample {
    /// Creates a report without findings.
    pub(crate) fn of(policy: &Policy) -> Self {
        Self {
            mode: policy.mode.name(),
            profile: policy.profile.to_string(),
            suspended: policy.suspension == Suspension::Suspended,
            detection: Some(policy.detection.clone()),
            check_interval: Some(policy.check_interval),
            ..Self::default()
        }
    }

    /// Marks the report as suspended if the profile is.
    #[must_use]
    pub(crate) fn suspended_by(self, readiness: &Readiness) -> Self {
        Self {
            suspended: self.suspended || readiness.is_suspended(),
            ..self
        }
    }

    /// Raises the check interval to the minimum of the profile.
    #[must_use]
    pub(crate) fn not_more_often_than(self, shortest: Duration) -> Self {
        Self {
            check_interval: self.check_interval.map(|interval| interval.max(shortest)),
            ..self
        }
    }

    /// Adds conditions by type.
    #[must_use]
    pub(crate) fn with_conditions(
        self,
        conditions: impl IntoIterator<Item = (&'static str, ConditionStatus)>,
    ) -> Self {
        Self {
            conditions: conditions.into_iter().collect(),
            ..self
        }
    }

    /// Adds the operations of the policy that wait for an approval.
    #[must_use]
    pub(crate) fn with_operations(
        self,
        operations: &OperationIndex,
        bound_policy: &BoundPolicy,
    ) -> Self {
        let (policy, profile) = (&bound_policy.policy, &bound_policy.profile);
        // Those of an earlier policy of this name end without a decision.
        let is_own =
            |one: &&Operation| one.policy.uid.as_ref().is_none_or(|uid| *uid == policy.uid);
        let own = operations.of_policy(&policy.key).filter(is_own);
        let waiting = own.filter(|one| consent::is_undecided(one, policy, profile));
        Self {
            approval_waiting: waiting.map(|operation| operation.created).min(),
            ..self
        }
    }

    /// Adds the secrets that have not recovered yet.
    #[must_use]
    pub(crate) fn with_recoveries(self, recoveries: Recoveries) -> Self {
        Self { recoveries, ..self }
    }

    /// Returns the secrets that have not recovered yet.
    pub(crate) const fn recoveries(&self) -> &Recoveries {
        &self.recoveries
    }

    /// Adds where the secrets of the policy are known that need no attention.
    #[must_use]
    pub(crate) fn with_regions(self, policy: &Uid, profile_regions: Vec<ProfileRegion>) -> Self {
        Self {
            known_in: Some((policy.clone(), profile_regions)),
            ..self
        }
    }

    /// Adds what was seen and planned, with details of at most `max` findings.
    #[must_use]
    pub(crate) fn with_survey(self, survey: &Survey, plan: &Plan, max: usize) -> Self {
        let samples = survey
            .findings
            .iter()
            .map(|finding| SecretSample::of_finding(finding, self.detection.as_ref(), survey.time));
        let mut blocked: BTreeMap<_, usize> = BlockReason::ALL
            .into_iter()
            .map(|reason| (reason, 0))
            .collect();
        plan.blocked
            .values()
            .for_each(|hold| *blocked.entry(hold.reason).or_default() += 1);
        Self {
            counts: survey.counts.clone(),
            last_check: survey.checked.or(self.last_check),
            secrets: samples.take(max).collect(),
            omitted: survey.findings.len().saturating_sub(max),
            breaker: Some(plan.breaker),
            blocked,
            oldest: oldest(survey),
            denied: Some(counted(survey, |finding| {
                finding.unreadable == Some(ErrorClass::Denied)
            })),
            unseen: Some(counted(survey, |finding| finding.unseen_since.is_some())),
            ..self
        }
    }

    /// Adds what the status holds from an earlier process: the counts, and the findings that it lists.
    #[must_use]
    pub(crate) fn with_status(self, status: &SecretRotationPolicyStatus) -> Self {
        let checked = status.last_check_time.as_ref().and_then(Time::aws);
        let samples = status
            .findings
            .iter()
            .map(|finding| SecretSample::of_status(finding, checked));
        let samples: Vec<_> = samples.collect();
        let recoveries = self
            .detection
            .as_ref()
            .map(|detection| Recoveries::of_status(status, detection))
            .unwrap_or_default();
        let blocked = status
            .findings
            .iter()
            .filter_map(FindingStatus::block_reason);
        let mut counted = BTreeMap::<_, usize>::new();
        blocked.for_each(|reason| *counted.entry(reason).or_default() += 1);
        let open = counted.contains_key(&BlockReason::CircuitBreakerOpen);
        Self {
            counts: status.counts().into_iter().collect(),
            last_check: checked,
            oldest: earliest(samples.iter().filter_map(|sample| sample.state)),
            recoveries,
            secrets: samples,
            breaker: open.then_some(Breaker::Open),
            blocked: counted,
            ..self
        }
    }

    /// Copies the findings of an earlier report.
    #[must_use]
    pub(crate) fn with_findings_of(self, earlier: &Self) -> Self {
        let Self {
            counts,
            last_check,
            secrets,
            omitted,
            breaker,
            blocked,
            approval_waiting,
            oldest,
            denied,
            unseen,
            recoveries,
            known_in,
            ..
        } = earlier.clone();
        Self {
            counts,
            last_check,
            breaker,
            blocked,
            approval_waiting,
            oldest,
            denied,
            unseen,
            recoveries,
            secrets,
            omitted,
            known_in,
            ..self
        }
    }

    /// Returns the number of secrets that need no attention.
    pub(super) fn unremarkable_count(&self) -> usize {
        let rested = [State::Healthy, State::Ineligible];
        rested
            .iter()
            .filter_map(|state| self.counts.get(state))
            .sum()
    }
}

impl SecretSample {
    fn of_finding(finding: &Finding, detection: Option<&Detection>, now: AwsTime) -> Self {
        let secret = finding.secret.as_ref();
        Self {
            region: finding.region.to_string(),
            name: finding.name.to_string(),
            state: Some(state_of(finding, now)),
            is_managed: is_managed(finding),
            stuck_since: finding.since.filter(|_| finding.state == State::Stuck),
            last_rotated: secret.and_then(|secret| secret.last_rotated),
            next_rotation: secret
                .filter(|secret| secret.rotates())
                .and_then(|secret| secret.next_rotation),
            expires: secret
                .zip(detection)
                .and_then(|(secret, detection)| verdict::expires(secret, detection)),
            restorable_until: secret.and_then(|secret| verdict::restorable_until(secret, now)),
        }
    }

    /// Builds the sample of a finding in a status. A finding without a time is as old as the check.
    fn of_status(finding: &FindingStatus, checked: Option<AwsTime>) -> Self {
        let state = finding.known_state();
        let since = finding.since.as_ref().and_then(Time::aws);
        Self {
            region: finding.region.to_string(),
            name: finding.name.to_string(),
            state: state.zip(since.or(checked)),
            stuck_since: since.filter(|_| state == Some(State::Stuck)),
            ..Self::default()
        }
    }

    pub(super) fn of_member(member: &UnremarkableSecret) -> Self {
        Self {
            region: member.region.to_string(),
            name: member.name.to_string(),
            state: None,
            is_managed: false,
            stuck_since: None,
            last_rotated: member.last_rotated,
            next_rotation: member.next_rotation,
            expires: member.expires,
            restorable_until: None,
        }
    }
}

fn state_of(finding: &Finding, now: AwsTime) -> (State, AwsTime) {
    (finding.state, finding.since.unwrap_or(now))
}

/// Returns whether another service manages the secret. A replica is not meant: its primary can be acted on.
fn is_managed(finding: &Finding) -> bool {
    let owner = finding.secret.as_ref().and_then(Secret::foreign_owner);
    matches!(owner, Some(Exclusion::Managed | Exclusion::External))
}

fn oldest(survey: &Survey) -> BTreeMap<State, AwsTime> {
    let findings = survey.findings.iter();
    let actionable = findings.filter(|finding| !is_managed(finding));
    earliest(actionable.map(|finding| state_of(finding, survey.time)))
}

fn earliest(states: impl Iterator<Item = (State, AwsTime)>) -> BTreeMap<State, AwsTime> {
    states.fold(BTreeMap::new(), |mut earliest, (state, since)| {
        let known = earliest.entry(state).or_insert(since);
        *known = since.min(*known);
        earliest
    })
}

fn counted(survey: &Survey, wanted: impl Fn(&Finding) -> bool) -> usize {
    survey
        .findings
        .iter()
        .filter(|finding| wanted(finding))
        .count()
}

#[cfg(test)]
mod tests {
    use fixtures::{bound_policy, operation, policy, uid};
    use secret_rotation_core::action::Action;
    use secret_rotation_core::approval::Approval;

    use super::*;

    /// It ends with the policy for which it was created, and never waits for the decision about another one.
    #[test]
    fn a_policy_that_is_created_again_does_not_wait_for_approvals_of_the_earlier_one() {
        let own = bound_policy(policy("payments"));
        let waiting = |of: Option<&str>| {
            let mut undecided = operation("a", Action::Rotate, "prod/a");
            undecided.approval = Approval::Required;
            undecided.policy.uid = of.map(uid);
            let operations = [undecided].into_iter().collect();
            let sample = PolicySample::default().with_operations(&operations, &own);
            sample.approval_waiting.is_some()
        };
        assert!(waiting(Some("uid-payments")));
        assert!(waiting(None), "a manual operation names the policy only");
        assert!(!waiting(Some("uid-of-the-earlier-one")));
    }
}
