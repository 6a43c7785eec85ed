//! What an operation tells: its status, its events, its metrics and one log line for each thing done.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Api, Resource as _, ResourceExt as _};
use secret_rotation_api::SECRET_LABEL;
use secret_rotation_api::operation::{
    Progress, SecretRotationOperation, SecretRotationOperationStatus, secret_label,
};
use secret_rotation_core::advance::{Phase, Wait, Write};
use secret_rotation_core::identity::{Arn, ObjectKey};
use secret_rotation_core::operation::{
    Action, Failure, Operation, Outcome, ResultKind, Step, StepResult,
};
use secret_rotation_core::outcome::{AwsError, ErrorClass};
use secret_rotation_core::secret::Look;
use serde_json::json;

use crate::accounts::Place;
use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::events::{Announcement, Reason};
use crate::kubernetes::{bounded, status};
use crate::operation::reading::Reading;
use crate::operation::{Scene, present, quiet};

/// Shorter pauses are not told: their ends would be written again and again.
const SHORTEST_TOLD: Duration = Duration::from_mins(1);

/// How long to wait before asking AWS again after a failed look.
const AFTER_TROUBLE: Duration = Duration::from_secs(15);

/// Long enough for a change to show in AWS's answers.
const SETTLING: Duration = Duration::from_secs(2);

/// Where an operation stands, to be completed by those who know more.
pub(super) fn progress<'a>(
    context: &Context,
    object: &SecretRotationOperation,
    operation: &'a Operation,
    phase: Phase,
    message: &'a str,
) -> Result<Progress<'a>, Error> {
    Ok(Progress {
        generation: object.metadata.generation.unwrap_or(0),
        operation,
        secret: None,
        phase,
        message,
        next_step: None,
        after: None,
        now: context.server_time()?,
    })
}

/// The status that follows.
pub(super) fn after(
    object: &SecretRotationOperation,
    progress: &Progress<'_>,
) -> SecretRotationOperationStatus {
    SecretRotationOperationStatus::after_step(object.status.as_ref(), progress)
}

/// Writes a status, guarded by the resourceVersion that was read.
pub(super) async fn store(
    context: &Arc<Context>,
    key: &ObjectKey,
    version: &str,
    status: &SecretRotationOperationStatus,
) -> Result<SecretRotationOperation, Error> {
    let api: Api<DeserializeGuard<SecretRotationOperation>> =
        Api::namespaced(context.client.clone(), key.namespace.as_str());
    let stored = status::apply(&api, key.name.as_str(), version, status).await?;
    let stored = stored.0.map_err(|invalid| Error::Invalid(invalid.error))?;
    context
        .queues
        .operations
        .wrote(key, stored.resource_version().unwrap_or_default());
    context.world.wrote_operation(stored.clone());
    Ok(stored)
}

/// It waits, and says for what.
pub(super) async fn waiting(
    context: &Arc<Context>,
    scene: &Scene,
    wait: &Wait,
) -> Result<(), Error> {
    let reading = &scene.reading;
    let progress = Progress {
        secret: present(&scene.look).map(|secret| &secret.name),
        next_step: (wait.pause >= SHORTEST_TOLD).then_some(wait.until),
        ..progress(
            context,
            &reading.object,
            &reading.operation,
            wait.phase,
            &wait.message,
        )?
    };
    let old = reading.object.status.as_ref();
    let new = after(&reading.object, &progress);
    if !quiet::is_due(old, &new, scene.look.at) {
        return Ok(());
    }
    context.tenure()?;
    store(context, &reading.operation.key, &reading.version(), &new).await?;
    if is_deferred(wait.phase) && quiet::phase(old) != Some(wait.phase.reason()) {
        tell(
            context,
            reading,
            Reason::OperationDeferred,
            wait.message.clone(),
        )
        .await;
    }
    Ok(())
}

const fn is_deferred(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Queued | Phase::AwaitingWindow | Phase::BackingOff
    )
}

