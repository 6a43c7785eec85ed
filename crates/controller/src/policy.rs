//! The policy reconciler. It is level-triggered and never writes to AWS.

mod apply;
mod events;
pub(crate) mod preconditions;
mod status;
pub(crate) mod write_due;
pub(crate) mod written_status;

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_api::Readiness;
use secret_rotation_core::classify::{ClassifyInput, classify, previous_findings};
use secret_rotation_core::names::ObjectKey;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::Plan;
use secret_rotation_core::planner::plan;
use secret_rotation_core::policy::Policy;
use secret_rotation_core::survey::Survey;
use secret_rotation_core::time::AwsTime;

use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::event_handlers;
use crate::store::PolicyEntry;
use crate::sweep::{self, SweepView};

/// Maximum time between two passes over a policy, so that its status shows the time of its last check.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

/// Minimum time before a pass that only the time triggers.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Evaluates one policy: parses it, takes the inventory, makes the survey and the plan, creates operations, and
/// publishes the result. Returns the time until the next pass.
///
/// # Errors
///
/// Returns an error if the lease is not held, or if a request to the API server fails.
pub(crate) async fn reconcile(
    context: Arc<Context>,
    key: ObjectKey,
) -> Result<Option<Duration>, Error> {
    let Some(entry) = context.store.policy(&key) else {
        return Ok(None);
    };
    let (policy, remembered) = match &entry.core {
        Ok(parsed) => parsed,
        Err(why) => {
            return status::publish_unevaluated(
                &context,
                &key,
                &entry,
                None,
                Readiness::InvalidSpec(why.clone()),
            )
            .await;
        }
    };
    let bound_policy = match bound_policy(&context, policy) {
        Ok(bound_policy) => bound_policy,
        Err(readiness) => {
            return status::publish_unevaluated(&context, &key, &entry, Some(policy), readiness)
                .await;
        }
    };
    let view = inventory(&context, &entry, &bound_policy);
    if context
        .sweeps
        .foreign_account(&bound_policy.profile)
        .is_some()
    {
        let readiness = Readiness::ProfileNotReady(policy.profile.clone());
        return status::publish_unevaluated(&context, &key, &entry, Some(policy), readiness).await;
    }
    let (Some(now), false) = (view.now, view.inventories.is_empty()) else {
        return status::publish_unevaluated(&context, &key, &entry, Some(policy), not_seen(&view))
            .await;
    };
    let term = context.claim()?.term;
    let snapshot = context.store.snapshot();
    let survey = survey(
        &bound_policy,
        &view,
        ClassifyInput {
            previous: &context.evaluations.previous_findings(
                &policy.uid,
                remembered,
                &view.unsettled,
            ),
            operations: &snapshot.operations,
            stability: &context.stability.lock(),
        },
    );
    let plan = context.with_plan_input(&bound_policy, now, |input| plan(&survey, input));
    let moved =
        context
            .evaluations
            .record(&policy.uid, term, &plan.regions, previous_findings(&survey));
    if moved {
        event_handlers::queue_operations_of(&context, &key);
    }
    let acted = apply::apply(&context, &entry, policy, &plan).await;
    status::publish_evaluated(
        &context,
        &key,
        &entry,
        &bound_policy,
        &view,
        (&survey, &plan),
        &snapshot.operations,
    )
    .await?;
    acted.map(|()| Some(requeue_after(&plan, now)))
}

/// Returns the policy with its tenant and profile, or why its secrets must not be looked at.
fn bound_policy(context: &Context, policy: &Policy) -> Result<BoundPolicy, Readiness> {
    let profile = context.store.profile(&policy.profile);
    let state = match profile.as_ref().map(|profile| &profile.core) {
        None => preconditions::ProfileState::Missing,
        Some(Err(_)) => preconditions::ProfileState::Invalid,
        Some(Ok(profile)) => preconditions::ProfileState::Valid(profile),
    };
    preconditions::bound_policy(policy, state, context.store.tenant(&policy.key.namespace))
}

/// Returns what the sweeps saw last. Requests what is still needed: a selection that was never read is read
/// immediately, and a requested check at its earliest time. If the interval has changed, the sweeper computes its
/// next time again.
fn inventory(context: &Context, entry: &PolicyEntry, bound_policy: &BoundPolicy) -> SweepView {
    let (profile_regions, policy) = (sweep::profile_regions(bound_policy), &bound_policy.policy);
    let handled = entry
        .status
        .as_ref()
        .and_then(|status| status.last_handled_request.as_deref());
    let token = entry
        .requested
        .as_deref()
        .filter(|token| Some(*token) != handled);
    let (interval, now) = (bound_policy.profile.min_check_interval, clock::now());
    let asked = token.and_then(|token| context.sweeps.request_check(&policy.uid, token, interval));
    let selection = preconditions::selection(bound_policy);
    for profile_region in &profile_regions {
        if let Some(at) = asked {
            context.sweeps.request_read(profile_region, &policy.uid, at);
        }
        let unserved = !context
            .sweeps
            .covers(profile_region, bound_policy, &selection);
        if unserved {
            context
                .sweeps
                .request_first_read(profile_region, &policy.uid, now);
        }
        let wanted = unserved.then_some(now).or(asked);
        let repaced = (!context
            .sweeps
            .has_current_interval(profile_region, bound_policy))
        .then_some(now);
        if let Some(at) = wanted.or(repaced) {
            context.queues.sweeps.push(profile_region.clone(), at);
        }
    }
    context
        .sweeps
        .view(&policy.uid, &selection, &profile_regions)
}

fn not_seen(view: &SweepView) -> Readiness {
    Readiness::in_regions(&view.gaps).unwrap_or(Readiness::Progressing)
}

fn survey(bound_policy: &BoundPolicy, view: &SweepView, known: ClassifyInput<'_>) -> Survey {
    let inventories: Vec<_> = view.inventories.iter().map(AsRef::as_ref).collect();
    classify(
        &bound_policy.tenant,
        &bound_policy.profile,
        &bound_policy.policy,
        &inventories,
        known,
    )
}

fn requeue_after(plan: &Plan, now: AwsTime) -> Duration {
    let until = plan
        .wake_at
        .map_or(LONGEST_PAUSE, |wake_at| clock::time_until(wake_at, now));
    until.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}
