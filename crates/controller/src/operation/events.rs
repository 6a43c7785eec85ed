//! The log lines, metrics and events of an operation.

use std::sync::Arc;

use kube::Resource as _;
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::advance::Write;
use secret_rotation_core::journal::{ResultKind, StepResult};
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::secret::Look;

use crate::context::Context;
use crate::events::{EventNote, Reason};
use crate::metrics::{ClearResult, RotationResult};
use crate::operation::fetch::Fetched;

/// Writes one log line and the metrics for a request that was sent.
pub(super) fn record_sent(
    context: &Context,
    operation: &Operation,
    write: &Write,
    result: &StepResult,
) {
    let (step, request_id) = (
        write.intent().step.name(),
        result.request_id.as_deref().unwrap_or_default(),
    );
    let (key, arn) = (&operation.key, write.arn());
    match result.kind {
        ResultKind::Applied => {
            tracing::info!(operation = %key, %arn, step, request_id, "request applied");
        }
        ResultKind::Refused(class) => {
            let code = result.code.as_deref().unwrap_or_default();
            tracing::warn!(operation = %key, %arn, step, request_id, code, error = class.sentence(), "request failed");
        }
    }
    match write.intent().step {
        Step::Rotate if result.was_received() => context.metrics.rotation_triggered(operation),
        Step::Clear if result.kind == ResultKind::Applied => {
            context
                .metrics
                .pending_cleared(operation, ClearResult::Success);
        }
        Step::Clear => context
            .metrics
            .pending_cleared(operation, ClearResult::Error),
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

/// Publishes the event for a request that AWS accepted.
pub(super) async fn publish_sent(
    context: &Arc<Context>,
    fetched: &Fetched,
    write: &Write,
    result: &StepResult,
) {
    let (reason, what) = match write.intent().step {
        Step::Pin if result.kind == ResultKind::Applied => {
            (Reason::PendingPinned, "pinned the pending version")
        }
        Step::Clear if result.kind == ResultKind::Applied => (
            Reason::PendingCleared,
            "removed AWSPENDING from the stale version",
        ),
        Step::Rotate if result.kind == ResultKind::Applied => {
            (Reason::RotationTriggered, "AWS accepted the rotation")
        }
        Step::Rotate if result.was_received() => {
            let note = format!(
                "AWS reports that it will attempt the pending rotation of {} again",
                fetched.secret_name()
            );
            return publish(context, fetched, Reason::RotationTriggered, note).await;
        }
        // The event at the end of the operation reports the result of these steps.
        Step::Pin
        | Step::Clear
        | Step::Rotate
        | Step::Unpin
        | Step::Promote
        | Step::DropPending
        | Step::RestorePending
        | Step::Revert
        | Step::RestoreSecret => return,
    };
    let version = write
        .intent()
        .version
        .as_ref()
        .map_or_else(String::new, |version| format!(" {version}"));
    publish(
        context,
        fetched,
        reason,
        format!("{what}{version} of {}", fetched.secret_name()),
    )
    .await;
}

/// Counts the end of an operation.
pub(super) fn count_end(
    context: &Context,
    operation: &Operation,
    outcome: &Outcome,
    look: Option<&Look>,
) {
    context.metrics.operation_finished(operation, outcome);
    let superseded = matches!(
        outcome,
        Outcome::Failed {
            reason: Failure::Superseded,
            ..
        }
    );
    if superseded && operation.action.clears() && operation.has_started() {
        context
            .metrics
            .pending_cleared(operation, ClearResult::Superseded);
    }
    let Some(rotate) = operation.journal.entry(Step::Rotate) else {
        return;
    };
    let result = match outcome {
        Outcome::Succeeded { .. } => RotationResult::Success,
        Outcome::Failed {
            reason: Failure::RotationDidNotFinish,
            ..
        } => RotationResult::Timeout,
        Outcome::Failed { .. } => RotationResult::Failed,
    };
    let took = look
        .filter(|_| result == RotationResult::Success)
        .map(|look| look.at.since(rotate.intent));
    context.metrics.rotation_finished(operation, result, took);
}

/// Writes the log line and publishes the event for the end of an operation.
pub(super) async fn publish_end(context: &Arc<Context>, fetched: &Fetched, outcome: &Outcome) {
    let (key, action) = (&fetched.operation.key, fetched.operation.action);
    match outcome {
        Outcome::Succeeded { message } => {
            tracing::info!(operation = %key, %action, message, "operation succeeded");
            let reason = match action {
                Action::RetryRotation | Action::Rotate | Action::ClearAndRotate => {
                    Reason::RotationCompleted
                }
                Action::PromotePending => Reason::PendingPromoted,
                Action::RestorePending => Reason::PendingRestored,
                Action::RevertToPrevious => Reason::VersionReverted,
                Action::RestoreSecret => Reason::SecretRestored,
                Action::ReleasePins => Reason::PinsReleased,
                // The event for this was published when AWS accepted the request.
                Action::ClearPending => return,
            };
            publish(
                context,
                fetched,
                reason,
                format!("{action} of {}: {message}", fetched.secret_name()),
            )
            .await;
        }
        Outcome::Failed {
            reason: Failure::Superseded,
            message,
        } => {
            tracing::info!(operation = %key, %action, message, "operation superseded");
        }
        Outcome::Failed { reason, message } => {
            tracing::warn!(operation = %key, %action, reason = reason.name(), message, "operation failed");
            let note = format!(
                "{action} of {} failed, {}: {message}",
                fetched.secret_name(),
                reason.name()
            );
            publish(context, fetched, Reason::RemediationFailed, note).await;
        }
    }
}

/// Publishes an event about the operation.
pub(super) async fn publish(
    context: &Arc<Context>,
    fetched: &Fetched,
    reason: Reason,
    note: String,
) {
    let about = fetched.object.object_ref(&());
    context
        .recorder
        .publish(&about, &[EventNote { reason, note }])
        .await;
}
