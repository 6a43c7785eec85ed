//! The operation reconciler: the only code that writes to AWS.
//!
//! ```text
//!  admit ──▶ fetch ──▶ look ──▶ decide ──▶ execute ──▶ publish
//!    │         │         │         │
//!    └─────────┴─────────┴─────────┴── ends here: it waits, has ended, or could not be read ──▶ publish
//! ```
//! Each stage returns what the next one needs, or how the step ends. Only `execute` writes to AWS: it journals the
//! intent, checks again that every fact holds, sends the request once, looks, and journals the result. Only `publish`
//! reports. Whatever fails in between, the step starts again with the reads. An intent that was journaled stays.

mod approval;
mod events;
mod execute;
mod fence;
mod fetch;
pub(crate) mod locks;
pub(crate) mod look_failures;
mod permit;
mod publish;
mod report;
mod reservation;
mod step_state;
mod unsupported;
mod write_due;

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_aws::Operation as Call;
use secret_rotation_core::advance::{Next, Phase, Wait};
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::consent::Consent;
use secret_rotation_core::names::{Arn, ObjectKey, Region};
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::permit::Permit;
use secret_rotation_core::secret::{Look, Seen};
use secret_rotation_core::time::AwsTime;
use tokio::time::Instant;

use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::jitter::spread;
use crate::operation::approval::consent;
use crate::operation::fetch::{Bounds, Fetched};
use crate::operation::locks::SecretGuard;
use crate::operation::report::{Ending, Report, StepEnd, Stop, with_pin_left};
use crate::operation::reservation::ReservedStep;
use crate::operation::step_state::{StepState, other_operations, present};
use crate::store::OperationEntry;

/// Maximum time between two steps of an operation, whatever core asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Minimum time between two steps of an operation.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The pause while another step is in progress on the same secret.
const BUSY: Duration = Duration::from_secs(1);

/// Start the step again with fresh reads.
const AGAIN: Duration = Duration::ZERO;

/// Takes one operation one step further. Returns the time until the next step.
///
/// The step reserves its AWS tokens before anything is read: a step that waited for tokens after its reads would act
/// on old facts.
///
/// # Errors
///
/// Returns an error if the lease is not held, if a request to the API server fails, or if the facts of the step
/// became stale.
pub(crate) async fn reconcile(
    context: Arc<Context>,
    key: ObjectKey,
) -> Result<Option<Duration>, Error> {
    let term = context.claim()?.term;
    let Some(entry) = unfinished(&context, &key) else {
        return Ok(None);
    };
    let mut reserved = None;
    let step = Box::pin(step(&context, (&key, &entry), term, &mut reserved)).await;
    let published = match step {
        Ok(end) | Err(Stop::End(end)) => publish::publish(&context, &key, end).await,
        Err(Stop::Failed(error)) => Err(error),
    };
    let published = match published {
        Err(Error::Forbidden(what)) => publish_forbidden(&context, &key, &entry, what).await,
        published => published,
    };
    if let Some(reserved) = reserved {
        reservation::queue_next(&context, reserved.reservation);
    }
    published
}

fn unfinished(context: &Context, key: &ObjectKey) -> Option<Arc<OperationEntry>> {
    let entry = context.store.operation(key)?;
    let is_finished = entry.parsed().is_some_and(Operation::is_finished);
    (!is_finished).then_some(entry)
}

/// Takes the stages of one step.
///
/// | Stage | Why it comes here |
/// |---|---|
/// | 1. Ask the watches, and reserve tokens | An operation that waits makes no request. |
/// | 2. Read the operation | The watches may lag. |
/// | 3. Lock the secret in this process | Two steps on one secret must not run at once. |
/// | 4. Read policy, profile and namespace | A tenant must not learn from AWS what exists outside its bounds. |
/// | 5. Evaluate the approval and the permit | An operation that ends or waits needs no look. |
/// | 6. Look at the secret | The tokens are reserved, and all bounds are known. |
/// | 7. Label the operation with the ARN | Other operations on the secret must find it before it acts. |
/// | 8. Read the other operations on the secret | They may have priority, or be unreadable and block the secret. |
/// | 9. Decide, and send a request | Everything that this rests on is fresh. |
///
/// Nothing is written to AWS before stage 9. Whatever fails, the next step starts again at stage 1.
async fn step(
    context: &Arc<Context>,
    (key, entry): (&ObjectKey, &OperationEntry),
    term: u64,
    reserved: &mut Option<ReservedStep>,
) -> Result<StepEnd, Stop> {
    *reserved = admit(context, entry, term).await?;
    let fetched = fetch(context, key).await?;
    let _guard = lock(context, &fetched)?;
    let bound_policy = bounds(context, &fetched).await?;
    let consent = consent(context, &fetched.operation, &bound_policy).await?;
    permitted(context, &fetched, &bound_policy, &consent, term).await?;
    let reserved = reserved_for(context, &fetched, &bound_policy, reserved).await?;
    let (look, looked) = look(context, &fetched, reserved).await?;
    let arn = identity(context, &fetched, &look).await?;
    let others = others(context, &fetched, &arn).await?;
    let mut state = StepState {
        fetched,
        bound_policy,
        term,
        look,
        looked,
        arn,
        others,
        consent,
    };
    let next = decide(context, &mut state, reserved).await?;
    Box::pin(execute(context, state, reserved, next)).await
}

