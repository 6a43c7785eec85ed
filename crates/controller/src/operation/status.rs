//! Publishes the status of an operation, with its events, metrics and log lines.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt as _};
use secret_rotation_api::operation::{
    SecretRotationOperation, SecretRotationOperationStatus, StepReport, secret_label,
};
use secret_rotation_api::{POLICY_LABEL, SECRET_LABEL};
use secret_rotation_aws::Operation as Call;
use secret_rotation_core::advance::{Phase, Wait};
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::consent::Consent;
use secret_rotation_core::names::{Arn, ObjectKey, Region, SecretName};
use secret_rotation_core::operation::{Operation, Outcome};
use secret_rotation_core::permit::Pause;
use secret_rotation_core::secret::Look;
use secret_rotation_core::time::AwsTime;
use serde_json::json;

use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::event_handlers;
use crate::events::Reason;
use crate::jitter::spread;
use crate::kubernetes::{status, with_call_timeout};
use crate::operation::fetch::Fetched;
use crate::operation::step_state::{StepState, present};
use crate::operation::{events, fetch, write_due};
use crate::store::OperationEntry;

/// Shorter pauses are not published, because their ends would be written again and again.
const SHORTEST_PUBLISHED: Duration = Duration::from_mins(1);

/// Builds a report of an operation, which callers complete with what else they know.
pub(super) fn step_report<'a>(
    context: &Context,
    object: &SecretRotationOperation,
    operation: &'a Operation,
    phase: Phase,
    message: &'a str,
) -> Result<StepReport<'a>, Error> {
    Ok(StepReport {
        generation: object.metadata.generation.unwrap_or(0),
        operation,
        secret: None,
        phase,
        message,
        consent: None,
        next_step: None,
        after: None,
        now: context.server_time()?,
    })
}

/// Builds the status that follows from a report.
pub(super) fn status_after(
    object: &SecretRotationOperation,
    progress: &StepReport<'_>,
) -> SecretRotationOperationStatus {
    SecretRotationOperationStatus::after_step(object.status.as_ref(), progress)
}

/// Writes a status, guarded by the resourceVersion that was read.
pub(super) async fn write(
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
        .record_write(key, stored.resource_version().unwrap_or_default());
    context.record_operation_write(stored.clone());
    Ok(stored)
}

/// Publishes what an operation waits for, if the watches show that.
pub(super) async fn publish_pause(
    context: &Arc<Context>,
    fetched: &Fetched,
    consent: Option<&Consent>,
    (pause, now): (&Pause, AwsTime),
) -> Result<(), Error> {
    let wait = Wait {
        pause: pause.until.map_or(Duration::ZERO, |until| until.since(now)),
        until: pause.until.unwrap_or(now),
        phase: pause.phase,
        message: pause.message.clone(),
    };
    publish_wait_and_event(context, fetched, (None, consent), (&wait, now)).await
}

/// Publishes that an operation waits for its turn. This needs no event.
pub(super) async fn publish_delay(
    context: &Arc<Context>,
    fetched: &Fetched,
    message: String,
    now: AwsTime,
) -> Result<(), Error> {
    let wait = Wait {
        pause: Duration::ZERO,
        until: now,
        phase: Phase::Queued,
        message,
    };
    write_wait(context, fetched, (None, None), (&wait, now))
        .await
        .map(drop)
}

/// Publishes what an operation waits for, if AWS shows that.
pub(super) async fn publish_wait(
    context: &Arc<Context>,
    input: &StepState,
    wait: &Wait,
) -> Result<(), Error> {
    let secret = present(&input.look).map(|secret| &secret.name);
    let seen = (secret, Some(&input.consent));
    publish_wait_and_event(context, &input.fetched, seen, (wait, input.look.at)).await
}

/// Publishes what an operation waits for, and an event when the phase is new.
async fn publish_wait_and_event(
    context: &Arc<Context>,
    fetched: &Fetched,
    seen: (Option<&SecretName>, Option<&Consent>),
    (wait, now): (&Wait, AwsTime),
) -> Result<(), Error> {
    let before = fetched.phase();
    let is_new = write_wait(context, fetched, seen, (wait, now)).await?;
    if is_new && is_deferred(wait.phase) && before != Some(wait.phase) {
        let message = wait.message.clone();
        events::publish(context, fetched, Reason::OperationDeferred, message).await;
    }
    Ok(())
}

