//! The report of a pass over a policy: everything that it says, made by pure functions, and the only place that says it.

use std::sync::Arc;
use std::time::Duration;

use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt as _};
use secret_rotation_api::Readiness;
use secret_rotation_api::conditions::{ConditionStatus, ConditionType, find};
use secret_rotation_api::policy::{PassReport, SecretRotationPolicy, SecretRotationPolicyStatus};
use secret_rotation_core::names::ObjectKey;
use secret_rotation_core::policy::Detection;
use secret_rotation_core::time::{AwsTime, ServerTime};

use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::events::EventNote;
use crate::kubernetes::status::{self, WriteMethod};
use crate::metrics::{PolicySample, Recoveries};
use crate::policy::events::Findings;
use crate::policy::pass::{Evaluated, Pass};
use crate::policy::{events, preconditions, write_due};
use crate::store::PolicyEntry;
use crate::sweep;
use crate::triggers;

/// What was said about the policy before this pass.
pub(super) struct Before<'a> {
    entry: &'a PolicyEntry,
    /// The sample of the last pass of this process.
    sample: Option<Arc<PolicySample>>,
    /// The findings that events reported last.
    findings: Arc<Findings>,
}

/// What this process knows besides the pass.
pub(super) struct Surroundings<'a> {
    /// The time of the API server.
    now: ServerTime,
    /// The token of the requested check that this pass answers.
    handled: Option<String>,
    /// The maximum number of secrets with series of their own.
    max_secrets: usize,
    /// Returns whether a secret, by region and name, needs no attention.
    is_healthy: &'a dyn Fn(&str, &str) -> bool,
}

/// Everything that one pass says.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) status: SecretRotationPolicyStatus,
    /// Whether the status must be written.
    pub(super) is_due: bool,
    pub(super) sample: PolicySample,
    /// How long each secret took that has recovered.
    pub(super) recovered: Vec<Duration>,
    pub(super) events: Vec<EventNote>,
    /// The findings, if the pass evaluated the secrets.
    pub(super) findings: Option<Findings>,
    pub(super) wake: Wake,
}

/// Who must run again because of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wake {
    /// The operations of the policy: whether they may start has changed.
    pub(super) operations: bool,
    /// The policy: the new count of attempts may allow what was blocked before.
    pub(super) policy: bool,
    /// The time until the next pass if nothing happens; `None` = only when something happens.
    pub(super) after: Option<Duration>,
}

impl Report {
    /// Builds the report of a pass.
    pub(super) fn of(pass: &Pass<'_>, before: &Before<'_>, around: &Surroundings<'_>) -> Self {
        match pass {
            Pass::Unevaluated { policy, readiness } => {
                let status = status_after(before, pass, readiness, around);
                let sample = policy
                    .map(PolicySample::of)
                    .unwrap_or_default()
                    .suspended_by(readiness)
                    .with_conditions(conditions(&status));
                // The findings stay as they were. After a restart the metrics start from the status, so that an AWS
                // outage does not resolve an alert.
                let sample = match (&before.sample, &before.entry.status) {
                    (Some(earlier), _) => sample.with_findings_of(earlier),
                    (None, Some(status)) => sample.with_status(status),
                    (None, None) => sample,
                };
                let known = Findings::of_status(before.entry.status.as_ref());
                Self {
                    events: events_between(before, &known, &known, &status),
                    is_due: write_due::policy_is_due(before.entry.status.as_ref(), &status),
                    status,
                    sample,
                    recovered: Vec::new(),
                    findings: None,
                    wake: Wake::default(),
                }
            }
            Pass::Evaluated(evaluated) => Self::of_evaluated(pass, evaluated, before, around),
        }
    }

