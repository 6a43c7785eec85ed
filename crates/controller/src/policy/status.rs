//! Publishes the result of a pass: metrics always, status and events when they are due.

use std::sync::Arc;
use std::time::Duration;

use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt as _};
use secret_rotation_api::Readiness;
use secret_rotation_api::conditions::{ConditionStatus, ConditionType, find};
use secret_rotation_api::policy::{PassReport, SecretRotationPolicy, SecretRotationPolicyStatus};
use secret_rotation_core::names::ObjectKey;
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::Plan;
use secret_rotation_core::policy::{Detection, Policy};
use secret_rotation_core::survey::Survey;
use secret_rotation_core::time::AwsTime;

use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::kubernetes::status::{self, WriteMethod};
use crate::metrics::{PolicySample, Recoveries};
use crate::policy::events::Findings;
use crate::policy::{events, preconditions, write_due};
use crate::store::PolicyEntry;
use crate::sweep::SweepView;

/// Publishes the result of a pass that could not evaluate the secrets. The findings stay as they were.
pub(super) async fn publish_unevaluated(
    context: &Arc<Context>,
    key: &ObjectKey,
    entry: &PolicyEntry,
    policy: Option<&Policy>,
    readiness: Readiness,
) -> Result<Option<Duration>, Error> {
    let pass = PassReport {
        generation: entry.generation,
        readiness: &readiness,
        seen: None,
        handled_request: None,
        retry_request: None,
        now: context.server_time()?,
    };
    let new = SecretRotationPolicyStatus::after(entry.status.as_ref(), &pass);
    let earlier = context.metrics.reports().last(key);
    let report = policy
        .map(PolicySample::of)
        .unwrap_or_default()
        .suspended_by(&readiness)
        .with_conditions(conditions(&new));
    // After a restart the metrics start from the status, so that an AWS outage does not resolve an alert.
    let report = match (&earlier, &entry.status) {
        (Some(earlier), _) => report.with_findings_of(earlier),
        (None, Some(status)) => report.with_status(status),
        (None, None) => report,
    };
    record_metrics(context, key, report);
    write(context, key, entry, &new, false).await?;
    let known = Findings::of_status(entry.status.as_ref());
    publish_events(context, (key, entry), &known, (&known, &new)).await?;
    Ok(None)
}

/// Publishes the result of a pass that evaluated the secrets.
pub(super) async fn publish_evaluated(
    context: &Arc<Context>,
    key: &ObjectKey,
    entry: &PolicyEntry,
    bound_policy: &BoundPolicy,
    view: &SweepView,
    seen: (&Survey, &Plan),
    operations: &OperationIndex,
) -> Result<(), Error> {
    let handled = context.sweeps.handled_token(&bound_policy.policy.uid, view);
    let readiness = readiness(bound_policy, view, seen.0.time);
    let pass = PassReport {
        generation: entry.generation,
        readiness: &readiness,
        seen: Some(seen),
        handled_request: handled.as_deref(),
        retry_request: entry.retry.as_deref(),
        now: context.server_time()?,
    };
    let new = SecretRotationPolicyStatus::after(entry.status.as_ref(), &pass);
    let reports = context.metrics.reports();
    let report = PolicySample::of(&bound_policy.policy)
        .not_more_often_than(bound_policy.profile.min_check_interval)
        .with_conditions(conditions(&new));
    let detection = &bound_policy.policy.detection;
    let (recoveries, recovered) =
        recoveries_before(context, key, entry, detection).after(seen.0, detection);
    let report = report
        .with_survey(seen.0, seen.1, reports.max_secrets())
        .with_operations(operations, bound_policy)
        .with_recoveries(recoveries);
    context.metrics.recovered(key, &recovered);
    record_metrics(context, key, report);
    write(context, key, entry, &new, view.is_blinking).await?;
    let uid = &bound_policy.policy.uid;
    let known = context.written_statuses.last(uid);
    let known = known.unwrap_or_else(|| Arc::new(Findings::of_status(entry.status.as_ref())));
    let found = Findings::of_pass(seen.0, seen.1).with_unseen_of(&known, &new);
    publish_events(context, (key, entry), &known, (&found, &new)).await?;
    context.written_statuses.record(uid, found);
    if entry.retry.is_some() {
        // The new count of attempts may allow what was blocked before: plan again.
        context.queues.policies.push(key.clone(), clock::now());
    }
    Ok(())
}

