//! From core to the status of a policy. Each pass builds the whole status again.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use secret_rotation_core::{
    maintenance_window::Opening,
    plan::Plan,
    survey::{Finding, State, Survey},
    time::ServerTime,
};

use super::status::{
    FindingStatus, MAX_FINDINGS, NextWindow, RetryRequest, SecretRotationPolicyStatus, Summary,
};
use crate::{
    Readiness,
    conditions::{ConditionStatus, ConditionType, ConditionUpdate, find, is_true},
    count::Count,
    health::Health,
};

/// The results of one pass over a policy.
#[derive(Clone, Copy, Debug)]
pub struct PassReport<'a> {
    /// The generation of the policy that the pass evaluated.
    pub generation: i64,
    /// Whether the controller can do its job for the policy.
    pub readiness: &'a Readiness,
    /// The survey and the plan. Without them, the findings stay as they were.
    pub seen: Option<(&'a Survey, &'a Plan)>,
    /// The token of a requested check that this pass completes.
    pub handled_request: Option<&'a str>,
    /// The token of a new request to reset the count of attempts.
    pub retry_request: Option<&'a str>,
    /// The time of the API server, for transitions.
    pub now: ServerTime,
}

impl SecretRotationPolicyStatus {
    /// Builds the status after a pass.
    ///
    /// What the pass did not learn is carried over: a suspended policy keeps its findings and its condition
    /// `Healthy`. After a pass without changes only `lastCheckTime` differs.
    pub fn after(previous: Option<&Self>, pass: &PassReport<'_>) -> Self {
        let old = previous.cloned().unwrap_or_default();
        let pass = &PassReport {
            seen: pass
                .seen
                .filter(|_| *pass.readiness != Readiness::Suspended),
            ..*pass
        };
        let conditions = conditions(&old.conditions, pass);
        let handled = pass
            .handled_request
            .map(Into::into)
            .or_else(|| old.last_handled_request.clone());
        let retried = pass
            .retry_request
            .zip(pass.seen)
            .map(|(token, (survey, _))| RetryRequest {
                token: token.into(),
                time: survey.time.into(),
            });
        let frame = Self {
            last_retry_request: retried.or_else(|| old.last_retry_request.clone()),
            observed_generation: Some(Count::new(pass.generation)),
            last_handled_request: handled,
            conditions,
            ..old
        };
        match pass.seen {
            Some((survey, plan)) => frame.with_findings(survey, plan),
            None => frame,
        }
    }

    fn with_findings(self, survey: &Survey, plan: &Plan) -> Self {
        let mut keys = BTreeSet::new();
        let findings = survey
            .findings
            .iter()
            .filter(|finding| keys.insert((&finding.region, &finding.name)));
        let findings: Vec<_> = findings
            .take(MAX_FINDINGS)
            .map(|finding| FindingStatus::of(finding, plan))
            .collect();
        Self {
            last_check_time: survey.checked.map(Into::into).or(self.last_check_time),
            summary: Some(Summary::of(survey)),
            // Count all unhealthy secrets, not only the findings: secrets that only the counts include stay omitted,
            // so that the counts are still right on the next pass.
            findings_omitted: Some(
                survey
                    .unhealthy_count()
                    .saturating_sub(findings.len())
                    .into(),
            ),
            findings,
            next_window: NextWindow::of(plan.window),
            ..self
        }
    }
}

impl NextWindow {
    fn of(opening: Opening) -> Option<Self> {
        match opening {
            Opening::Always | Opening::Never => None,
            Opening::Open { closes } => Some(Self {
                opens: None,
                closes: closes.map(Into::into),
            }),
            Opening::Closed {
                next: (opens, closes),
            } => Some(Self {
                opens: Some(opens.into()),
                closes: closes.map(Into::into),
            }),
        }
    }
}

impl Summary {
    fn of(survey: &Survey) -> Self {
        let count = |state| survey.count(state).into();
        Self {
            selected: survey.selected.into(),
            healthy: count(State::Healthy),
            rotating: count(State::Rotating),
            stuck: count(State::Stuck),
            overdue: count(State::Overdue),
            too_old: count(State::TooOld),
            expiring: count(State::Expiring),
            disabled: count(State::Disabled),
            broken: count(State::Broken),
            scheduled_for_deletion: count(State::ScheduledForDeletion),
            not_found: count(State::NotFound),
            ineligible: count(State::Ineligible),
            unknown: count(State::Unknown),
            outside_ceiling: 0_usize.into(),
        }
    }

    /// Returns the counts by state that the status holds.
    pub(super) fn counts(&self) -> Vec<(State, usize)> {
        let counts = [
            (State::Healthy, &self.healthy),
            (State::Rotating, &self.rotating),
            (State::Stuck, &self.stuck),
            (State::Overdue, &self.overdue),
            (State::TooOld, &self.too_old),
            (State::Expiring, &self.expiring),
            (State::Disabled, &self.disabled),
            (State::Broken, &self.broken),
            (State::ScheduledForDeletion, &self.scheduled_for_deletion),
            (State::NotFound, &self.not_found),
            (State::Ineligible, &self.ineligible),
            (State::Unknown, &self.unknown),
        ];
        counts
            .into_iter()
            .map(|(state, count)| (state, usize::try_from(count.value()).unwrap_or(0)))
            .collect()
    }
}

