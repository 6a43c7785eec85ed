//! Whether an operation may take a step, according to Kubernetes objects. The watches are asked before anything is
//! read, and quorum reads before AWS is asked.
//!
//! Waiting is free: an operation that waits makes no call to AWS, and calls the API server only to write what has
//! changed. It continues when what it waits for happens: a change of an object, the end of another operation, a new
//! evaluation of its policy, or a point in time.

use std::time::Duration;

use secret_rotation_core::advance::Wait;
use secret_rotation_core::authorise::authorise_by_name;
use secret_rotation_core::consent::Consent;
use secret_rotation_core::history::History;
use secret_rotation_core::names::Arn;
use secret_rotation_core::operation::{Operation, Outcome};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::permit::{Bounds, Pause, Permit, PermitInput, Phase, permit};
use secret_rotation_core::planner;
use secret_rotation_core::time::{AwsTime, ServerTime};

use crate::context::Context;
use crate::error::Error;
use crate::jitter::spread;
use crate::operation::approval::consent;
use crate::operation::fetched::{self, Fetched, SHORTEST_PAUSE};
use crate::operation::reservation::{self, ReservedStep};
use crate::operation::step_end::{Happening, StepEnd, Stop, Waiting};
use crate::store::OperationEntry;

/// Maximum time between two evaluations of an operation that waits, whatever it waits for.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// Time between two evaluations of a decision that does not count yet. It counts once the admission policies are
/// correct, and no watch covers them.
const UNGUARDED_RECHECK: Duration = Duration::from_secs(45);

/// The result of an evaluation.
#[derive(Debug)]
struct Evaluated {
    /// Whether the operation may continue.
    permit: Permit,
    /// The time of AWS if it is known, otherwise that of the API server.
    now: AwsTime,
}

/// Asks the watches alone, and reserves the tokens of the step. An operation that seems to have ended, or that cannot
/// be parsed, is read again without tokens: it must not call AWS.
///
/// # Errors
///
/// Ends the step if the operation waits. It then makes no request. Fails if something is not known yet.
pub(super) async fn admit(
    context: &Context,
    entry: &OperationEntry,
    term: u64,
) -> Result<Option<ReservedStep>, Stop> {
    let Some(fetched) = Fetched::cached(entry) else {
        return Ok(None);
    };
    let Some(bound_policy) = fetched::cached_bounds(context, &fetched) else {
        return Ok(None);
    };
    let Evaluated { permit, now } = evaluate_cached(context, &fetched, &bound_policy, term).await?;
    match permit {
        Permit::End(_) => return Ok(None),
        // A region that does not answer must not keep a finished operation forever.
        Permit::EndAfterUnpin(_) if context.look_failures.is_overdue(&fetched.operation.key) => {
            return Ok(None);
        }
        Permit::Wait(pause) if pause.phase == Phase::AwaitingApproval => {
            let waits = awaiting_decision(context, &fetched, &bound_policy, (pause, now)).await?;
            return Err(waits.into());
        }
        Permit::Wait(pause) => return Err(waiting(context, &fetched, None, (pause, now))?.into()),
        Permit::Go => {
            if let Some(left) = settle_time_left(&fetched, now) {
                let again = fetched.limit_to_deadline(left, context.server_time()?);
                return Err(StepEnd::again_after(again).into());
            }
        }
        Permit::EndAfterUnpin(_) => {}
    }
    let profile = &bound_policy.profile;
    let reserved = reservation::reserve(context, &fetched, profile, now).await?;
    Ok(Some(reserved))
}

/// Asks of quorum reads what [`admit`] asked of the watches, because the watches may lag.
///
/// # Errors
///
/// Ends the step if the operation ends or waits: it needs no look. Fails if something is not known yet.
pub(super) async fn confirm(
    context: &Context,
    fetched: &Fetched,
    (bound_policy, consent): (&BoundPolicy, &Consent),
    term: u64,
) -> Result<(), Stop> {
    let Evaluated { permit, now } = evaluate(context, fetched, bound_policy, consent, term).await?;
    let key = &fetched.operation.key;
    let outcome = match permit {
        Permit::End(outcome) => outcome,
        Permit::EndAfterUnpin(outcome) if context.look_failures.is_overdue(key) => {
            with_pin_left(outcome)
        }
        Permit::Go | Permit::EndAfterUnpin(_) => return Ok(()),
        Permit::Wait(pause) => {
            let consent = Some(consent.clone());
            return Err(waiting(context, fetched, consent, (pause, now))?.into());
        }
    };
    let ended = Happening::Ended {
        outcome,
        look: None,
        consent: Some(consent.clone()),
    };
    Err(StepEnd::about(fetched, ended).into())
}

