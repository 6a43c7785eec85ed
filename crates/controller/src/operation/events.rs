//! The log lines, metrics and events of an operation.

use std::time::Duration;

use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::advance::{Phase, Wait};
use secret_rotation_core::journal::{Intent, ResultKind, StepResult};
use secret_rotation_core::names::{Arn, SecretName};
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::time::AwsTime;

use crate::context::Context;
use crate::events::{EventNote, Reason};
use crate::metrics::{ClearResult, Metrics, RotationResult};

/// What is counted and logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A request was sent.
    Sent {
        /// The step that the request belongs to.
        step: Step,
        /// The secret.
        arn: Arn,
        /// The result of the request.
        result: StepResult,
    },
    /// The operation has ended.
    Ended {
        /// How it ended.
        outcome: Outcome,
        /// When the last look showed the secret, if there was one.
        seen_at: Option<AwsTime>,
    },
}

impl Record {
    /// Records a request and its result.
    pub(super) fn sent((intent, arn): (&Intent, &Arn), result: &StepResult) -> Self {
        Self::Sent {
            step: intent.step,
            arn: arn.clone(),
            result: result.clone(),
        }
    }
}

/// Counts what happened, and logs it.
pub(super) fn record(context: &Context, operation: &Operation, record: &Record) {
    match record {
        Record::Sent { step, arn, result } => {
            log_request(operation, (*step, arn), result);
            count_request(&context.metrics, operation, *step, result);
        }
        Record::Ended { outcome, seen_at } => {
            count_end(&context.metrics, operation, outcome, *seen_at);
            log_end(operation, outcome);
        }
    }
}

fn log_request(operation: &Operation, (step, arn): (Step, &Arn), result: &StepResult) {
    let request_id = result.request_id.as_deref().unwrap_or_default();
    let (key, step) = (&operation.key, step.name());
    match result.kind {
        ResultKind::Applied => {
            tracing::info!(operation = %key, %arn, step, request_id, "request applied");
        }
        ResultKind::Refused(class) => {
            let code = result.code.as_deref().unwrap_or_default();
            tracing::warn!(operation = %key, %arn, step, request_id, code, error = class.sentence(), "request failed");
        }
    }
}

fn count_request(metrics: &Metrics, operation: &Operation, step: Step, result: &StepResult) {
    match step {
        Step::Rotate if result.was_received() => metrics.rotation_triggered(operation),
        Step::Clear if result.kind == ResultKind::Applied => {
            metrics.pending_cleared(operation, ClearResult::Success);
        }
        Step::Clear => metrics.pending_cleared(operation, ClearResult::Error),
        Step::Pin
        | Step::Rotate
        | Step::Unpin
        | Step::Promote
        | Step::DropPending
        | Step::RestorePending
        | Step::Revert
        | Step::RestoreSecret => {}
    }
}

fn count_end(
    metrics: &Metrics,
    operation: &Operation,
    outcome: &Outcome,
    seen_at: Option<AwsTime>,
) {
    metrics.operation_finished(operation, outcome);
    let superseded = matches!(
        outcome,
        Outcome::Failed {
            reason: Failure::Superseded,
            ..
        }
    );
    if superseded && operation.action.clears() && operation.has_started() {
        metrics.pending_cleared(operation, ClearResult::Superseded);
    }
    if let Some((result, took)) = rotation_result(operation, outcome, seen_at) {
        metrics.rotation_finished(operation, result, took);
    }
}

/// Returns how the rotation of an operation ended and how long a successful one took, if it requested a rotation.
fn rotation_result(
    operation: &Operation,
    outcome: &Outcome,
    seen_at: Option<AwsTime>,
) -> Option<(RotationResult, Option<Duration>)> {
    let rotate = operation.journal.entry(Step::Rotate)?;
    let result = match outcome {
        Outcome::Succeeded { .. } => RotationResult::Success,
        Outcome::Failed {
            reason: Failure::RotationDidNotFinish,
            ..
        } => RotationResult::Timeout,
        Outcome::Failed { .. } => RotationResult::Failed,
    };
    let seen_at = seen_at.filter(|_| result == RotationResult::Success);
    Some((result, seen_at.map(|at| at.since(rotate.intent))))
}

fn log_end(operation: &Operation, outcome: &Outcome) {
    let (key, action) = (&operation.key, operation.action);
    match outcome {
        Outcome::Succeeded { message } => {
            tracing::info!(operation = %key, %action, message, "operation succeeded");
        }
        Outcome::Failed {
            reason: Failure::Superseded,
            message,
        } => tracing::info!(operation = %key, %action, message, "operation superseded"),
        Outcome::Failed { reason, message } => {
            tracing::warn!(operation = %key, %action, reason = reason.name(), message, "operation failed");
        }
    }
}

/// Returns the event of an operation that begins to wait, if the phase is new and not a step of its own work.
pub(super) fn deferral(before: Option<Phase>, wait: &Wait) -> Option<EventNote> {
    let is_deferred = matches!(
        wait.phase,
        Phase::Queued | Phase::AwaitingApproval | Phase::AwaitingWindow | Phase::BackingOff
    );
    (is_deferred && before != Some(wait.phase)).then(|| EventNote {
        reason: Reason::OperationDeferred,
        note: wait.message.clone(),
    })
}