impl FindingStatus {
    /// Builds the entry of one finding. The caller limits the number of entries.
    pub fn of(finding: &Finding, plan: &Plan) -> Self {
        let arn = finding.arn.as_ref();
        let attempts = arn.and_then(|arn| plan.attempts.get(arn));
        let hold = arn.and_then(|arn| plan.blocked.get(arn));
        // The later of the two times: the end of a pause does not help while the attempts are used up. A hold that no
        // time ends has no next attempt.
        let paused = attempts.and_then(|attempts| attempts.next);
        let next = match hold {
            Some(hold) => hold
                .until
                .map(|until| paused.map_or(until, |next| next.max(until))),
            None => paused,
        };
        Self {
            name: finding.name.as_str().into(),
            region: finding.region.as_str().into(),
            arn: arn.map(|arn| arn.as_str().into()),
            state: finding.state.name().into(),
            since: finding.since.map(Into::into),
            message: finding.message.as_str().into(),
            current_version_id: finding.current.as_ref().map(|id| id.as_str().into()),
            pending_version_id: finding.pending.as_ref().map(|id| id.as_str().into()),
            first_observed_time: finding.first_observed.map(Into::into),
            attempts: attempts.map(|attempts| attempts.count.into()),
            next_attempt_time: next.map(Into::into),
            blocked_by: hold.map(|hold| hold.reason.name().into()),
            operation: arn
                .and_then(|arn| plan.in_progress.get(arn))
                .map(|key| key.name.as_str().into()),
            unseen_since: finding.unseen_since.map(Into::into),
        }
    }
}

fn conditions(previous: &[Condition], pass: &PassReport<'_>) -> Vec<Condition> {
    let unchanged = without_changes(previous, pass);
    let progress = if unchanged.is_some() {
        None
    } else {
        pass.readiness.progress()
    };
    let condition_of =
        |update: ConditionUpdate| update.condition(previous, pass.generation, pass.now);
    let ready = unchanged.unwrap_or_else(|| condition_of(ready(pass)));
    let healthy = health(pass, previous)
        .map(condition_of)
        .or_else(|| find(previous, ConditionType::Healthy).cloned());
    let healthy = healthy.unwrap_or_else(|| condition_of(unchecked(pass.readiness)));
    [Some(ready), Some(healthy), progress.map(condition_of)]
        .into_iter()
        .flatten()
        .collect()
}

/// Returns the condition `Ready` unchanged if the controller has just started, and the policy was ready for this
/// generation.
fn without_changes(previous: &[Condition], pass: &PassReport<'_>) -> Option<Condition> {
    let known = find(previous, ConditionType::Ready)
        .filter(|ready| ready.observed_generation == Some(pass.generation))?;
    let starting =
        matches!(pass.readiness, Readiness::Progressing) && is_true(previous, ConditionType::Ready);
    starting.then(|| known.clone())
}

fn ready(pass: &PassReport<'_>) -> ConditionUpdate {
    let update = pass.readiness.ready();
    match (pass.readiness, pass.seen) {
        (Readiness::Succeeded, Some((survey, _))) => ConditionUpdate {
            message: format!("secrets selected and checked: {}", survey.selected),
            ..update
        },
        _ => update,
    }
}

/// Returns the condition `Healthy`, if this pass can determine it.
fn health(pass: &PassReport<'_>, previous: &[Condition]) -> Option<ConditionUpdate> {
    let ailing = find(previous, ConditionType::Healthy)
        .is_some_and(|old| old.status == ConditionStatus::False.name());
    match pass.seen {
        Some((survey, _)) => Some(health_of(survey)),
        None if pass.readiness.leaves_health() => None,
        // An alert must not resolve because AWS no longer lets the controller read.
        None if pass.readiness.leaves_findings() && ailing => None,
        None => Some(unchecked(pass.readiness)),
    }
}

fn health_of(survey: &Survey) -> ConditionUpdate {
    let health = Health::of(survey);
    healthy(health, health_message(survey, health))
}

fn unchecked(readiness: &Readiness) -> ConditionUpdate {
    let message = format!("the secrets were not checked: {}", readiness.message());
    healthy(Health::Unknown, message)
}

/// Returns condition `Healthy`.
const fn healthy(health: Health, message: String) -> ConditionUpdate {
    ConditionUpdate {
        kind: ConditionType::Healthy,
        status: health.status(),
        reason: health.name(),
        message,
    }
}

/// Describes the counts of all unhealthy states, then the worst finding.
fn health_message(survey: &Survey, health: Health) -> String {
    let unhealthy = State::ALL
        .into_iter()
        .filter(|state| state.is_unhealthy() && survey.count(*state) > 0);
    let counts: Vec<_> = unhealthy
        .map(|state| format!("{state}: {}", survey.count(state)))
        .collect();
    let worst = survey
        .findings
        .iter()
        .find(|finding| finding.state.is_unhealthy());
    match (worst, health) {
        (Some(worst), _) => format!(
            "{}; {} in {}: {}",
            counts.join(", "),
            worst.name,
            worst.region,
            worst.message
        ),
        (None, Health::NothingSelected) => {
            "the selector matches no secret within the bounds of the profile".to_owned()
        }
        (None, Health::Unknown) => {
            "the last check did not see every secret, and found nothing unhealthy among the others"
                .to_owned()
        }
        (
            None,
            Health::AllRotationsHealthy
            | Health::SecretBroken
            | Health::RotationStuck
            | Health::SecretExpiring
            | Health::RotationOverdue
            | Health::SecretTooOld
            | Health::ScheduledForDeletion
            | Health::SecretNotFound
            | Health::RotationDisabled,
        ) => "no rotation needs attention".to_owned(),
    }
}