/// Asks the watches alone, and reserves the tokens of the step. An operation that waits makes no call. One that seems
/// to have ended, or that cannot be parsed, is read again without tokens: it must not call AWS.
async fn admit(
    context: &Context,
    entry: &OperationEntry,
    term: u64,
) -> Result<Option<ReservedStep>, Stop> {
    let Some(fetched) = Fetched::cached(entry) else {
        return Ok(None);
    };
    let Some(bound_policy) = fetch::cached_bounds(context, &fetched) else {
        return Ok(None);
    };
    let evaluated = permit::evaluate_cached(context, &fetched, &bound_policy, term).await?;
    let now = evaluated.now;
    match &evaluated.permit {
        Permit::End(_) => Ok(None),
        // A region that does not answer must not keep a finished operation forever.
        Permit::EndAfterUnpin(_) if context.look_failures.is_overdue(&fetched.operation.key) => {
            Ok(None)
        }
        Permit::Wait(pause) if pause.phase == Phase::AwaitingApproval => {
            let waits = (pause, now);
            Err(permit::awaiting_decision(context, &fetched, &bound_policy, waits).await?)?
        }
        Permit::Wait(pause) => Err(permit::waiting(context, &fetched, None, (pause, now))?)?,
        Permit::Go if let Some(wait) = permit::settle_time_left(&fetched, now) => {
            let wait = permit::limit_to_deadline(context, &fetched, wait)?;
            Err(StepEnd::again_after(wait))?
        }
        Permit::Go | Permit::EndAfterUnpin(_) => {
            let reserved = reserve(context, &fetched, &bound_policy, now).await?;
            Ok(Some(reserved))
        }
    }
}

/// Reserves the tokens of a step, or reports that the operation waits for its turn.
async fn reserve(
    context: &Context,
    fetched: &Fetched,
    bound_policy: &BoundPolicy,
    now: AwsTime,
) -> Result<ReservedStep, Stop> {
    let profile_region = (&bound_policy.profile, fetched.region());
    let reserved = reservation::reserve(context, &fetched.operation, profile_region).await;
    let delay = match reserved {
        Ok(reserved) => return Ok(reserved),
        Err(delay) => delay,
    };
    let wait = permit::limit_to_deadline(context, fetched, delay.wait)?;
    if !write_due::is_delay_due(fetched.object.status.as_ref(), delay.wait) {
        Err(StepEnd::again_after(wait))?;
    }
    let times = (now, context.server_time()?);
    Err(Report::delayed(fetched, delay.message, times).again_after(wait))?
}

/// Reads the operation. One that is gone or has ended needs no further stage.
async fn fetch(context: &Context, key: &ObjectKey) -> Result<Fetched, Stop> {
    match Fetched::read(context, key).await {
        Ok(fetched) => Ok(fetched.ok_or(StepEnd::Quiet(None))?),
        Err(Error::Invalid(why)) => Err(StepEnd::Unparsed(why))?,
        Err(error) => Err(error)?,
    }
}

/// Locks the secret, if it is known.
fn lock(context: &Context, fetched: &Fetched) -> Result<Option<SecretGuard>, Stop> {
    let Some(arn) = &fetched.operation.arn else {
        return Ok(None);
    };
    let guard = context.locks.try_lock(arn);
    Ok(Some(guard.ok_or(StepEnd::again_after(BUSY))?))
}

/// Reads policy, profile and namespace, and ends an operation that may not ask AWS about its secret.
async fn bounds(context: &Context, fetched: &Fetched) -> Result<BoundPolicy, Stop> {
    match fetched.bounds(context).await {
        Ok(Bounds::Within(bound_policy)) => Ok(*bound_policy),
        Ok(Bounds::Ended(outcome)) => Err(ended(context, fetched, (None, None), outcome).await?)?,
        Err(Error::Invalid(why)) => {
            let message = format!("its policy or profile is invalid: {why}");
            Err(hindered(context, fetched, &message)?)?
        }
        Err(error) => Err(error)?,
    }
}

