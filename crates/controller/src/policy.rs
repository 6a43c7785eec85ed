//! The policy reconciler. It is level-triggered and never writes to AWS.

mod apply;
mod events;
mod pass;
pub(crate) mod preconditions;
mod report;
pub(crate) mod write_due;
pub(crate) mod written_status;

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_api::Readiness;
use secret_rotation_core::names::ObjectKey;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::planner::plan;
use secret_rotation_core::policy::Policy;
use secret_rotation_core::survey::PreviousFindings;
use secret_rotation_core::time::AwsTime;

use self::pass::{Evaluated, Pass};
use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::store::PolicyEntry;
use crate::sweep::{self, SweepView};

/// A policy whose secrets can be evaluated.
struct Ready<'a> {
    bound_policy: Arc<BoundPolicy>,
    /// The findings in its status.
    stored: &'a PreviousFindings,
    view: SweepView,
    now: AwsTime,
}

/// Evaluates one policy. Returns the time until the next pass.
///
/// | Stage | Function | Reads or writes |
/// |---|---|---|
/// | fetch | the store | nothing |
/// | precondition | [`precondition`] | nothing; it requests sweeps |
/// | plan | [`evaluate`] | nothing |
/// | apply | [`apply::apply`] | creates and ends operations |
/// | report | [`report::report`] | status, events, metrics and wake-ups |
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
    let (pass, applied) = match precondition(&context, &entry) {
        Ok(ready) => {
            let evaluated = evaluate(&context, ready)?;
            let Evaluated {
                bound_policy, plan, ..
            } = &evaluated;
            let applied = apply::apply(&context, &entry, &bound_policy.policy, plan).await;
            (Pass::Evaluated(Box::new(evaluated)), applied)
        }
        Err(unevaluated) => (unevaluated, Ok(())),
    };
    let next = report::report(&context, &key, &entry, &pass).await?;
    applied.map(|()| next)
}

/// Returns the policy with what the sweeps saw for it, or why its secrets cannot be evaluated.
fn precondition<'a>(context: &Context, entry: &'a PolicyEntry) -> Result<Ready<'a>, Pass<'a>> {
    let (policy, stored) = entry.core.as_ref().map_err(|why| Pass::Unevaluated {
        policy: None,
        readiness: Readiness::InvalidSpec(why.clone()),
    })?;
    let unevaluated = |readiness| Pass::Unevaluated {
        policy: Some(policy),
        readiness,
    };
    let bound_policy = bound_policy(context, policy).map_err(unevaluated)?;
    let view = seen(context, entry, &bound_policy);
    let foreign = context.sweeps.foreign_account(&bound_policy.profile);
    match (foreign, view.now.filter(|_| !view.seen.is_empty())) {
        (Some(_), _) => Err(unevaluated(Readiness::ProfileNotReady(
            policy.profile.clone(),
        ))),
        (None, None) => Err(unevaluated(not_seen(&view))),
        (None, Some(now)) => Ok(Ready {
            bound_policy: Arc::new(bound_policy),
            stored,
            view,
            now,
        }),
    }
}

/// Surveys the secrets and plans what to do about them.
fn evaluate(context: &Context, ready: Ready<'_>) -> Result<Evaluated, Error> {
    let Ready {
        bound_policy,
        stored,
        view,
        now,
    } = ready;
    let term = context.claim()?.term;
    let operations = context.store.snapshot().operations;
    let uid = &bound_policy.policy.uid;
    let previous = context
        .evaluations
        .previous_findings(uid, stored, &view.unsettled);
    let survey = context.sweeps.survey(
        &bound_policy,
        &view,
        (stored, &previous),
        (&operations, &context.stability),
    );
    let plan = context.with_plan_input(&bound_policy, now, |input| plan(&survey, input));
    let has_moved = context.evaluations.record(uid, term, &plan, &survey);
    Ok(Evaluated {
        bound_policy,
        view,
        operations,
        survey,
        plan,
        has_moved,
        now,
    })
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
fn seen(context: &Context, entry: &PolicyEntry, bound_policy: &BoundPolicy) -> SweepView {
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