/// Writes what an operation waits for. Returns whether that was new.
async fn write_wait(
    context: &Arc<Context>,
    fetched: &Fetched,
    (secret, consent): (Option<&SecretName>, Option<&Consent>),
    (wait, now): (&Wait, AwsTime),
) -> Result<bool, Error> {
    let progress = StepReport {
        secret,
        consent,
        next_step: (wait.pause >= SHORTEST_PUBLISHED).then_some(wait.until),
        ..step_report(
            context,
            &fetched.object,
            &fetched.operation,
            wait.phase,
            &wait.message,
        )?
    };
    let old = fetched.object.status.as_ref();
    let new = status_after(&fetched.object, &progress);
    if !write_due::is_due(old, &new, now) {
        return Ok(false);
    }
    context.claim()?;
    write(context, &fetched.operation.key, &fetched.version(), &new).await?;
    Ok(true)
}

const fn is_deferred(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Queued | Phase::AwaitingApproval | Phase::AwaitingWindow | Phase::BackingOff
    )
}

/// Publishes the end of an operation.
pub(super) async fn end(
    context: &Arc<Context>,
    fetched: &Fetched,
    look: Option<&Look>,
    consent: Option<&Consent>,
    outcome: Outcome,
) -> Result<Option<Duration>, Error> {
    let operation = Operation {
        outcome: Some(outcome.clone()),
        completed: Some(match look {
            Some(look) => look.at,
            None => completion_time(context, fetched).await?,
        }),
        ..fetched.operation.clone()
    };
    let seen = look.and_then(present);
    let progress = StepReport {
        secret: seen.map(|secret| &secret.name),
        consent,
        after: seen
            .filter(|_| operation.has_started())
            .map(|secret| &secret.labels),
        ..step_report(context, &fetched.object, &operation, Phase::Queued, "")?
    };
    context.claim()?;
    write(
        context,
        &operation.key,
        &fetched.version(),
        &status_after(&fetched.object, &progress),
    )
    .await?;
    context.look_failures.forget(&operation.key);
    let wrote = operation.has_started();
    let arn = operation.arn.as_ref();
    let looks = arn.map(|arn| context.sweeps.operation_ended(arn, wrote));
    events::count_end(context, &operation, &outcome, look);
    events::publish_end(context, fetched, &outcome).await;
    let (profile_regions, at) = looks.unwrap_or_else(|| (Vec::new(), clock::now()));
    for profile_region in profile_regions {
        context.queues.sweeps.push(profile_region, at);
    }
    wake_dependents(context, &operation);
    Ok(None)
}

/// Adds to a failure that the pin could not be removed.
pub(super) fn with_pin_left(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed { reason, message } => Outcome::Failed {
            reason,
            message: format!(
                "{message}; its pin could not be removed, because AWS could not be read, and stays"
            ),
        },
        succeeded @ Outcome::Succeeded { .. } => succeeded,
    }
}

/// Returns when an operation ended without a look at AWS: the time of AWS in its region, because holds are measured
/// by it, or the time of the API server if AWS has given none.
async fn completion_time(context: &Context, fetched: &Fetched) -> Result<AwsTime, Error> {
    let aws_now = match fetch::cached_bounds(context, fetched) {
        Some(bound_policy) => {
            let connections = &context.connections;
            let connection = connections
                .of(&bound_policy.profile, fetched.region())
                .await;
            connection.account.now()
        }
        None => None,
    };
    aws_now.map_or_else(|| ended_without_look(context), Ok)
}

/// Returns when something ended without a look at AWS, by the clock of the API server.
pub(crate) fn ended_without_look(context: &Context) -> Result<AwsTime, Error> {
    Ok(AwsTime::new(context.server_time()?.timestamp()))
}

/// Queues the policy for evaluation now.
fn wake_dependents(context: &Context, operation: &Operation) {
    let key = ObjectKey {
        namespace: operation.key.namespace.clone(),
        name: operation.policy.name.clone(),
    };
    context.queues.policies.push(key, clock::now());
}

/// Sets the operation aside: it blocks no other operation, and those that waited for it are evaluated again.
pub(super) fn set_aside(context: &Context, operation: &Operation) {
    if context.look_failures.set_aside(&operation.key) {
        event_handlers::queue_after(context, [operation]);
    }
}

/// Publishes that AWS could not be read. Nothing is known, so nothing is done.
pub(super) async fn publish_look_failure(
    context: &Arc<Context>,
    fetched: &Fetched,
    call: Call,
    error: AwsError,
) -> Result<Option<Duration>, Error> {
    let message = look_failure_message(call, fetched.region(), &error);
    tracing::warn!(operation = %fetched.operation.key, call = call.name(), message);
    publish_problem(context, fetched, &message).await
}

/// Describes which call failed, where and why. It leaves out the request id, which would differ each time and so
/// cause a write each time.
fn look_failure_message(call: Call, region: &Region, error: &AwsError) -> String {
    let (call, error) = (call.name(), error.lasting());
    format!("the secret could not be read: {call} in {region}: {error}")
}