/// It has ended.
pub(super) async fn ended(
    context: &Arc<Context>,
    reading: &Reading,
    look: Option<&Look>,
    outcome: Outcome,
) -> Result<Option<Duration>, Error> {
    let operation = Operation {
        outcome: Some(outcome.clone()),
        ..reading.operation.clone()
    };
    let seen = look.and_then(present);
    let progress = Progress {
        secret: seen.map(|secret| &secret.name),
        after: seen
            .filter(|_| operation.has_started())
            .map(|secret| &secret.labels),
        ..progress(context, &reading.object, &operation, Phase::Queued, "")?
    };
    context.tenure()?;
    store(
        context,
        &operation.key,
        &reading.version(),
        &after(&reading.object, &progress),
    )
    .await?;
    if let Some(arn) = &operation.arn {
        context.sweeps.operation_ended(arn, operation.has_started());
    }
    count(context, &operation, &outcome, look);
    tell_end(context, reading, &outcome).await;
    look_soon(context, &operation);
    Ok(None)
}

/// Its policy is judged, and its secret looked at, without waiting for their time.
fn look_soon(context: &Context, operation: &Operation) {
    let key = ObjectKey {
        namespace: operation.key.namespace.clone(),
        name: operation.policy.name.clone(),
    };
    let profile = context.world.policy(&key).and_then(|entry| {
        entry
            .core
            .as_ref()
            .ok()
            .map(|(policy, _)| policy.profile.clone())
    });
    if let (Some(profile), Some(arn)) = (profile, &operation.arn) {
        let place = Place {
            profile,
            region: arn.region().clone(),
        };
        context.queues.places.push(place, clock::now() + SETTLING);
    }
    context.queues.policies.push(key, clock::now());
}

/// AWS could not be looked at: nothing is known, so nothing is done.
pub(super) async fn trouble(
    context: &Arc<Context>,
    reading: &Reading,
    error: AwsError,
) -> Result<Option<Duration>, Error> {
    let error = AwsError {
        request_id: None,
        ..error
    };
    tracing::warn!(operation = %reading.operation.key, %error, "the secret could not be looked at");
    let message = format!("the secret could not be looked at: {error}");
    stalled(context, reading, &message).await
}

/// An operation of a release that this one does not understand is at work on the secret.
pub(super) async fn riddle(
    context: &Arc<Context>,
    reading: &Reading,
    _look: &Look,
    riddle: &str,
) -> Result<Option<Duration>, Error> {
    let message = format!(
        "operation {riddle} is at work on this secret, and this release does not understand it"
    );
    stalled(context, reading, &message).await
}

async fn stalled(
    context: &Arc<Context>,
    reading: &Reading,
    message: &str,
) -> Result<Option<Duration>, Error> {
    let old = reading.object.status.as_ref();
    let phase = Phase::ALL
        .into_iter()
        .find(|phase| quiet::phase(old) == Some(phase.reason()))
        .unwrap_or(Phase::Queued);
    let new = after(
        &reading.object,
        &progress(context, &reading.object, &reading.operation, phase, message)?,
    );
    if old != Some(&new) {
        context.tenure()?;
        store(context, &reading.operation.key, &reading.version(), &new).await?;
    }
    Ok(Some(AFTER_TROUBLE))
}

/// Writes down which secret the name means, where rivals look for it: first the label, then the status.
pub(super) async fn identity(
    context: &Arc<Context>,
    reading: &Reading,
    arn: &Arn,
    look: &Look,
) -> Result<(), Error> {
    let key = &reading.operation.key;
    context.tenure()?;
    let patch = json!({"metadata": {"resourceVersion": reading.version(), "labels": {SECRET_LABEL: secret_label(arn)}}});
    let api: Api<SecretRotationOperation> =
        Api::namespaced(context.client.clone(), key.namespace.as_str());
    let labelled = bounded(api.patch(
        key.name.as_str(),
        &PatchParams::default(),
        &Patch::Merge(&patch),
    ))
    .await?;
    let operation = Operation {
        arn: Some(arn.clone()),
        ..reading.operation.clone()
    };
    let phase = Phase::ALL
        .into_iter()
        .find(|phase| quiet::phase(labelled.status.as_ref()) == Some(phase.reason()));
    let progress = Progress {
        secret: present(look).map(|secret| &secret.name),
        ..progress(
            context,
            &labelled,
            &operation,
            phase.unwrap_or(Phase::Queued),
            "the secret was identified",
        )?
    };
    let version = labelled.resource_version().unwrap_or_default();
    store(context, key, &version, &after(&labelled, &progress))
        .await
        .map(drop)
}