/// Adds to a failure that the pin could not be removed.
fn with_pin_left(outcome: Outcome) -> Outcome {
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

/// Evaluates an operation by the watches alone.
async fn evaluate_cached(
    context: &Context,
    fetched: &Fetched,
    bound_policy: &BoundPolicy,
    term: u64,
) -> Result<Evaluated, Error> {
    let BoundPolicy {
        policy, profile, ..
    } = bound_policy;
    let agreed =
        secret_rotation_core::consent::consent_if_enforced(&fetched.operation, policy, profile);
    evaluate(context, fetched, bound_policy, &agreed, term).await
}

/// Evaluates an operation within its bounds. It makes no request to AWS or to the API server.
async fn evaluate(
    context: &Context,
    fetched: &Fetched,
    bound_policy: &BoundPolicy,
    consent: &Consent,
    term: u64,
) -> Result<Evaluated, Error> {
    let operation = &fetched.operation;
    let region = fetched.region();
    let connection = context.connections.of(&bound_policy.profile, region).await;
    let server_now = context.server_time()?;
    let now = connection.account.now();
    let now = now.unwrap_or_else(|| AwsTime::new(server_now.timestamp()));
    let BoundPolicy {
        tenant,
        profile,
        policy,
    } = bound_policy;
    let name = fetched.secret_name();
    let authority = authorise_by_name(tenant, profile, policy, (&name, region), operation.action);
    let gates = context.evaluations.region_gate(&policy.uid, term, region);
    let unknown = unknown_arn(fetched);
    let permit = context.with_plan_input(bound_policy, now, |plan_input| {
        let arn = operation.arn.as_ref();
        let function = arn.and_then(|arn| plan_input.operations.seen_function(arn));
        let gate = planner::gate(operation, function, gates.as_ref(), plan_input);
        // An operation that may not act, such as a suspended one, has no priority over others.
        let arn = arn.unwrap_or(&unknown);
        let history = History::of(arn, plan_input.operations.on_secret(arn))
            .without_idle(|other| plan_input.may_act(other));
        let input = PermitInput {
            bounds: Bounds::Within {
                policy,
                authority: authority.as_ref().copied(),
                consent,
                gate: &gate,
            },
            history: &history,
            secret: None,
            server_now,
            now,
        };
        match permit(operation, &input) {
            Permit::Go => {
                pause_for_rival(operation, &history, now).map_or(Permit::Go, Permit::Wait)
            }
            evaluated @ (Permit::End(_) | Permit::EndAfterUnpin(_) | Permit::Wait(_)) => evaluated,
        }
    });
    Ok(Evaluated { permit, now })
}

/// Returns the pause of an operation that has not begun while another one is in progress on the secret. It needs no
/// look.
fn pause_for_rival(operation: &Operation, history: &History<'_>, now: AwsTime) -> Option<Pause> {
    if operation.has_started() {
        return None;
    }
    let rival = history.rival(operation, now)?;
    Some(Pause {
        phase: Phase::Queued,
        message: format!("operation {} is in progress on this secret", rival.key),
        until: None,
    })
}

/// Reports what the operation waits for.
fn waiting(
    context: &Context,
    fetched: &Fetched,
    consent: Option<Consent>,
    (pause, now): (Pause, AwsTime),
) -> Result<StepEnd, Error> {
    let again = requeue_after(fetched, (&pause, now), context.server_time()?);
    let waiting = Waiting {
        wait: Wait {
            pause: pause.until.map_or(Duration::ZERO, |until| until.since(now)),
            until: pause.until.unwrap_or(now),
            phase: pause.phase,
            message: pause.message,
        },
        now,
        secret: None,
        consent,
        is_turn: false,
        is_deferred: false,
        again,
    };
    Ok(StepEnd::about(fetched, Happening::Waits(waiting)))
}

/// Returns the time until a waiting operation is evaluated again at the latest. Its deadline ends it whatever it
/// waits for.
fn requeue_after(
    fetched: &Fetched,
    (pause, now): (&Pause, AwsTime),
    server_now: ServerTime,
) -> Duration {
    let operation = &fetched.operation;
    let net = if pause.phase == Phase::AwaitingApproval && operation.decision.is_some() {
        UNGUARDED_RECHECK
    } else {
        spread(LONGEST_PAUSE, operation.uid.as_str())
    };
    let due = pause.until.map(|until| until.since(now));
    let pause = due.map_or(net, |due| due.min(net)).max(SHORTEST_PAUSE);
    fetched.limit_to_deadline(pause, server_now)
}

/// Returns how long a pin must still settle, if the status reports that phase. If the operation is woken meanwhile,
/// AWS is not asked. The pause is limited like every other, so that a clock that jumps is noticed.
fn settle_time_left(fetched: &Fetched, now: AwsTime) -> Option<Duration> {
    let is_reported = fetched.phase() == Some(Phase::Settling);
    let settled_at = fetched.operation.settles_at().filter(|_| is_reported)?;
    let net = spread(LONGEST_PAUSE, fetched.operation.uid.as_str());
    (now < settled_at).then(|| settled_at.since(now).clamp(SHORTEST_PAUSE, net))
}

/// Reports that a person must decide, and whether a decision would count. The latter is checked only from time to
/// time.
async fn awaiting_decision(
    context: &Context,
    fetched: &Fetched,
    bound_policy: &BoundPolicy,
    (pause, now): (Pause, AwsTime),
) -> Result<StepEnd, Error> {
    let key = &fetched.operation.key;
    let is_reported = fetched.phase() == Some(pause.phase);
    if is_reported && !context.look_failures.is_decision_check_due(key) {
        let again = requeue_after(fetched, (&pause, now), context.server_time()?);
        return Ok(StepEnd::again_after(again));
    }
    let agreed = consent(context, &fetched.operation, bound_policy).await?;
    context.look_failures.record_decision_check(key);
    let message = match &agreed {
        Consent::Awaited { message } => message.clone(),
        Consent::NotNeeded | Consent::Given { .. } | Consent::Refused { .. } => pause.message,
    };
    let pause = Pause { message, ..pause };
    waiting(context, fetched, Some(agreed), (pause, now))
}

/// Returns an ARN that no secret has. It stands for a name whose ARN is not known yet, so that its history is empty.
fn unknown_arn(fetched: &Fetched) -> Arn {
    let region = fetched.region();
    Arn::parse(format!(
        "arn:aws:secretsmanager:{region}:000000000000:secret:unknown-000000"
    ))
    .expect("a region makes an ARN")
}

#[cfg(test)]
mod tests {
    use fixtures::condition;
    use serde_json::{Value, json};

    use super::*;

    const PINNED: &str = "2026-11-23T10:00:00Z";

    #[test]
    fn the_deadline_queues_an_operation_whatever_it_waits_for() {
        let server_now = ServerTime::new(at(PINNED).timestamp());
        let back = |fetched: &Fetched, phase, until: Option<u64>| {
            let pause = Pause {
                phase,
                message: String::new(),
                until: until.map(|seconds| at(PINNED).plus(Duration::from_secs(seconds))),
            };
            requeue_after(fetched, (&pause, at(PINNED)), server_now)
        };
        let fresh = Fetched::stored(&json!({"spec": {"deadline": "2h"}}));
        let net = spread(LONGEST_PAUSE, "uid-waits");
        assert_eq!(back(&fresh, Phase::Queued, None), net);
        let late = Fetched::stored(&json!({"spec": {"deadline": "61m"}}));
        let minute = Duration::from_mins(1);
        assert_eq!(back(&late, Phase::AwaitingApproval, None), minute);
        let seven = Duration::from_secs(7);
        assert_eq!(back(&late, Phase::BackingOff, Some(7)), seven);
        let over = Fetched::stored(&json!({"spec": {"deadline": "30m"}}));
        assert_eq!(back(&over, Phase::Queued, None), net);
        let acted = Fetched::stored(
            &json!({"spec": {"deadline": "30m"}, "status": {"steps": [step("Clear")]}}),
        );
        assert_eq!(
            back(&acted, Phase::Suspended, None),
            net,
            "no deadline any more"
        );
        let decision =
            json!({"spec": {"deadline": "2h", "decision": {"verdict": "Approve", "by": "bob"}}});
        let short = Duration::from_millis(250);
        let turn = |fetched: &Fetched, wait| fetched.limit_to_deadline(wait, server_now);
        assert_eq!(turn(&late, Duration::from_mins(2)), minute);
        assert_eq!(turn(&over, short), short);
        let unguarded = back(&Fetched::stored(&decision), Phase::AwaitingApproval, None);
        assert_eq!(
            unguarded, UNGUARDED_RECHECK,
            "no watch covers the admission policies"
        );
    }

    #[test]
    fn an_operation_whose_pin_settles_makes_no_request_when_it_is_woken() {
        let settling = |phase: &str| {
            let complete = condition("Complete", "False", phase, "");
            Fetched::stored(&json!({
                "spec": {"confirmAfter": "5m"},
                "status": {"conditions": [complete], "steps": [step("Pin")]},
            }))
        };
        let after = |seconds| at(PINNED).plus(Duration::from_secs(seconds));
        let settled = settling("Settling");
        assert_eq!(
            settle_time_left(&settled, after(10)),
            Some(Duration::from_secs(290))
        );
        assert_eq!(
            settle_time_left(&settled, after(300)),
            None,
            "it is time to look"
        );
        let far = at(PINNED).minus(Duration::from_hours(9));
        assert_eq!(
            settle_time_left(&settled, far),
            Some(spread(LONGEST_PAUSE, "uid-waits")),
            "a clock that jumped"
        );
        assert_eq!(
            settle_time_left(&settling("Suspended"), after(10)),
            None,
            "its status reports another phase"
        );
    }

    fn step(name: &str) -> Value {
        json!({"name": name, "versionId": "p", "tries": 1, "intentTime": PINNED, "resultTime": PINNED, "result": "Applied"})
    }

    fn at(time: &str) -> AwsTime {
        AwsTime::new(time.parse().expect("a time"))
    }
}
