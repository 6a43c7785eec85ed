//! Applies a plan: creates operations, and ends operations that have not begun and whose reason no longer holds.

use std::sync::Arc;

use kube::api::PostParams;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt as _};
use secret_rotation_api::operation::{
    SecretRotationOperation, SecretRotationOperationStatus, StepReport,
};
use secret_rotation_core::advance::Phase;
use secret_rotation_core::names::ObjectKey;
use secret_rotation_core::operation::{Failure, Outcome};
use secret_rotation_core::plan::{Plan, Proposal};
use secret_rotation_core::policy::Policy;

use crate::context::Context;
use crate::error::Error;
use crate::events::{EventNote, Reason};
use crate::kubernetes::{status, with_call_timeout};
use crate::store::PolicyEntry;

/// Applies the whole plan. A failure does not stop the rest. Returns the first error.
pub(super) async fn apply(
    context: &Arc<Context>,
    entry: &PolicyEntry,
    policy: &Policy,
    plan: &Plan,
) -> Result<(), Error> {
    let mut first = Ok(());
    let current = |proposal: &&Proposal| context.sweeps.is_current(&proposal.arn);
    for proposal in plan.create.iter().filter(current) {
        first = first.and(create(context, entry, policy, proposal).await);
    }
    for (key, why) in &plan.supersede {
        first = first.and(supersede(context, key, why).await);
    }
    first
}

/// Creates an operation. An existing operation of the same name counts as success: if it has ended, the next pass
/// uses the next name.
async fn create(
    context: &Arc<Context>,
    entry: &PolicyEntry,
    policy: &Policy,
    proposal: &Proposal,
) -> Result<(), Error> {
    context.claim()?;
    let operations: Api<SecretRotationOperation> =
        Api::namespaced(context.client.clone(), policy.key.namespace.as_str());
    let object = SecretRotationOperation::automatic(proposal, policy);
    let created = match with_call_timeout(operations.create(&PostParams::default(), &object)).await
    {
        Ok(created) => created,
        Err(Error::AlreadyExists) => return check_existing(context, policy, proposal).await,
        Err(error) => return Err(error),
    };
    tracing::info!(policy = %policy.key, operation = created.name_any(), action = %proposal.action, secret = %proposal.secret, "operation created");
    let note = format!(
        "{} of {} in {}: {}",
        proposal.action, proposal.secret, proposal.region, proposal.reason
    );
    context
        .recorder
        .publish(
            &entry.reference,
            &[EventNote {
                reason: Reason::OperationCreated,
                note,
            }],
        )
        .await;
    Ok(())
}

async fn check_existing(
    context: &Arc<Context>,
    policy: &Policy,
    proposal: &Proposal,
) -> Result<(), Error> {
    let key = ObjectKey {
        namespace: policy.key.namespace.clone(),
        name: proposal.name.clone(),
    };
    let existing = context.reader.operation(&key).await?;
    let ended = existing
        .and_then(|existing| existing.to_core().ok())
        .is_some_and(|existing| existing.is_finished());
    if ended {
        Err(Error::Stale(
            "the operation of this name has ended, and the cache does not show it yet",
        ))
    } else {
        Ok(())
    }
}

/// Ends an operation that has not begun. If the operation begins meanwhile, the write is refused with a conflict.
async fn supersede(context: &Arc<Context>, key: &ObjectKey, why: &str) -> Result<(), Error> {
    let Some(object) = context.reader.operation(key).await? else {
        return Ok(());
    };
    let mut operation = object
        .to_core()
        .map_err(|error| Error::Invalid(error.to_string()))?;
    if operation.has_started() || operation.is_finished() {
        return Ok(());
    }
    operation.outcome = Some(Outcome::Failed {
        reason: Failure::Superseded,
        message: why.to_owned(),
    });
    operation.completed = Some(context.time_without_look()?);
    let progress = StepReport {
        generation: object.metadata.generation.unwrap_or(0),
        operation: &operation,
        secret: None,
        phase: Phase::Queued,
        message: why,
        consent: None,
        next_step: None,
        after: None,
        now: context.server_time()?,
    };
    let ended = SecretRotationOperationStatus::after_step(object.status.as_ref(), &progress);
    context.claim()?;
    let api: Api<DeserializeGuard<SecretRotationOperation>> =
        Api::namespaced(context.client.clone(), key.namespace.as_str());
    let version = object.resource_version().unwrap_or_default();
    let stored = status::apply(&api, key.name.as_str(), &version, &ended).await?;
    tracing::info!(operation = %key, why, "operation superseded before it began");
    context.metrics.operation_finished(
        &operation,
        &Outcome::Failed {
            reason: Failure::Superseded,
            message: String::new(),
        },
    );
    if let Ok(stored) = stored.0 {
        context.record_operation_write(stored);
    }
    Ok(())
}