/// One log line and the counts for a request that was sent.
pub(super) fn sent(context: &Context, operation: &Operation, write: &Write, result: &StepResult) {
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
            tracing::warn!(operation = %key, %arn, step, request_id, code, error = %class, "request failed");
        }
    }
    match write.intent().step {
        Step::Rotate if was_heard(result) => context.metrics.rotation_triggered(operation),
        Step::Clear if result.kind == ResultKind::Applied => {
            context.metrics.pending_cleared(operation, "success");
        }
        Step::Clear => context.metrics.pending_cleared(operation, "error"),
        Step::Pin | Step::Rotate | Step::Unpin => {}
    }
}

/// The event for a request that AWS accepted.
pub(super) async fn announce_sent(
    context: &Arc<Context>,
    reading: &Reading,
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
        Step::Rotate if was_heard(result) => {
            (Reason::RotationTriggered, "AWS accepted the rotation")
        }
        Step::Pin | Step::Clear | Step::Rotate | Step::Unpin => return,
    };
    let version = write
        .intent()
        .version
        .as_ref()
        .map_or_else(String::new, |version| format!(" {version}"));
    tell(
        context,
        reading,
        reason,
        format!("{what}{version} of {}", reading.secret_name()),
    )
    .await;
}

/// Whether AWS runs a rotation because of the request.
fn was_heard(result: &StepResult) -> bool {
    matches!(
        result.kind,
        ResultKind::Applied | ResultKind::Refused(ErrorClass::RotationPending)
    )
}

fn count(context: &Context, operation: &Operation, outcome: &Outcome, look: Option<&Look>) {
    context.metrics.operation_finished(operation, outcome);
    let superseded = matches!(
        outcome,
        Outcome::Failed {
            reason: Failure::Superseded,
            ..
        }
    );
    if superseded && operation.action.clears() && operation.has_started() {
        context.metrics.pending_cleared(operation, "superseded");
    }
    let Some(rotate) = operation.journal.entry(Step::Rotate) else {
        return;
    };
    let result = match outcome {
        Outcome::Succeeded { .. } => "success",
        Outcome::Failed {
            reason: Failure::RotationDidNotFinish,
            ..
        } => "timeout",
        Outcome::Failed { .. } => "failed",
    };
    let took = look
        .filter(|_| result == "success")
        .map(|look| look.at.since(rotate.intent));
    context.metrics.rotation_finished(operation, result, took);
}

async fn tell_end(context: &Arc<Context>, reading: &Reading, outcome: &Outcome) {
    let (key, action) = (&reading.operation.key, reading.operation.action);
    match outcome {
        Outcome::Succeeded { message } => {
            tracing::info!(operation = %key, %action, message, "operation succeeded");
            let reason = match action {
                Action::RetryRotation | Action::Rotate | Action::ClearAndRotate => {
                    Reason::RotationCompleted
                }
                Action::ReleasePins => Reason::PinsReleased,
                // What it did was told when it was done.
                Action::ClearPending => return,
            };
            tell(
                context,
                reading,
                reason,
                format!("{action} of {}: {message}", reading.secret_name()),
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
            tracing::warn!(operation = %key, %action, reason = reason.reason(), message, "operation failed");
            let note = format!(
                "{action} of {} failed, {}: {message}",
                reading.secret_name(),
                reason.reason()
            );
            tell(context, reading, Reason::RemediationFailed, note).await;
        }
    }
}

async fn tell(context: &Arc<Context>, reading: &Reading, reason: Reason, note: String) {
    let about = reading.object.object_ref(&());
    context
        .announcer
        .tell(&about, &[Announcement { reason, note }])
        .await;
}
