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
use secret_rotation_core::operation::Operation;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::permit::{Bounds, Pause, Permit, PermitInput, Phase, permit};
use secret_rotation_core::planner;
use secret_rotation_core::time::AwsTime;

use crate::context::Context;
use crate::error::Error;
use crate::jitter::spread;
use crate::operation::approval::consent;
use crate::operation::fetch::Fetched;
use crate::operation::report::{Report, Seen, StepEnd};

/// Maximum time between two evaluations of an operation that waits, whatever it waits for.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// Time between two evaluations of a decision that does not count yet. It counts once the admission policies are
/// correct, and no watch covers them.
const UNGUARDED_RECHECK: Duration = Duration::from_secs(45);

/// Minimum pause of an operation that waits.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The result of an evaluation.
#[derive(Debug)]
pub(super) struct Evaluated {
    /// Whether the operation may continue.
    pub permit: Permit,
    /// The time of AWS if it is known, otherwise that of the API server.
    pub now: AwsTime,
}

/// Evaluates an operation by the watches alone.
pub(super) async fn evaluate_cached(
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
pub(super) async fn evaluate(
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

/// Reports what the operation waits for, and when it is evaluated again at the latest.
pub(super) fn waiting(
    context: &Context,
    fetched: &Fetched,
    consent: Option<&Consent>,
    (pause, now): (&Pause, AwsTime),
) -> Result<StepEnd, Error> {
    let wait = Wait {
        pause: pause.until.map_or(Duration::ZERO, |until| until.since(now)),
        until: pause.until.unwrap_or(now),
        phase: pause.phase,
        message: pause.message.clone(),
    };
    let seen = Seen {
        secret: None,
        consent,
    };
    let report = Report::waiting(fetched, seen, &wait, (now, context.server_time()?));
    let again = requeue_after(context, fetched, (pause, now))?;
    Ok(report.again_after(again).into())
}

/// Returns the time until a waiting operation is evaluated again at the latest. Its deadline ends it whatever it
/// waits for.
fn requeue_after(
    context: &Context,
    fetched: &Fetched,
    (pause, now): (&Pause, AwsTime),
) -> Result<Option<Duration>, Error> {
    let operation = &fetched.operation;
    let net = if pause.phase == Phase::AwaitingApproval && operation.decision.is_some() {
        UNGUARDED_RECHECK
    } else {
        spread(LONGEST_PAUSE, operation.uid.as_str())
    };
    let due = pause.until.map(|until| until.since(now));
    let pause = due.map_or(net, |due| due.min(net)).max(SHORTEST_PAUSE);
    limit_to_deadline(context, fetched, pause).map(Some)
}

/// Shortens a pause to the time until the deadline, which ends an operation that has not acted yet. An operation that
/// still waits after its deadline, because its pin cannot be removed yet, keeps its pause.
pub(super) fn limit_to_deadline(
    context: &Context,
    fetched: &Fetched,
    pause: Duration,
) -> Result<Duration, Error> {
    let operation = &fetched.operation;
    if operation.has_acted() {
        return Ok(pause);
    }
    let deadline = operation.expires().since(context.server_time()?);
    if deadline.is_zero() {
        return Ok(pause);
    }
    Ok(pause.min(deadline.max(SHORTEST_PAUSE)))
}

/// Returns how long a pin must still settle, if the status reports that phase. If the operation is woken meanwhile,
/// AWS is not asked. The pause is limited like every other, so that a clock that jumps is noticed.
pub(super) fn settle_time_left(fetched: &Fetched, now: AwsTime) -> Option<Duration> {
    let is_reported = fetched.phase() == Some(Phase::Settling);
    let settled_at = fetched.operation.settles_at().filter(|_| is_reported)?;
    let net = spread(LONGEST_PAUSE, fetched.operation.uid.as_str());
    (now < settled_at).then(|| settled_at.since(now).clamp(SHORTEST_PAUSE, net))
}

/// Reports that a person must decide, and whether a decision would count. The latter is checked only from time to
/// time.
pub(super) async fn awaiting_decision(
    context: &Context,
    fetched: &Fetched,
    bound_policy: &BoundPolicy,
    (pause, now): (&Pause, AwsTime),
) -> Result<StepEnd, Error> {
    let key = &fetched.operation.key;
    let is_reported = fetched.phase() == Some(pause.phase);
    if is_reported && !context.look_failures.is_decision_check_due(key) {
        let again = requeue_after(context, fetched, (pause, now))?;
        return Ok(StepEnd::Quiet(again));
    }
    let agreed = consent(context, &fetched.operation, bound_policy).await?;
    context.look_failures.record_decision_check(key);
    let message = match &agreed {
        Consent::Awaited { message } => message.clone(),
        Consent::NotNeeded | Consent::Given { .. } | Consent::Refused { .. } => {
            pause.message.clone()
        }
    };
    let pause = Pause {
        message,
        ..pause.clone()
    };
    waiting(context, fetched, Some(&agreed), (&pause, now))
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
    use secret_rotation_core::time::AwsTime;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing;

    const PINNED: &str = "2026-11-23T10:00:00Z";

    #[tokio::test(start_paused = true)]
    async fn the_deadline_queues_an_operation_whatever_it_waits_for() {
        let context = testing::context();
        for _ in 0..2 {
            context
                .server_clock
                .observe("Mon, 23 Nov 2026 10:00:00 GMT");
        }
        let back = |fetched: &Fetched, phase, until: Option<u64>| {
            let pause = Pause {
                phase,
                message: String::new(),
                until: until.map(|seconds| at(PINNED).plus(Duration::from_secs(seconds))),
            };
            requeue_after(&context, fetched, (&pause, at(PINNED)))
        };
        let fresh = Fetched::stored(&json!({"spec": {"deadline": "2h"}}));
        let net = spread(LONGEST_PAUSE, "uid-waits");
        assert_eq!(back(&fresh, Phase::Queued, None).ok(), Some(Some(net)));
        let late = Fetched::stored(&json!({"spec": {"deadline": "61m"}}));
        let minute = Some(Duration::from_mins(1));
        assert_eq!(
            back(&late, Phase::AwaitingApproval, None).ok(),
            Some(minute)
        );
        assert_eq!(
            back(&late, Phase::BackingOff, Some(7)).ok(),
            Some(Some(Duration::from_secs(7)))
        );
        let over = Fetched::stored(&json!({"spec": {"deadline": "30m"}}));
        assert_eq!(back(&over, Phase::Queued, None).ok(), Some(Some(net)));
        let acted = Fetched::stored(
            &json!({"spec": {"deadline": "30m"}, "status": {"steps": [step("Clear")]}}),
        );
        assert_eq!(
            back(&acted, Phase::Suspended, None).ok(),
            Some(Some(net)),
            "no deadline any more"
        );
        let decision =
            json!({"spec": {"deadline": "2h", "decision": {"verdict": "Approve", "by": "bob"}}});
        let short = Duration::from_millis(250);
        let turn = |fetched: &Fetched, wait| limit_to_deadline(&context, fetched, wait).ok();
        assert_eq!(turn(&late, Duration::from_mins(2)), minute);
        assert_eq!(turn(&over, short), Some(short));
        let unguarded = back(&Fetched::stored(&decision), Phase::AwaitingApproval, None);
        assert_eq!(
            unguarded.ok(),
            Some(Some(UNGUARDED_RECHECK)),
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