    fn of_evaluated(
        pass: &Pass<'_>,
        evaluated: &Evaluated,
        before: &Before<'_>,
        around: &Surroundings<'_>,
    ) -> Self {
        let Evaluated {
            bound_policy,
            view,
            survey,
            plan,
            ..
        } = evaluated;
        let readiness = readiness(evaluated, survey.time);
        let status = status_after(before, pass, &readiness, around);
        let detection = &bound_policy.policy.detection;
        let (recoveries, recovered) =
            recoveries_before(before, detection).after(survey, detection, around.is_healthy);
        let sample = PolicySample::of(&bound_policy.policy)
            .not_more_often_than(bound_policy.profile.min_check_interval)
            .with_conditions(conditions(&status))
            .with_survey(survey, plan, around.max_secrets)
            .with_regions(
                &bound_policy.policy.uid,
                sweep::profile_regions(bound_policy),
            )
            .with_operations(&evaluated.operations, bound_policy)
            .with_recoveries(recoveries);
        let findings = Findings::of_pass(survey, plan).with_unseen_of(&before.findings, &status);
        let old = before.entry.status.as_ref();
        let is_blink = view.is_blinking && write_due::is_blink(old, &status);
        Self {
            events: events_between(before, &before.findings, &findings, &status),
            is_due: write_due::policy_is_due(old, &status) && !is_blink,
            status,
            sample,
            recovered,
            findings: Some(findings),
            wake: Wake {
                operations: evaluated.has_moved,
                policy: before.entry.retry.is_some(),
                after: Some(evaluated.requeue_after()),
            },
        }
    }
}

/// Builds the status after a pass.
fn status_after(
    before: &Before<'_>,
    pass: &Pass<'_>,
    readiness: &Readiness,
    around: &Surroundings<'_>,
) -> SecretRotationPolicyStatus {
    let evaluated = match pass {
        Pass::Evaluated(evaluated) => Some(evaluated),
        Pass::Unevaluated { .. } => None,
    };
    let retry = before.entry.retry.as_deref();
    let pass = PassReport {
        generation: before.entry.generation,
        readiness,
        seen: evaluated.map(|evaluated| (&evaluated.survey, &evaluated.plan)),
        handled_request: around.handled.as_deref(),
        retry_request: retry.filter(|_| evaluated.is_some()),
        now: around.now,
    };
    SecretRotationPolicyStatus::after(before.entry.status.as_ref(), &pass)
}

fn events_between(
    before: &Before<'_>,
    old: &Findings,
    new: &Findings,
    status: &SecretRotationPolicyStatus,
) -> Vec<EventNote> {
    events::events_between((old, before.entry.status.as_ref()), (new, status))
}

/// Returns the secrets that had not recovered at the last pass. After a restart the status shows which are stuck.
fn recoveries_before(before: &Before<'_>, detection: &Detection) -> Recoveries {
    if let Some(earlier) = &before.sample {
        return earlier.recoveries().clone();
    }
    let status = before.entry.status.as_ref();
    status.map_or_else(Recoveries::default, |status| {
        Recoveries::of_status(status, detection)
    })
}

fn readiness(evaluated: &Evaluated, now: AwsTime) -> Readiness {
    let Evaluated {
        bound_policy, view, ..
    } = evaluated;
    let waiting = view.is_waiting.then_some(Readiness::Progressing);
    preconditions::readiness_of_gaps(&view.gaps)
        .or(waiting)
        .or_else(|| preconditions::shortfall(bound_policy))
        .or_else(|| invalid_windows(evaluated, now))
        .unwrap_or(Readiness::Succeeded)
}

/// Returns the problem with maintenance windows in which no operation can ever start.
fn invalid_windows(evaluated: &Evaluated, now: AwsTime) -> Option<Readiness> {
    let windows = &evaluated.bound_policy.policy.remediation.windows;
    let problem = windows.problem(now)?;
    Some(Readiness::InvalidSchedule(problem.to_owned()))
}

/// Says what a pass has to say. Returns the time until the next pass.
///
/// # Errors
///
/// Returns an error if the lease is not held, or if a request to the API server fails.
pub(super) async fn report(
    context: &Arc<Context>,
    key: &ObjectKey,
    entry: &PolicyEntry,
    pass: &Pass<'_>,
) -> Result<Option<Duration>, Error> {
    let report = built(context, key, entry, pass)?;
    // Order matters: whether the operations may start is known now, and no later pass reports the change again. The
    // policy itself is queued only after its status is written: a write that fails must wait for its next try.
    if report.wake.operations {
        triggers::operations_of_policy(context, key);
    }
    context.metrics.recovered(key, &report.recovered);
    record_metrics(context, key, report.sample);
    if report.is_due {
        write(context, key, entry, &report.status).await?;
    }
    // Events follow the status: if it could not be written, the next pass would publish the same events again.
    publish_events(context, key, entry, &report.events).await?;
    if let (Pass::Evaluated(evaluated), Some(findings)) = (pass, report.findings) {
        let uid = &evaluated.bound_policy.policy.uid;
        context.written_statuses.record(uid, findings);
    }
    if report.wake.policy {
        context.queues.policies.push(key.clone(), clock::now());
    }
    Ok(report.wake.after)
}