/// Publishes that the controller must not read what the operation rests on. Nothing is done until it may.
pub(super) async fn publish_forbidden(
    context: &Arc<Context>,
    entry: &OperationEntry,
    what: String,
) -> Result<Option<Duration>, Error> {
    let error = Error::Forbidden(what);
    let Some(fetched) = Fetched::cached(entry) else {
        return Err(error);
    };
    tracing::warn!(operation = %fetched.operation.key, %error, "operation blocked: access forbidden");
    publish_problem(context, &fetched, &error.to_string()).await
}

/// Publishes that AWS reports no such secret. One answer may lag, so AWS is asked again.
pub(super) async fn publish_absent(
    context: &Arc<Context>,
    fetched: &Fetched,
    again: Duration,
) -> Result<Option<Duration>, Error> {
    let message = "AWS does not find the secret; the operation ends if AWS confirms that";
    write_message(context, fetched, message).await?;
    Ok(Some(again))
}

/// Publishes that an operation that this release cannot parse is in progress on the secret.
pub(super) async fn publish_unsupported(
    context: &Arc<Context>,
    fetched: &Fetched,
    unsupported: &str,
) -> Result<Option<Duration>, Error> {
    let message = format!(
        "operation {unsupported} is in progress on this secret, and this release cannot parse it"
    );
    publish_problem(context, fetched, &message).await
}

/// Publishes that the policy or profile of the operation cannot be parsed. Nothing is done until it can.
pub(super) async fn publish_invalid_bounds(
    context: &Arc<Context>,
    fetched: &Fetched,
    why: &str,
) -> Result<Option<Duration>, Error> {
    let message = format!("its policy or profile is invalid: {why}");
    publish_problem(context, fetched, &message).await
}

/// Publishes a problem, and waits longer each time.
async fn publish_problem(
    context: &Arc<Context>,
    fetched: &Fetched,
    message: &str,
) -> Result<Option<Duration>, Error> {
    let pause = context.look_failures.record_failure(&fetched.operation.key);
    if !fetched.operation.has_started() {
        set_aside(context, &fetched.operation);
    }
    write_message(context, fetched, message).await?;
    let uid = fetched.operation.uid.as_str();
    Ok(Some(spread(pause, uid)))
}

async fn write_message(
    context: &Arc<Context>,
    fetched: &Fetched,
    message: &str,
) -> Result<(), Error> {
    let old = fetched.object.status.as_ref();
    let phase = fetched.phase().unwrap_or(Phase::Queued);
    let new = status_after(
        &fetched.object,
        &step_report(context, &fetched.object, &fetched.operation, phase, message)?,
    );
    if old != Some(&new) {
        context.claim()?;
        write(context, &fetched.operation.key, &fetched.version(), &new).await?;
    }
    Ok(())
}

/// Writes the ARN that the name stands for, where other operations on the secret look for it: first the label, then
/// the status.
pub(super) async fn write_identity(
    context: &Arc<Context>,
    fetched: &Fetched,
    arn: &Arn,
    look: &Look,
) -> Result<(), Error> {
    let key = &fetched.operation.key;
    context.claim()?;
    let labels = json!({SECRET_LABEL: secret_label(arn), POLICY_LABEL: fetched.operation.policy.name.as_str()});
    let patch = json!({"metadata": {"resourceVersion": fetched.version(), "labels": labels}});
    let api: Api<SecretRotationOperation> =
        Api::namespaced(context.client.clone(), key.namespace.as_str());
    let labelled = with_call_timeout(api.patch(
        key.name.as_str(),
        &PatchParams::default(),
        &Patch::Merge(&patch),
    ))
    .await?;
    let operation = Operation {
        arn: Some(arn.clone()),
        ..fetched.operation.clone()
    };
    let status = labelled.status.as_ref();
    let phase = status.and_then(SecretRotationOperationStatus::phase);
    let progress = StepReport {
        secret: present(look).map(|secret| &secret.name),
        ..step_report(
            context,
            &labelled,
            &operation,
            phase.unwrap_or(Phase::Queued),
            "the secret was identified",
        )?
    };
    let version = labelled.resource_version().unwrap_or_default();
    write(context, key, &version, &status_after(&labelled, &progress))
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::aws_error::ErrorClass;

    use super::*;

    #[test]
    fn a_failure_to_list_versions_is_reported_with_the_same_message_each_time() {
        let denied = |id: &str| AwsError {
            class: ErrorClass::Denied,
            code: Some("AccessDeniedException".to_owned()),
            request_id: Some(id.to_owned()),
        };
        let region = Region::parse("eu-west-1").expect("a region");
        let message = look_failure_message(Call::ListSecretVersionIds, &region, &denied("r-1"));
        assert_eq!(
            message,
            "the secret could not be read: ListSecretVersionIds in eu-west-1: AWS denied access (AccessDeniedException)"
        );
        let again = look_failure_message(Call::ListSecretVersionIds, &region, &denied("r-2"));
        assert_eq!(again, message);
    }
}