/// Returns the event of a request that AWS accepted. The event at the end of the operation reports the result of other
/// requests.
pub(super) fn request(
    name: &SecretName,
    intent: &Intent,
    result: &StepResult,
) -> Option<EventNote> {
    let is_applied = result.kind == ResultKind::Applied;
    let (reason, what) = match intent.step {
        Step::Pin if is_applied => (Reason::PendingPinned, "pinned the pending version"),
        Step::Clear if is_applied => (
            Reason::PendingCleared,
            "removed AWSPENDING from the stale version",
        ),
        Step::Rotate if is_applied => (Reason::RotationTriggered, "AWS accepted the rotation"),
        Step::Rotate if result.was_received() => {
            let note =
                format!("AWS reports that it will attempt the pending rotation of {name} again");
            let reason = Reason::RotationTriggered;
            return Some(EventNote { reason, note });
        }
        Step::Pin
        | Step::Clear
        | Step::Rotate
        | Step::Unpin
        | Step::Promote
        | Step::DropPending
        | Step::RestorePending
        | Step::Revert
        | Step::RestoreSecret => return None,
    };
    let version = intent.version.as_ref();
    let version = version.map_or_else(String::new, |version| format!(" {version}"));
    let note = format!("{what}{version} of {name}");
    Some(EventNote { reason, note })
}

/// Returns the event of the end of an operation.
pub(super) fn end(
    operation: &Operation,
    name: &SecretName,
    outcome: &Outcome,
) -> Option<EventNote> {
    let action = operation.action;
    match outcome {
        Outcome::Succeeded { message } => Some(EventNote {
            reason: success(action)?,
            note: format!("{action} of {name}: {message}"),
        }),
        Outcome::Failed {
            reason: Failure::Superseded,
            ..
        } => None,
        Outcome::Failed { reason, message } => Some(EventNote {
            reason: Reason::RemediationFailed,
            note: format!("{action} of {name} failed, {}: {message}", reason.name()),
        }),
    }
}

const fn success(action: Action) -> Option<Reason> {
    match action {
        Action::RetryRotation | Action::Rotate | Action::ClearAndRotate => {
            Some(Reason::RotationCompleted)
        }
        Action::PromotePending => Some(Reason::PendingPromoted),
        Action::RestorePending => Some(Reason::PendingRestored),
        Action::RevertToPrevious => Some(Reason::VersionReverted),
        Action::RestoreSecret => Some(Reason::SecretRestored),
        Action::ReleasePins => Some(Reason::PinsReleased),
        // The event for this was published when AWS accepted the request.
        Action::ClearPending => None,
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{ago, minutes, now, operation, record_step, secret_name, version};
    use secret_rotation_core::aws_error::ErrorClass;

    use super::*;

    #[test]
    fn only_an_operation_that_begins_to_wait_is_deferred() {
        let wait = |phase| Wait {
            pause: Duration::ZERO,
            until: now(),
            phase,
            message: String::new(),
        };
        let deferred = Phase::ALL.into_iter();
        let deferred = deferred.filter(|phase| deferral(None, &wait(*phase)).is_some());
        let expected = [
            Phase::Queued,
            Phase::AwaitingApproval,
            Phase::AwaitingWindow,
            Phase::BackingOff,
        ];
        assert_eq!(deferred.collect::<Vec<_>>(), expected);
        for phase in expected {
            assert_eq!(deferral(Some(phase), &wait(phase)), None);
        }
    }

    #[test]
    fn a_request_that_moved_something_has_an_event() {
        let note = |step, kind| {
            let intent = Intent {
                step,
                version: Some(version("p")),
                at: now(),
                foreign_change: None,
                baseline: None,
            };
            let result = StepResult {
                kind,
                at: now(),
                request_id: None,
                code: None,
            };
            let event = request(&secret_name("team/db"), &intent, &result);
            event.map(|event| (event.reason, event.note))
        };
        let pending = ResultKind::Refused(ErrorClass::RotationPending);
        for (step, kind, expected) in [
            (
                Step::Pin,
                ResultKind::Applied,
                Some("pinned the pending version p of team/db"),
            ),
            (
                Step::Clear,
                ResultKind::Applied,
                Some("removed AWSPENDING from the stale version p of team/db"),
            ),
            (
                Step::Rotate,
                ResultKind::Applied,
                Some("AWS accepted the rotation p of team/db"),
            ),
            (
                Step::Rotate,
                pending,
                Some("AWS reports that it will attempt the pending rotation of team/db again"),
            ),
            (Step::Clear, pending, None),
            (Step::Unpin, ResultKind::Applied, None),
        ] {
            let found = note(step, kind).map(|(_, note)| note);
            assert_eq!(found.as_deref(), expected, "{step:?} {kind:?}");
        }
    }

    #[test]
    fn a_rotation_took_from_its_request_to_the_look_that_saw_it_finished() {
        let succeeded = Outcome::Succeeded {
            message: String::new(),
        };
        let failed = |reason| Outcome::Failed {
            reason,
            message: String::new(),
        };
        let mut own = operation("a", Action::Rotate, "team/db");
        assert_eq!(rotation_result(&own, &succeeded, Some(now())), None);
        record_step(&mut own, Step::Rotate, ago(minutes(7)), ResultKind::Applied);
        let took = |outcome: &Outcome| rotation_result(&own, outcome, Some(now()));
        let seven = Some((RotationResult::Success, Some(minutes(7))));
        assert_eq!(took(&succeeded), seven);
        let timeout = failed(Failure::RotationDidNotFinish);
        assert_eq!(took(&timeout), Some((RotationResult::Timeout, None)));
        let denied = failed(Failure::AccessDenied);
        assert_eq!(took(&denied), Some((RotationResult::Failed, None)));
    }
}