/// Asks of quorum reads what `admit` asked of the watches, because the watches may lag.
async fn permitted(
    context: &Context,
    fetched: &Fetched,
    bound_policy: &BoundPolicy,
    consent: &Consent,
    term: u64,
) -> Result<(), Stop> {
    let evaluated = permit::evaluate(context, fetched, bound_policy, consent, term).await?;
    let outcome = match evaluated.permit {
        Permit::End(outcome) => outcome,
        Permit::EndAfterUnpin(outcome)
            if context.look_failures.is_overdue(&fetched.operation.key) =>
        {
            with_pin_left(outcome)
        }
        Permit::Go | Permit::EndAfterUnpin(_) => return Ok(()),
        Permit::Wait(pause) => {
            let waits = (&pause, evaluated.now);
            Err(permit::waiting(context, fetched, Some(consent), waits)?)?
        }
    };
    Err(ended(context, fetched, (None, Some(consent)), outcome).await?)?
}

/// Returns the reserved tokens. If the watches lag, they were reserved for another account, or not at all.
async fn reserved_for<'a>(
    context: &Context,
    fetched: &Fetched,
    bound_policy: &BoundPolicy,
    reserved: &'a mut Option<ReservedStep>,
) -> Result<&'a mut ReservedStep, Stop> {
    let (profile, region) = (&bound_policy.profile, fetched.region());
    let account = context.connections.of(profile, region).await.account;
    let same = reserved
        .as_mut()
        .filter(|reserved| reserved.reservation.account().is_same(&account));
    Ok(same.ok_or(StepEnd::again_after(BUSY))?)
}

/// Looks at the secret. Returns the look, and when its first request was about to be sent. That AWS finds no secret is
/// believed only if AWS confirms it.
async fn look(
    context: &Context,
    fetched: &Fetched,
    reserved: &mut ReservedStep,
) -> Result<(Look, Instant), Stop> {
    let (looked, key) = (clock::now(), &fetched.operation.key);
    let look = reserved.reservation.look(fetched.secret_id()).await;
    reserved.record_answer(look.as_ref().err().map(|error| error.class));
    let look = match look {
        Ok(look) => look,
        Err(error) => Err(unread(context, fetched, Call::DescribeSecret, &error)?)?,
    };
    if look.secret != Seen::Absent {
        context.look_failures.record_present(key);
    } else if let Err(wait) = context.look_failures.record_absent(key) {
        let message = "AWS does not find the secret; the operation ends if AWS confirms that";
        let report = Report::hindered(fetched, message, context.server_time()?);
        Err(report.again_after(wait))?;
    }
    Ok((look, looked))
}

/// Returns the secret that an operation acts on. If other operations on it do not find this one by its label yet, the
/// step ends with the label. A name that now stands for another secret than before is left to core.
async fn identity(context: &Context, fetched: &Fetched, look: &Look) -> Result<Arn, Stop> {
    let arn = match (&fetched.operation.arn, present(look)) {
        (None, None) => {
            let outcome = Outcome::Failed {
                reason: Failure::Gone,
                message: "no secret of this name exists".to_owned(),
            };
            return Err(ended(context, fetched, (Some(look), None), outcome).await?)?;
        }
        (None, Some(secret)) => &secret.arn,
        (Some(arn), _) if fetched.is_labelled(arn) => return Ok(arn.clone()),
        (Some(arn), _) => arn,
    };
    let report = Report::identified(fetched, (arn, look), context.server_time()?);
    Err(report.again_after(AGAIN))?
}

/// Reads the other operations on the secret. One that cannot be parsed blocks the secret.
async fn others(context: &Context, fetched: &Fetched, arn: &Arn) -> Result<Vec<Operation>, Stop> {
    match other_operations(context, arn).await? {
        Ok(others) => Ok(others),
        Err(unsupported) => {
            let message = format!(
                "operation {unsupported} is in progress on this secret, and this release cannot parse it"
            );
            Err(hindered(context, fetched, &message)?)?
        }
    }
}

/// Asks core for the next step. If core needs the versions of the secret, they are listed once.
async fn decide(
    context: &Context,
    state: &mut StepState,
    reserved: &mut ReservedStep,
) -> Result<Next, Stop> {
    let server_now = context.server_time()?;
    let mut next = state.next(context, server_now);
    if next == Next::LookAtVersions {
        // The look stays the oldest fact of the step, so `looked` does not change.
        let listed = reserved
            .reservation
            .list_versions(&mut state.look, &state.arn)
            .await;
        reserved.record_answer(listed.as_ref().err().map(|error| error.class));
        if let Err(error) = listed {
            let call = Call::ListSecretVersionIds;
            Err(unread(context, &state.fetched, call, &error)?)?;
        }
        next = state.next(context, server_now);
    }
    context.look_failures.forget(&state.fetched.operation.key);
    Ok(next)
}

