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
    conditions::{Judgement, Verdict, find},
    count::Count,
    time::Time,
};

const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const APPROVED: &str = "Approved";

/// Where an operation stands after a step.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
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
    pub fn after_step(previous: Option<&Self>, progress: &Progress<'_>) -> Self {
        let old = previous.cloned().unwrap_or_default();
        let operation = progress.operation;
        let baseline = operation.baseline.as_ref();
        let started = operation.journal.0.iter().map(|entry| entry.intent).min();
        let ended = operation.is_finished();
        Self {
            observed_generation: Some(Count::new(progress.generation)),
            arn: operation.arn.as_ref().map(|arn| arn.as_str().into()),
            secret_name: progress
                .secret
                .map(|name| name.as_str().into())
                .or(old.secret_name),
            // An intent that was not sent is taken back, and with the first one the start.
            start_time: started.map(|started| old.start_time.unwrap_or_else(|| started.into())),
            completion_time: operation.completed.filter(|_| ended).map(Time::exact),
            baseline: baseline.map(BaselineStatus::of),
            before: baseline.map(|baseline| written_labels(&baseline.labels)),
            after: progress.after.map(written_labels).or(old.after),
            steps: operation.journal.0.iter().map(StepStatus::of).collect(),
            client_request_token: token(operation),
            next_step_time: progress.next_step.filter(|_| !ended).map(Time::from),
            conditions: conditions(&old.conditions, progress),
        }
    }
}

/// What can be said of an operation that cannot be understood.
#[derive(Clone, Copy, Debug)]
pub struct Riddle<'a> {
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
    pub fn of_riddle(previous: Option<&Self>, riddle: &Riddle<'_>) -> Self {
        let old = previous.cloned().unwrap_or_default();
        let (reason, message) = match riddle.ends {
            Some(_) => (
                Failure::Refused.reason(),
                format!(
                    "the operation cannot be understood, so it ends: {}",
                    riddle.why
                ),
            ),
            None => (
                old.phase().reason(),
                format!(
                    "the operation has begun, and this release does not understand it: {}",
                    riddle.why
                ),
            ),
        };
        let complete = Judgement {
            kind: COMPLETE,
            verdict: Verdict::False,
            reason,
            message,
        };
        let failed = riddle.ends.map(|_| Judgement {
            kind: FAILED,
            verdict: Verdict::True,
            ..complete.clone()
        });
        let kept = find(&old.conditions, APPROVED).cloned();
        let judged = [Some(complete), failed].into_iter().flatten();
        let conditions = judged
            .map(|judgement| judgement.condition(&old.conditions, riddle.generation, riddle.now))
            .chain(kept)
            .collect();
        Self {
            observed_generation: Some(Count::new(riddle.generation)),
            completion_time: riddle.ends.map(Time::exact).or(old.completion_time),
            conditions,
            ..old
        }
    }

    /// What it was doing last.
    fn phase(&self) -> Phase {
        let reason = find(&self.conditions, COMPLETE).map(|complete| complete.reason.as_str());
        let mut phases = Phase::ALL.into_iter();
        phases
            .find(|phase| reason == Some(phase.reason()))
            .unwrap_or(Phase::Queued)
    }
}

/// Conditions `Complete`, `Failed` if it failed, and `Approved` once somebody has decided.
pub fn conditions(previous: &[Condition], progress: &Progress<'_>) -> Vec<Condition> {
    let (verdict, reason, message) = match &progress.operation.outcome {
        Some(Outcome::Succeeded { message }) => (Verdict::True, "Succeeded", message.as_str()),
        Some(Outcome::Failed { reason, message }) => {
            (Verdict::False, reason.reason(), message.as_str())
        }
        None => (Verdict::False, progress.phase.reason(), progress.message),
    };
    let complete = Judgement {
        kind: COMPLETE,
        verdict,
        reason,
        message: message.to_owned(),
    };
    let failed = matches!(progress.operation.outcome, Some(Outcome::Failed { .. }));
    let failed = failed.then(|| Judgement {
        kind: FAILED,
        verdict: Verdict::True,
        ..complete.clone()
    });
    let decided = progress.consent.and_then(decided);
    let kept = find(previous, APPROVED)
        .filter(|_| decided.is_none())
        .cloned();
    let judged = [Some(complete), failed, decided].into_iter().flatten();
    judged
        .map(|judgement| judgement.condition(previous, progress.generation, progress.now))
        .chain(kept)
        .collect()
}

fn decided(consent: &Consent) -> Option<Judgement> {
    let (verdict, reason, message) = match consent {
        Consent::NotNeeded | Consent::Awaited { .. } => return None,
        Consent::Given { by } => (Verdict::True, "Approved", format!("approved by {by}")),
        Consent::Refused { message } => (Verdict::False, "Denied", message.clone()),
    };
    Some(Judgement {
        kind: APPROVED,
        verdict,
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