/// Builds the report with what this process knows.
fn built(
    context: &Context,
    key: &ObjectKey,
    entry: &PolicyEntry,
    pass: &Pass<'_>,
) -> Result<Report, Error> {
    let evaluated = match pass {
        Pass::Evaluated(evaluated) => Some(evaluated),
        Pass::Unevaluated { .. } => None,
    };
    let uid = evaluated.map(|evaluated| &evaluated.bound_policy.policy.uid);
    let reports = context.metrics.reports();
    let of_status = || Arc::new(Findings::of_status(entry.status.as_ref()));
    let before = Before {
        entry,
        sample: reports.last(key),
        findings: uid
            .and_then(|uid| context.written_statuses.last(uid))
            .unwrap_or_else(of_status),
    };
    let known = context.sweeps.known();
    let is_healthy = |region: &str, name: &str| {
        evaluated.is_some_and(|evaluated| {
            let policy = &evaluated.bound_policy.policy.uid;
            known.is_unremarkable(policy, &evaluated.view.seen, (region, name))
        })
    };
    let around = Surroundings {
        now: context.server_time()?,
        handled: evaluated.and_then(|evaluated| {
            let policy = &evaluated.bound_policy.policy.uid;
            context.sweeps.handled_token(policy, &evaluated.view)
        }),
        max_secrets: reports.max_secrets(),
        is_healthy: &is_healthy,
    };
    Ok(Report::of(pass, &before, &around))
}

/// Records the metrics of a pass. A policy that was deleted during the pass must not appear in metrics again, so its
/// existence is checked after the write.
fn record_metrics(context: &Context, key: &ObjectKey, report: PolicySample) {
    context.metrics.reports().set(key, report);
    if context.store.policy(key).is_none() {
        context.metrics.forget_policy(key);
    }
}

