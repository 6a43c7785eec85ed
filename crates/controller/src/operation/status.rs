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
use crate::kubernetes::{bounded, status};
use crate::operation::fetch::Fetched;
use crate::operation::step_state::{StepState, present};
use crate::operation::{events, fetch, write_due};
use crate::store::OperationEntry;

/// Shorter pauses are not published, because their ends would be written again and again.
const SHORTEST_TOLD: Duration = Duration::from_mins(1);

/// Builds a report of an operation, which callers complete with what else they know.
pub(super) fn progress<'a>(
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
pub(super) fn after(
    object: &SecretRotationOperation,
    progress: &StepReport<'_>,
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
    context.store.record_operation_write(stored.clone());
    Ok(stored)
}

/// Publishes what an operation waits for, if the watches show that.
pub(super) async fn resting(
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
    say(context, fetched, (None, consent), (&wait, now)).await
}

/// Publishes that an operation waits for its turn. This needs no event.
pub(super) async fn not_yet(
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
    note(context, fetched, (None, None), (&wait, now))
        .await
        .map(drop)
}

/// Publishes what an operation waits for, if AWS shows that.
pub(super) async fn waiting(
    context: &Arc<Context>,
    input: &StepState,
    wait: &Wait,
) -> Result<(), Error> {
    let secret = present(&input.look).map(|secret| &secret.name);
    let seen = (secret, Some(&input.consent));
    say(context, &input.fetched, seen, (wait, input.look.at)).await
}

/// Publishes what an operation waits for, and an event when the phase is new.
async fn say(
    context: &Arc<Context>,
    fetched: &Fetched,
    seen: (Option<&SecretName>, Option<&Consent>),
    (wait, now): (&Wait, AwsTime),
) -> Result<(), Error> {
    let before = fetched.phase();
    let is_new = note(context, fetched, seen, (wait, now)).await?;
    if is_new && is_deferred(wait.phase) && before != Some(wait.phase) {
        let message = wait.message.clone();
        events::tell(context, fetched, Reason::OperationDeferred, message).await;
    }
    Ok(())
}

/// Writes what an operation waits for. Returns whether that was new.
async fn note(
    context: &Arc<Context>,
    fetched: &Fetched,
    (secret, consent): (Option<&SecretName>, Option<&Consent>),
    (wait, now): (&Wait, AwsTime),
) -> Result<bool, Error> {
    let progress = StepReport {
        secret,
        consent,
        next_step: (wait.pause >= SHORTEST_TOLD).then_some(wait.until),
        ..progress(
            context,
            &fetched.object,
            &fetched.operation,
            wait.phase,
            &wait.message,
        )?
    };
    let old = fetched.object.status.as_ref();
    let new = after(&fetched.object, &progress);
    if !write_due::is_due(old, &new, now) {
        return Ok(false);
    }
    context.claim()?;
    store(context, &fetched.operation.key, &fetched.version(), &new).await?;
    Ok(true)
}

const fn is_deferred(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Queued | Phase::AwaitingApproval | Phase::AwaitingWindow | Phase::BackingOff
    )
}

/// Publishes the end of an operation.
pub(super) async fn ended(
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
            None => carried(context, fetched).await?,
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
        ..progress(context, &fetched.object, &operation, Phase::Queued, "")?
    };
    context.claim()?;
    store(
        context,
        &operation.key,
        &fetched.version(),
        &after(&fetched.object, &progress),
    )
    .await?;
    context.look_failures.cleared_up(&operation.key);
    let wrote = operation.has_started();
    let arn = operation.arn.as_ref();
    let looks = arn.map(|arn| context.sweeps.operation_ended(arn, wrote));
    events::count(context, &operation, &outcome, look);
    events::tell_end(context, fetched, &outcome).await;
    let (profile_regions, at) = looks.unwrap_or_else(|| (Vec::new(), clock::now()));
    for profile_region in profile_regions {
        context.queues.sweeps.push(profile_region, at);
    }
    wake_dependents(context, &operation);
    Ok(None)
}