/// Does what core decided.
async fn execute(
    context: &Arc<Context>,
    state: StepState,
    reserved: &mut ReservedStep,
    next: Next,
) -> Result<StepEnd, Stop> {
    let operation = &state.fetched.operation;
    match next {
        Next::LookAtVersions => Err(Error::Stale("the versions were not listed"))?,
        Next::Wait(wait) => {
            let seen = report::Seen {
                secret: present(&state.look).map(|secret| &secret.name),
                consent: Some(&state.consent),
            };
            let times = (state.look.at, context.server_time()?);
            let report = Report::waiting(&state.fetched, seen, &wait, times);
            let is_deferred = is_waiting_for_its_secret(operation, &wait);
            let again = requeue_after(operation, &wait);
            Ok(report.deferred_if(is_deferred).again_after(again).into())
        }
        Next::Done(outcome) => {
            let seen = (Some(&state.look), Some(&state.consent));
            Ok(ended(context, &state.fetched, seen, outcome).await?)
        }
        Next::Write(_) if !reserved.reservation.may_write() => {
            let wait = reserved.reservation.queue_write(&operation.key);
            Ok(StepEnd::again_after(wait))
        }
        Next::Write(write) => {
            let sent = Box::pin(execute::send(context, state, reserved, &write)).await?;
            Ok(sent.into())
        }
    }
}

/// Reports that AWS could not be read. Nothing is known, so nothing is done.
fn unread(
    context: &Context,
    fetched: &Fetched,
    call: Call,
    error: &AwsError,
) -> Result<StepEnd, Error> {
    let message = look_failure_message(call, fetched.region(), error);
    tracing::warn!(operation = %fetched.operation.key, call = call.name(), message);
    hindered(context, fetched, &message)
}

/// Describes which call failed, where and why. It leaves out the request id, which would differ each time and so
/// cause a write each time.
fn look_failure_message(call: Call, region: &Region, error: &AwsError) -> String {
    let (call, error) = (call.name(), error.lasting());
    format!("the secret could not be read: {call} in {region}: {error}")
}

/// Publishes that the controller must not read what the operation rests on, or write its status. Nothing is done until
/// it may.
async fn publish_forbidden(
    context: &Arc<Context>,
    key: &ObjectKey,
    entry: &OperationEntry,
    what: String,
) -> Result<Option<Duration>, Error> {
    let error = Error::Forbidden(what);
    let Some(fetched) = Fetched::cached(entry) else {
        return Err(error);
    };
    tracing::warn!(operation = %key, %error, "operation blocked: access forbidden");
    let end = hindered(context, &fetched, &error.to_string())?;
    publish::publish(context, key, end).await
}

/// Reports a problem. The operation waits longer each time, and others go first if it has not started.
fn hindered(context: &Context, fetched: &Fetched, message: &str) -> Result<StepEnd, Error> {
    let operation = &fetched.operation;
    let pause = context.look_failures.record_failure(&operation.key);
    let report = Report::hindered(fetched, message, context.server_time()?);
    let report = report.deferred_if(!operation.has_started());
    let again = spread(pause, operation.uid.as_str());
    Ok(report.again_after(again).into())
}

/// Reports the end of an operation.
async fn ended(
    context: &Context,
    fetched: &Fetched,
    (look, consent): (Option<&Look>, Option<&Consent>),
    outcome: Outcome,
) -> Result<StepEnd, Error> {
    let at = match look {
        Some(look) => look.at,
        None => completion_time(context, fetched).await?,
    };
    let ending = Ending {
        outcome: &outcome,
        at,
        look,
        consent,
    };
    Ok(Report::ended(fetched, &ending, context.server_time()?).into())
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
    aws_now.map_or_else(|| context.time_without_look(), Ok)
}

/// Returns whether the operation cannot begin because of what the look at its own secret showed, whatever other
/// operations do.
fn is_waiting_for_its_secret(operation: &Operation, wait: &Wait) -> bool {
    !operation.has_started() && matches!(wait.phase, Phase::AwaitingWindow | Phase::BackingOff)
}

fn requeue_after(operation: &Operation, wait: &Wait) -> Duration {
    let longest = spread(LONGEST_PAUSE, operation.uid.as_str());
    wait.pause.clamp(SHORTEST_PAUSE, longest)
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