/// Writes the status. The write is refused with a conflict if the object has changed since it was read.
/// That change has already queued the policy again.
async fn write(
    context: &Arc<Context>,
    key: &ObjectKey,
    entry: &PolicyEntry,
    new: &SecretRotationPolicyStatus,
) -> Result<(), Error> {
    let old = entry.status.as_ref();
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

/// Publishes events.
async fn publish_events(
    context: &Context,
    key: &ObjectKey,
    entry: &PolicyEntry,
    notes: &[EventNote],
) -> Result<(), Error> {
    if notes.is_empty() {
        return Ok(());
    }
    context.claim()?;
    for one in notes {
        tracing::info!(policy = %key, reason = ?one.reason, note = one.note, "policy condition changed");
    }
    context.recorder.publish(&entry.reference, notes).await;
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

#[cfg(test)]
mod tests {
    use fixtures::{merged, now, observation, policy_resource, server, stored, stuck};
    use kube::runtime::watcher::Event;
    use secret_rotation_api::RETRY_REQUESTED_ANNOTATION;
    use secret_rotation_core::operation_index::OperationIndex;
    use secret_rotation_core::plan::Plan;
    use secret_rotation_core::secret::Secret;
    use serde_json::{Value, json};

    use super::*;
    use crate::events::Reason;
    use crate::store::Store;
    use crate::sweep::SweepView;

    #[test]
    fn what_is_new_is_reported_once() {
        let first = report_of(&json!({}), &evaluated(&[stuck("prod/db")]));
        assert_eq!(first.status.findings.len(), 1);
        assert!(first.is_due && reasons(&first).contains(&Reason::RotationStuck));
        let written = json!({"status": first.status});
        let again = report_of(&written, &evaluated(&[stuck("prod/db")]));
        assert_eq!((again.is_due, reasons(&again)), (false, vec![]));
        let recovered = report_of(&written, &evaluated(&[fixtures::secret("prod/db")]));
        assert!(recovered.is_due && reasons(&recovered) == [Reason::RotationRecovered]);
    }

    /// An outage must resolve no alert and report nothing as recovered.
    #[test]
    fn a_pass_that_evaluated_nothing_keeps_what_is_known() {
        let before = report_of(&json!({}), &evaluated(&[stuck("prod/db")]));
        let policy = fixtures::policy("payments");
        let pass = Pass::Unevaluated {
            policy: Some(&policy),
            readiness: Readiness::Progressing,
        };
        let report = report_of(&json!({"status": before.status}), &pass);
        assert_eq!(report.status.findings, before.status.findings);
        assert_eq!(report.status.summary, before.status.summary);
        assert!(!reasons(&report).contains(&Reason::RotationRecovered));
        assert_eq!(report.wake, Wake::default());
        assert!(
            report.findings.is_none(),
            "the next pass compares with the last result"
        );
    }

    #[test]
    fn a_first_incomplete_read_is_not_worth_a_write() {
        let healthy = [fixtures::secret("prod/db")];
        let before = report_of(&json!({}), &evaluated(&healthy));
        let written = json!({"status": before.status});
        let mut torn = evaluated_by(&healthy);
        let error = fixtures::aws_error(secret_rotation_core::aws_error::ErrorClass::Unreachable);
        torn.view.gaps = vec![(fixtures::region(fixtures::REGION), error)];
        torn.view.is_blinking = true;
        let blinking = report_of(&written, &Pass::Evaluated(Box::new(torn)));
        assert!(!blinking.is_due);
        let mut torn_again = evaluated_by(&healthy);
        let error = fixtures::aws_error(secret_rotation_core::aws_error::ErrorClass::Unreachable);
        torn_again.view.gaps = vec![(fixtures::region(fixtures::REGION), error)];
        assert!(report_of(&written, &Pass::Evaluated(Box::new(torn_again))).is_due);
    }

    #[test]
    fn a_pass_wakes_those_for_whom_something_has_changed() {
        let quiet = report_of(&json!({}), &evaluated(&[]));
        assert_eq!((quiet.wake.operations, quiet.wake.policy), (false, false));
        assert!(quiet.wake.after.is_some());
        let asked = json!({"metadata": {"annotations": {RETRY_REQUESTED_ANNOTATION: "1"}}});
        let mut moved = evaluated_by(&[]);
        moved.has_moved = true;
        let woken = report_of(&asked, &Pass::Evaluated(Box::new(moved)));
        assert_eq!((woken.wake.operations, woken.wake.policy), (true, true));
    }

    fn evaluated(secrets: &[Secret]) -> Pass<'static> {
        Pass::Evaluated(Box::new(evaluated_by(secrets)))
    }

    fn evaluated_by(secrets: &[Secret]) -> Evaluated {
        let bound_policy = fixtures::bound_policy(fixtures::policy("payments"));
        let seen = secrets
            .iter()
            .map(|secret| observation(secret.clone(), None));
        Evaluated {
            survey: fixtures::survey(&bound_policy, seen.collect()),
            bound_policy: Arc::new(bound_policy),
            view: SweepView::default(),
            operations: OperationIndex::default(),
            plan: Plan::default(),
            has_moved: false,
            now: now(),
        }
    }

    /// Builds the report about a policy that is stored with these changes.
    fn report_of(changes: &Value, pass: &Pass<'_>) -> Report {
        let object = merged(
            stored(policy_resource("prod", "payments", "prod/")),
            changes,
        );
        let store = Store::new(1);
        let object = DeserializeGuard(Ok(serde_json::from_value(object).expect("a policy")));
        store.apply_policy(0, Event::Apply(object));
        let entry = store
            .policy(&fixtures::key("prod", "payments"))
            .expect("it is stored");
        let before = Before {
            entry: &entry,
            sample: None,
            findings: Arc::new(Findings::of_status(entry.status.as_ref())),
        };
        let around = Surroundings {
            now: server(now()),
            handled: None,
            max_secrets: 10,
            is_healthy: &|_, _| true,
        };
        Report::of(pass, &before, &around)
    }

    fn reasons(report: &Report) -> Vec<Reason> {
        report.events.iter().map(|event| event.reason).collect()
    }
}
