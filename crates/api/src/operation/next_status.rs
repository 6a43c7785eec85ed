//! From core to the status of an operation: the whole status, anew at each step.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use secret_rotation_core::advance::Phase;
use secret_rotation_core::consent::Consent;
use secret_rotation_core::names::SecretName;
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::secret::LabelMap;
use secret_rotation_core::time::{AwsTime, ServerTime};

use super::{
    journal::written_labels,
    status::{BaselineStatus, SecretRotationOperationStatus, StepStatus},
};
use crate::{
    conditions::{ConditionStatus, ConditionUpdate, find},
    count::Count,
    time::Time,
};

const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const APPROVED: &str = "Approved";

/// Where an operation stands after a step.
#[derive(Clone, Copy, Debug)]
pub struct StepReport<'a> {
    /// The generation of the operation that was judged.
    pub generation: i64,
    /// The operation with its journal, baseline and outcome as they are now.
    pub operation: &'a Operation,
    /// The name of the secret, where it is known.
    pub secret: Option<&'a SecretName>,
    /// What it is doing, while it has not ended.
    pub phase: Phase,
    /// The same in a sentence, with absolute times only.
    pub message: &'a str,
    /// Whether a person agrees, where it was judged in this step.
    pub consent: Option<&'a Consent>,
    /// When the next step is due, while it has not ended.
    pub next_step: Option<AwsTime>,
    /// The labels at the last look, once they are worth recording.
    pub after: Option<&'a LabelMap>,
    /// The API server's time, for transitions.
    pub now: ServerTime,
}

impl SecretRotationOperationStatus {
    /// The status after a step. Times and labels that were recorded before stay.
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
            // An intent that was not sent is taken back, and with the first one the start.
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

/// What can be said of an operation that cannot be understood.
#[derive(Clone, Copy, Debug)]
pub struct UnsupportedReport<'a> {
    /// The generation of the operation.
    pub generation: i64,
    /// Why it cannot be understood.
    pub why: &'a str,
    /// When it ends because of that; `None` = it has begun, so that it may not.
    pub ends: Option<AwsTime>,
    /// The API server's time, for transitions.
    pub now: ServerTime,
}

impl SecretRotationOperationStatus {
    /// The status of an operation that cannot be understood: as it was, with a condition that says so.
    pub fn unsupported(previous: Option<&Self>, report: &UnsupportedReport<'_>) -> Self {
        let old = previous.cloned().unwrap_or_default();
        let (reason, message) = match report.ends {
            Some(_) => (
                Failure::Refused.name(),
                format!(
                    "the operation cannot be understood, so it ends: {}",
                    report.why
                ),
            ),
            None => (
                old.phase().unwrap_or(Phase::Queued).name(),
                format!(
                    "the operation has begun, and this release does not understand it: {}",
                    report.why
                ),
            ),
        };
        let complete = ConditionUpdate {
            kind: COMPLETE,
            status: ConditionStatus::False,
            reason,
            message,
        };
        let failed = report.ends.map(|_| ConditionUpdate {
            kind: FAILED,
            status: ConditionStatus::True,
            ..complete.clone()
        });
        let kept = find(&old.conditions, APPROVED).cloned();
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
        find(&self.conditions, COMPLETE).and_then(|complete| Phase::parse(&complete.reason))
    }
}

/// Conditions `Complete`, `Failed` if it failed, and `Approved` once somebody has decided.
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
        kind: COMPLETE,
        status,
        reason,
        message: message.to_owned(),
    };
    let failed = matches!(report.operation.outcome, Some(Outcome::Failed { .. }));
    let failed = failed.then(|| ConditionUpdate {
        kind: FAILED,
        status: ConditionStatus::True,
        ..complete.clone()
    });
    let decided = report.consent.and_then(decided);
    let kept = find(previous, APPROVED)
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
            "Approved",
            format!("approved by {by}"),
        ),
        Consent::Refused { message } => (ConditionStatus::False, "Denied", message.clone()),
    };
    Some(ConditionUpdate {
        kind: APPROVED,
        status,
        reason,
        message,
    })
}

fn token(operation: &Operation) -> Option<crate::text::Text<1, 64>> {
    let token = operation
        .request_token()
        .filter(|_| operation.action.rotates());
    token.map(|token| token.as_str().into())
}
