//! From core to the status of an operation. Each step builds the whole status again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use secret_rotation_core::advance::Phase;
use secret_rotation_core::consent::Consent;
use secret_rotation_core::names::SecretName;
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::secret::LabelMap;
use secret_rotation_core::time::{AwsTime, ServerTime};
use secret_rotation_core::words;

use super::{
    journal::written_labels,
    status::{BaselineStatus, SecretRotationOperationStatus, StepStatus},
};
use crate::{
    conditions::{ConditionStatus, ConditionType, ConditionUpdate, find},
    count::Count,
    time::Time,
};

words! {
    /// The reasons of condition `Approved`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum ApprovedReason {
        /// A person has approved the operation.
        Approved => "a person has agreed",
        /// A person has denied the operation.
        Denied => "a person has not agreed",
    }
}

/// The state of an operation after a step.
#[derive(Clone, Copy, Debug)]
pub struct StepReport<'a> {
    /// The generation of the operation that the step evaluated.
    pub generation: i64,
    /// The operation with its current journal, baseline and outcome.
    pub operation: &'a Operation,
    /// The name of the secret, if it is known.
    pub secret: Option<&'a SecretName>,
    /// What the operation is doing, if it has not ended.
    pub phase: Phase,
    /// What the operation is doing, in a sentence with absolute times only.
    pub message: &'a str,
    /// Whether a person agrees, if this step evaluated it.
    pub consent: Option<&'a Consent>,
    /// When the next step is due, if the operation has not ended.
    pub next_step: Option<AwsTime>,
    /// The labels at the last look, once they are worth recording.
    pub after: Option<&'a LabelMap>,
    /// The time of the API server, for transitions.
    pub now: ServerTime,
}

impl SecretRotationOperationStatus {
    /// Builds the status after a step. Recorded times and labels are kept.
    pub fn after_step(previous: Option<&Self>, report: &StepReport<'_>) -> Self {
        let old = previous.cloned().unwrap_or_default();
        let operation = report.operation;
        let baseline = operation.baseline.as_ref();
        let started = operation.journal.0.iter().map(|entry| entry.intent).min();
        let ended = operation.is_finished();
        Self {
            observed_generation: Some(Count::new(report.generation)),
            arn: operation.arn.as_ref().map(|arn| arn.as_str().into()),
            secret_name: report
                .secret
                .map(|name| name.as_str().into())
                .or(old.secret_name),
            // An intent whose request was not sent is removed from the journal. If it was the first one, the start
            // time goes with it.
            start_time: started.map(|started| old.start_time.unwrap_or_else(|| started.into())),
            completion_time: operation.completed.filter(|_| ended).map(Time::exact),
            baseline: baseline.map(BaselineStatus::of),
            before: baseline.map(|baseline| written_labels(&baseline.labels)),
            after: report.after.map(written_labels).or(old.after),
            steps: operation.journal.0.iter().map(StepStatus::of).collect(),
            client_request_token: token(operation),
            next_step_time: report.next_step.filter(|_| !ended).map(Time::from),
            conditions: conditions(&old.conditions, report),
        }
    }
}

/// What is known of an operation that this release cannot parse.
#[derive(Clone, Copy, Debug)]
pub struct UnsupportedReport<'a> {
    /// The generation of the operation.
    pub generation: i64,
    /// Why it cannot be parsed.
    pub why: &'a str,
    /// When the operation ends because of that. `None` means that it has begun to act, so it must not end.
    pub ends: Option<AwsTime>,
    /// The time of the API server, for transitions.
    pub now: ServerTime,
}

impl SecretRotationOperationStatus {
    /// Builds the status of an operation that cannot be parsed: the previous status with a condition that reports the
    /// problem.
    pub fn unsupported(previous: Option<&Self>, report: &UnsupportedReport<'_>) -> Self {
        let old = previous.cloned().unwrap_or_default();
        let (reason, message) = match report.ends {
            Some(_) => (
                Failure::Refused.name(),
                format!(
                    "the operation cannot be parsed, so it has ended: {}",
                    report.why
                ),
            ),
            None => (
                old.phase().unwrap_or(Phase::Queued).name(),
                format!(
                    "the operation has begun, and this release cannot parse it: {}",
                    report.why
                ),
            ),
        };
        let complete = ConditionUpdate {
            kind: ConditionType::Complete,
            status: ConditionStatus::False,
            reason,
            message,
        };
        let failed = report.ends.map(|_| ConditionUpdate {
            kind: ConditionType::Failed,
            status: ConditionStatus::True,
            ..complete.clone()
        });
        let kept = find(&old.conditions, ConditionType::Approved).cloned();
        let updates = [Some(complete), failed].into_iter().flatten();
        let conditions = updates
            .map(|update| update.condition(&old.conditions, report.generation, report.now))
            .chain(kept)
            .collect();
        Self {
            observed_generation: Some(Count::new(report.generation)),
            completion_time: report.ends.map(Time::exact).or(old.completion_time),
            conditions,
            ..old
        }
    }

    /// Returns what the operation was doing last: the reason of condition `Complete`, if it is a phase.
    pub fn phase(&self) -> Option<Phase> {
        find(&self.conditions, ConditionType::Complete)
            .and_then(|complete| Phase::parse(&complete.reason))
    }
}

/// Builds the conditions: `Complete`, `Failed` if the operation failed, and `Approved` once someone has decided.
pub fn conditions(previous: &[Condition], report: &StepReport<'_>) -> Vec<Condition> {
    let (status, reason, message) = match &report.operation.outcome {
        Some(Outcome::Succeeded { message }) => {
            (ConditionStatus::True, "Succeeded", message.as_str())
        }
        Some(Outcome::Failed { reason, message }) => {
            (ConditionStatus::False, reason.name(), message.as_str())
        }
        None => (ConditionStatus::False, report.phase.name(), report.message),
    };
    let complete = ConditionUpdate {
        kind: ConditionType::Complete,
        status,
        reason,
        message: message.to_owned(),
    };
    let failed = matches!(report.operation.outcome, Some(Outcome::Failed { .. }));
    let failed = failed.then(|| ConditionUpdate {
        kind: ConditionType::Failed,
        status: ConditionStatus::True,
        ..complete.clone()
    });
    let decided = report.consent.and_then(decided);
    let kept = find(previous, ConditionType::Approved)
        .filter(|_| decided.is_none())
        .cloned();
    let updates = [Some(complete), failed, decided].into_iter().flatten();
    updates
        .map(|update| update.condition(previous, report.generation, report.now))
        .chain(kept)
        .collect()
}

fn decided(consent: &Consent) -> Option<ConditionUpdate> {
    let (status, reason, message) = match consent {
        Consent::NotNeeded | Consent::Awaited { .. } => return None,
        Consent::Given { by } => (
            ConditionStatus::True,
            ApprovedReason::Approved,
            format!("approved by {by}"),
        ),
        Consent::Refused { message } => (
            ConditionStatus::False,
            ApprovedReason::Denied,
            message.clone(),
        ),
    };
    Some(ConditionUpdate {
        kind: ConditionType::Approved,
        status,
        reason: reason.name(),
        message,
    })
}

fn token(operation: &Operation) -> Option<crate::text::Text<1, 64>> {
    let token = operation
        .request_token()
        .filter(|_| operation.action.rotates());
    token.map(|token| token.as_str().into())
}