/// Adds to a failure that the pin could not be removed.
pub(super) fn with_pin(outcome: Outcome) -> Outcome {
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
async fn carried(context: &Context, fetched: &Fetched) -> Result<AwsTime, Error> {
    let told = match fetch::watched(context, fetched) {
        Some(bound_policy) => {
            let connections = &context.connections;
            let connection = connections
                .of(&bound_policy.profile, fetched.region())
                .await;
            connection.account.now()
        }
        None => None,
    };
    told.map_or_else(|| ended_without_look(context), Ok)
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
pub(super) fn set_aside(context: &Context, key: &ObjectKey) {
    if context.look_failures.set_aside(key) {
        event_handlers::freed(context);
    }
}

/// Publishes that AWS could not be read. Nothing is known, so nothing is done.
pub(super) async fn look_failed(
    context: &Arc<Context>,
    fetched: &Fetched,
    call: Call,
    error: AwsError,
) -> Result<Option<Duration>, Error> {
    let message = not_seen(call, fetched.region(), &error);
    tracing::warn!(operation = %fetched.operation.key, call = call.name(), message);
    report_look_failure(context, fetched, &message).await
}

/// Describes which call failed, where and why. It leaves out the request id, which would differ each time and so
/// cause a write each time.
fn not_seen(call: Call, region: &Region, error: &AwsError) -> String {
    let (call, error) = (call.name(), error.lasting());
    format!("the secret could not be read: {call} in {region}: {error}")
}

/// Publishes that the controller must not read what the operation rests on. Nothing is done until it may.
pub(super) async fn forbidden(
    context: &Arc<Context>,
    entry: &OperationEntry,
    what: String,
) -> Result<Option<Duration>, Error> {
    let error = Error::Forbidden(what);
    let Some(fetched) = Fetched::cached(entry) else {
        return Err(error);
    };
    tracing::warn!(operation = %fetched.operation.key, %error, "operation blocked: access forbidden");
    report_look_failure(context, &fetched, &error.to_string()).await
}

/// Publishes that AWS reports no such secret. One answer may lag, so AWS is asked again.
pub(super) async fn absent(
    context: &Arc<Context>,
    fetched: &Fetched,
    again: Duration,
) -> Result<Option<Duration>, Error> {
    let message = "AWS does not find the secret; the operation ends if AWS confirms that";
    stalled(context, fetched, message).await?;
    Ok(Some(again))
}

/// Publishes that an operation that this release cannot parse is in progress on the secret.
pub(super) async fn unsupported(
    context: &Arc<Context>,
    fetched: &Fetched,
    unsupported: &str,
) -> Result<Option<Duration>, Error> {
    let message = format!(
        "operation {unsupported} is in progress on this secret, and this release cannot parse it"
    );
    report_look_failure(context, fetched, &message).await
}

/// Publishes that the policy or profile of the operation cannot be parsed. Nothing is done until it can.
pub(super) async fn invalid_bounds(
    context: &Arc<Context>,
    fetched: &Fetched,
    why: &str,
) -> Result<Option<Duration>, Error> {
    let message = format!("its policy or profile is invalid: {why}");
    report_look_failure(context, fetched, &message).await
}

/// Publishes a problem, and waits longer each time.
async fn report_look_failure(
    context: &Arc<Context>,
    fetched: &Fetched,
    message: &str,
) -> Result<Option<Duration>, Error> {
    let pause = context.look_failures.failed(&fetched.operation.key);
    if !fetched.operation.has_started() {
        set_aside(context, &fetched.operation.key);
    }
    stalled(context, fetched, message).await?;
    let uid = fetched.operation.uid.as_str();
    Ok(Some(spread(pause, uid)))
}

async fn stalled(context: &Arc<Context>, fetched: &Fetched, message: &str) -> Result<(), Error> {
    let old = fetched.object.status.as_ref();
    let phase = fetched.phase().unwrap_or(Phase::Queued);
    let new = after(
        &fetched.object,
        &progress(context, &fetched.object, &fetched.operation, phase, message)?,
    );
    if old != Some(&new) {
        context.claim()?;
        store(context, &fetched.operation.key, &fetched.version(), &new).await?;
    }
    Ok(())
}

/// Writes the ARN that the name stands for, where other operations on the secret look for it: first the label, then
/// the status.
pub(super) async fn identity(
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
    let labelled = bounded(api.patch(
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
        let told = not_seen(Call::ListSecretVersionIds, &region, &denied("r-1"));
        assert_eq!(
            told,
            "the secret could not be read: ListSecretVersionIds in eu-west-1: AWS denied access (AccessDeniedException)"
        );
        let again = not_seen(Call::ListSecretVersionIds, &region, &denied("r-2"));
        assert_eq!(again, told);
    }
}