/// Returns the secrets that had not recovered at the last pass. After a restart the status shows which are stuck.
fn recoveries_before(
    context: &Context,
    key: &ObjectKey,
    entry: &PolicyEntry,
    detection: &Detection,
) -> Recoveries {
    if let Some(earlier) = context.metrics.reports().last(key) {
        return earlier.recoveries().clone();
    }
    let status = entry.status.as_ref();
    status.map_or_else(Recoveries::default, |status| {
        Recoveries::of_status(status, detection)
    })
}

/// Records the metrics of a pass. A policy that was deleted during the pass must not appear in metrics again, so its
/// existence is checked after the write.
fn record_metrics(context: &Context, key: &ObjectKey, report: PolicySample) {
    context.metrics.reports().set(key, report);
    if context.store.policy(key).is_none() {
        context.metrics.forget_policy(key);
    }
}

fn readiness(bound_policy: &BoundPolicy, view: &SweepView, now: AwsTime) -> Readiness {
    let waiting = view.is_waiting.then_some(Readiness::Progressing);
    preconditions::readiness_of_gaps(&view.gaps)
        .or(waiting)
        .or_else(|| preconditions::shortfall(bound_policy))
        .or_else(|| invalid_windows(bound_policy, now))
        .unwrap_or(Readiness::Succeeded)
}

/// Returns the problem with maintenance windows in which no operation can ever start.
fn invalid_windows(bound_policy: &BoundPolicy, now: AwsTime) -> Option<Readiness> {
    let problem = bound_policy.policy.remediation.windows.problem(now)?;
    Some(Readiness::InvalidSchedule(problem.to_owned()))
}

/// Writes the status if it is due. The write is refused with a conflict if the object has changed since it was read.
/// That change has already queued the policy again.
async fn write(
    context: &Arc<Context>,
    key: &ObjectKey,
    entry: &PolicyEntry,
    new: &SecretRotationPolicyStatus,
    is_blinking: bool,
) -> Result<(), Error> {
    let old = entry.status.as_ref();
    if !write_due::policy_is_due(old, new) || is_blinking && write_due::is_blink(old, new) {
        return Ok(());
    }
    // The status of an unreadable object is known only if this process wrote it last. Then it needs no second write.
    if entry.way == WriteMethod::Merge
        && context
            .queues
            .policies
            .is_own_write(key, &entry.resource_version)
    {
        return Ok(());
    }
    context.claim()?;
    let api: Api<DeserializeGuard<SecretRotationPolicy>> =
        Api::namespaced(context.client.clone(), key.namespace.as_str());
    let (name, version) = (key.name.as_str(), &entry.resource_version);
    let at = (name, version.as_str());
    let stored = status::publish(&api, at, entry.way, (old, new)).await?;
    context
        .queues
        .policies
        .record_write(key, stored.resource_version().unwrap_or_default());
    if let Ok(stored) = stored.0 {
        context.store.record_policy_write(stored);
    }
    Ok(())
}

/// Publishes events. This runs after the status is stored: if the status could not be written, the next pass would
/// publish the same events again.
async fn publish_events(
    context: &Context,
    (key, entry): (&ObjectKey, &PolicyEntry),
    old: &Findings,
    new: (&Findings, &SecretRotationPolicyStatus),
) -> Result<(), Error> {
    let notes = events::events_between((old, entry.status.as_ref()), new);
    if notes.is_empty() {
        return Ok(());
    }
    context.claim()?;
    for one in &notes {
        tracing::info!(policy = %key, reason = ?one.reason, note = one.note, "policy condition changed");
    }
    context.recorder.publish(&entry.reference, &notes).await;
    Ok(())
}

fn conditions(
    status: &SecretRotationPolicyStatus,
) -> impl Iterator<Item = (&'static str, ConditionStatus)> {
    let kinds = [
        ConditionType::Ready,
        ConditionType::Healthy,
        ConditionType::Stalled,
    ];
    kinds.into_iter().map(|kind| {
        let found = find(&status.conditions, kind);
        let status = match found.and_then(|found| ConditionStatus::parse(&found.status)) {
            Some(status) => status,
            // The condition is only there while it is True.
            None if kind == ConditionType::Stalled && found.is_none() => ConditionStatus::False,
            None => ConditionStatus::Unknown,
        };
        (kind.name(), status)
    })
}
