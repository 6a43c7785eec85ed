//! Carries out what a step has to say: the only place that writes the status of an operation after a step, publishes
//! its events, counts its metrics and wakes what waited for it. The journal of a request is written where the request
//! is sent.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt as _};
use secret_rotation_api::operation::{
    SecretRotationOperation, SecretRotationOperationStatus, secret_label,
};
use secret_rotation_api::{POLICY_LABEL, SECRET_LABEL};
use secret_rotation_core::names::{Arn, ObjectKey};
use secret_rotation_core::operation::Operation;
use secret_rotation_core::time::AwsTime;
use serde_json::json;
use tokio::time::Instant;

use crate::context::Context;
use crate::error::Error;
use crate::jitter::spread;
use crate::kubernetes::{status, with_call_timeout};
use crate::operation::fetched::{self, Fetched};
use crate::operation::report::{Ending, Report};
use crate::operation::step_end::{Happening, StepEnd, Stop};
use crate::operation::{events, unsupported};
use crate::profile_region::ProfileRegion;
use crate::store::OperationEntry;
use crate::triggers;

/// Publishes how a step ended. Returns the time until the operation is evaluated again.
///
/// # Errors
///
/// Returns an error if a write is refused or fails, or the error with which the step ended.
pub(super) async fn publish(
    context: &Arc<Context>,
    (key, entry): (&ObjectKey, &OperationEntry),
    ends: Result<StepEnd, Stop>,
) -> Result<Option<Duration>, Error> {
    let published = match ends {
        Ok(end) | Err(Stop::End(end)) => Box::pin(publish_end(context, key, end)).await,
        Err(Stop::Failed(error)) => Err(error),
    };
    match published {
        Err(Error::Forbidden(what)) => Box::pin(publish_forbidden(context, entry, what)).await,
        published => published,
    }
}

async fn publish_end(
    context: &Arc<Context>,
    key: &ObjectKey,
    end: StepEnd,
) -> Result<Option<Duration>, Error> {
    match end {
        StepEnd::Quiet(again) => Ok(again),
        StepEnd::Unparsed(why) => unsupported::publish(context, key, &why).await,
        StepEnd::About(about) => {
            let (fetched, happening) = *about;
            let report = report(context, &fetched, happening).await?;
            publish_report(context, report).await
        }
    }
}

/// Publishes that the controller must not read what the operation rests on, or write its status. Nothing is done until
/// it may.
async fn publish_forbidden(
    context: &Arc<Context>,
    entry: &OperationEntry,
    what: String,
) -> Result<Option<Duration>, Error> {
    let error = Error::Forbidden(what);
    let Some(fetched) = Fetched::cached(entry) else {
        return Err(error);
    };
    let key = &fetched.operation.key;
    tracing::warn!(operation = %key, %error, "operation blocked: access forbidden");
    let hindered = Happening::Hindered(error.to_string());
    let report = report(context, &fetched, hindered).await?;
    publish_report(context, report).await
}

/// Makes the report of what happened.
async fn report(
    context: &Context,
    fetched: &Fetched,
    happening: Happening,
) -> Result<Report, Error> {
    let server_now = context.server_time()?;
    Ok(match happening {
        Happening::Waits(waiting) => Report::waiting(fetched, &waiting, server_now),
        Happening::Hindered(message) => {
            let operation = &fetched.operation;
            let pause = context.look_failures.record_failure(&operation.key);
            let again = spread(pause, operation.uid.as_str());
            Report {
                // Others go first, if it has not started.
                is_deferred: !operation.has_started(),
                ..Report::hindered(fetched, &message, again, server_now)
            }
        }
        Happening::Absent(again) => {
            let message = "AWS does not find the secret; the operation ends if AWS confirms that";
            Report::hindered(fetched, message, again, server_now)
        }
        Happening::Identified { arn, look } => {
            Report::identified(fetched, (&arn, &look), server_now)
        }
        Happening::Ended {
            outcome,
            look,
            consent,
        } => {
            let at = match &look {
                Some(look) => look.at,
                None => completion_time(context, fetched).await?,
            };
            let ending = Ending {
                outcome: &outcome,
                at,
                look: look.as_ref(),
                consent: consent.as_ref(),
            };
            Report::ended(fetched, &ending, server_now)
        }
        Happening::Sent(sent) => Report::sent(fetched, *sent),
    })
}

/// Returns when an operation ended without a look at AWS: the time of AWS in its region, because holds are measured
/// by it, or the time of the API server if AWS has given none.
async fn completion_time(context: &Context, fetched: &Fetched) -> Result<AwsTime, Error> {
    let aws_now = match fetched::cached_bounds(context, fetched) {
        Some(bound_policy) => {
            let connections = &context.connections;
            let connection = connections
                .of(&bound_policy.profile, fetched.region())
                .await;
            connection.account.now()
        }
        None => None,
    };
    aws_now.map_or_else(|| context.time_without_look(), Ok)
}

/// Publishes a report, in the order of this table.
///
/// | Step | Why it comes here |
/// |---|---|
/// | 1. Let others go first, if the operation is deferred | It must block no other one, even if its status cannot be written. |
/// | 2. Write the status | If it is refused, the step starts again, and nothing is reported twice. |
/// | 3. Mark the secret as outdated | No policy may plan by what the sweeps saw before the operation ended. |
/// | 4. Count, log and publish events | They report what the status already shows. |
/// | 5. Wake what waited for the end of the operation | It then finds everything in place. |
async fn publish_report(context: &Arc<Context>, report: Report) -> Result<Option<Duration>, Error> {
    let operation = &report.operation;
    if report.is_deferred && context.look_failures.set_aside(&operation.key) {
        triggers::waiting_for(context, [operation]);
    }
    if let Some(status) = &report.status {
        context.claim()?;
        let version = match &report.identity {
            Some(arn) => label(context, operation, arn, &report.version).await?,
            None => report.version.clone(),
        };
        write(context, &operation.key, &version, status).await?;
    }
    let ended = operation.is_finished().then_some(operation);
    let looks = ended.map(|operation| mark_ended(context, operation));
    if let Some(record) = &report.record {
        events::record(context, operation, record);
    }
    context
        .recorder
        .publish(&report.about, &report.events)
        .await;
    if let Some(looks) = looks {
        triggers::operation_ended(context, operation, looks);
    }
    report.again
}

/// Forgets what was uncertain about an operation that has ended, and marks its secret as outdated. Returns the regions
/// whose sweepers look at the secret, and when.
fn mark_ended(context: &Context, operation: &Operation) -> Vec<(ProfileRegion, Instant)> {
    context.look_failures.forget(&operation.key);
    let Some(arn) = &operation.arn else {
        return Vec::new();
    };
    let (regions, at) = context.sweeps.operation_ended(arn, operation.has_started());
    regions.into_iter().map(|region| (region, at)).collect()
}

/// Labels an operation with its secret. Returns the new resourceVersion.
async fn label(
    context: &Arc<Context>,
    operation: &Operation,
    arn: &Arn,
    version: &str,
) -> Result<String, Error> {
    let key = &operation.key;
    let labels =
        json!({SECRET_LABEL: secret_label(arn), POLICY_LABEL: operation.policy.name.as_str()});
    let patch = json!({"metadata": {"resourceVersion": version, "labels": labels}});
    let api: Api<SecretRotationOperation> =
        Api::namespaced(context.client.clone(), key.namespace.as_str());
    let labelled = with_call_timeout(api.patch(
        key.name.as_str(),
        &PatchParams::default(),
        &Patch::Merge(&patch),
    ))
    .await?;
    Ok(labelled.resource_version().unwrap_or_default())
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
