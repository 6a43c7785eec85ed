//! The operation reconciler: the only code that writes to AWS.
//!
//! ```text
//!  tokens ──▶ read ──▶ look ──▶ advance ──┬─▶ Wait ─▶ report it, come back
//!                                         ├─▶ Done ─▶ report it
//!                                         └─▶ Write ─▶ journal the intent ─▶ rival? fresh? lease? ─▶ apply ─▶ look ─▶ journal the result
//! ```
//! Whatever fails in between, the step starts again with the reads. An intent that was journaled stays.

mod approval;
mod events;
mod execute;
mod fence;
mod fetch;
pub(crate) mod locks;
pub(crate) mod look_failures;
mod permit;
mod reservation;
pub(crate) mod status;
mod step_state;
mod unsupported;
mod write_due;

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_aws::Operation as Call;
use secret_rotation_core::advance::{Next, Phase, Wait};
use secret_rotation_core::names::{Arn, ObjectKey};
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::permit::Permit;
use secret_rotation_core::secret::{Look, Seen};

use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::jitter::spread;
use crate::operation::approval::consent;
use crate::operation::fetch::{Bounds, Fetched};
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
    let Some(entry) = context.store.operation(&key) else {
        return Ok(None);
    };
    if entry
        .core
        .as_ref()
        .is_ok_and(|operation| operation.is_finished())
    {
        return Ok(None);
    }
    let mut reserved = match admit(&context, &entry, term).await? {
        Admission::ComeBack(wait) => return Ok(wait),
        Admission::WithoutAws => None,
        Admission::Step(reserved) => Some(*reserved),
    };
    let answer = match Box::pin(read_and_step(&context, &key, term, reserved.as_mut())).await {
        Err(Error::Forbidden(what)) => status::publish_forbidden(&context, &entry, what).await,
        answer => answer,
    };
    if let Some(reserved) = reserved {
        reservation::queue_next(&context, reserved.reservation);
    }
    answer
}

/// What an operation may do now, according to the watches.
enum Admission {
    /// It must wait, for this time if there is one.
    ComeBack(Option<Duration>),
    /// It may read from the API server, but must not call AWS: it seems to have ended, or something cannot be
    /// parsed.
    WithoutAws,
    /// It may take a step, whose tokens are reserved.
    Step(Box<ReservedStep>),
}

/// Decides by the watches alone. An operation that waits makes no call. An operation that seems to have ended is read
/// again before it ends.
async fn admit(
    context: &Arc<Context>,
    entry: &OperationEntry,
    term: u64,
) -> Result<Admission, Error> {
    let Some(fetched) = Fetched::cached(entry) else {
        return Ok(Admission::WithoutAws);
    };
    let Some(bound_policy) = fetch::cached_bounds(context, &fetched) else {
        return Ok(Admission::WithoutAws);
    };
    let evaluated = permit::evaluate_cached(context, &fetched, &bound_policy, term).await?;
    match &evaluated.permit {
        Permit::End(_) => return Ok(Admission::WithoutAws),
        Permit::Wait(pause) if pause.phase == Phase::AwaitingApproval => {
            let rest =
                permit::await_decision(context, &fetched, &bound_policy, (pause, evaluated.now));
            return rest.await.map(Admission::ComeBack);
        }
        Permit::Wait(pause) => {
            let rest = permit::publish_pause(context, &fetched, None, (pause, evaluated.now));
            return rest.await.map(Admission::ComeBack);
        }
        // A region that does not answer must not keep a finished operation forever.
        Permit::EndAfterUnpin(_) if context.look_failures.is_overdue(&fetched.operation.key) => {
            return Ok(Admission::WithoutAws);
        }
        Permit::Go => {
            if let Some(wait) = permit::settle_time_left(&fetched, evaluated.now) {
                return permit::limit_to_deadline(context, &fetched, wait)
                    .map(|wait| Admission::ComeBack(Some(wait)));
            }
        }
        Permit::EndAfterUnpin(_) => {}
    }
    let profile_region = (&bound_policy.profile, fetched.region());
    let entered = reservation::reserve(context, &fetched.operation, profile_region).await;
    Ok(match entered {
        Ok(reserved) => Admission::Step(Box::new(reserved)),
        Err(delay) => {
            let old = fetched.object.status.as_ref();
            if write_due::is_delay_due(old, delay.wait) {
                status::publish_delay(context, &fetched, delay.message, evaluated.now).await?;
            }
            let wait = permit::limit_to_deadline(context, &fetched, delay.wait)?;
            Admission::ComeBack(Some(wait))
        }
    })
}

/// Reads everything that the step rests on, and evaluates it.
///
/// | Step | Why it comes here |
/// |---|---|
/// | 1. Read the operation | The watches may lag. |
/// | 2. Lock the secret in this process | Two steps on one secret must not run at once. |
/// | 3. Read policy, profile and namespace | A tenant must not learn from AWS what exists outside its bounds. |
/// | 4. Evaluate the approval and the permit | An operation that ends or waits needs no look. |
/// | 5. Look at the secret | The tokens are reserved, and all bounds are known. |
/// | 6. Label the operation with the ARN | Other operations on the secret must find it before it acts. |
/// | 7. Read the other operations on the secret | They may have priority, or be unreadable and block the secret. |
/// | 8. Take the next step | Everything that it rests on is fresh. |
///
/// Nothing is written to AWS before step 8. Whatever fails, the next run starts again at step 1.
async fn read_and_step(
    context: &Arc<Context>,
    key: &ObjectKey,
    term: u64,
    reserved: Option<&mut ReservedStep>,
) -> Result<Option<Duration>, Error> {
    let fetched = match Fetched::read(context, key).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) => return Ok(None),
        Err(Error::Invalid(why)) => return unsupported::publish(context, key, &why).await,
        Err(error) => return Err(error),
    };
    let _guard = match fetched
        .operation
        .arn
        .as_ref()
        .map(|arn| context.locks.try_lock(arn))
    {
        Some(None) => return Ok(Some(BUSY)),
        held => held,
    };
    let bound_policy = match fetched.bounds(context).await {
        Ok(Bounds::Within(bound_policy)) => *bound_policy,
        Ok(Bounds::Ended(outcome)) => {
            return status::end(context, &fetched, None, None, outcome).await;
        }
        Err(Error::Invalid(why)) => {
            return status::publish_invalid_bounds(context, &fetched, &why).await;
        }
        Err(error) => return Err(error),
    };
    let consent = consent(context, &fetched.operation, &bound_policy).await?;
    // The watches may lag, so the same question is asked again of quorum reads: an operation that ends or waits needs
    // no look.
    let evaluated = permit::evaluate(context, &fetched, &bound_policy, &consent, term).await?;
    match evaluated.permit {
        Permit::End(outcome) => {
            return status::end(context, &fetched, None, Some(&consent), outcome).await;
        }
        Permit::EndAfterUnpin(outcome) if context.look_failures.is_overdue(key) => {
            let outcome = status::with_pin_left(outcome);
            return status::end(context, &fetched, None, Some(&consent), outcome).await;
        }
        Permit::Go | Permit::EndAfterUnpin(_) => {}
        Permit::Wait(pause) => {
            let consent = Some(&consent);
            return permit::publish_pause(context, &fetched, consent, (&pause, evaluated.now))
                .await;
        }
    }
    let account = context
        .connections
        .of(&bound_policy.profile, fetched.region())
        .await
        .account;
    // If the watches lag, the tokens were reserved for another account, or not at all.
    let Some(reserved) =
        reserved.filter(|reserved| reserved.reservation.account().is_same(&account))
    else {
        return Ok(Some(BUSY));
    };
    let looked = clock::now();
    let look = reserved.reservation.look(fetched.secret_id()).await;
    reserved.record_answer(look.as_ref().err().map(|error| error.class));
    let look = match look {
        Ok(look) => look,
        Err(error) => {
            return status::publish_look_failure(context, &fetched, Call::DescribeSecret, error)
                .await;
        }
    };
    if look.secret == Seen::Absent {
        if let Err(wait) = context.look_failures.record_absent(key) {
            return status::publish_absent(context, &fetched, wait).await;
        }
    } else {
        context.look_failures.record_present(key);
    }
    let arn = match secret_identity(&fetched, &look) {
        SecretIdentity::Known(arn) => arn,
        SecretIdentity::Found(arn) => {
            return status::write_identity(context, &fetched, &arn, &look)
                .await
                .map(|()| Some(AGAIN));
        }
        SecretIdentity::Unknown(outcome) => {
            return status::end(context, &fetched, Some(&look), None, outcome).await;
        }
    };
    let others = match other_operations(context, &arn).await? {
        Ok(others) => others,
        Err(unsupported) => {
            return status::publish_unsupported(context, &fetched, &unsupported).await;
        }
    };
    let input = StepState {
        fetched,
        bound_policy,
        term,
        look,
        looked,
        arn,
        others,
        consent,
    };
    Box::pin(step(context, input, reserved)).await
}

async fn step(
    context: &Arc<Context>,
    mut input: StepState,
    reserved: &mut ReservedStep,
) -> Result<Option<Duration>, Error> {
    let server_now = context.server_time()?;
    let mut next = input.next(context, server_now);
    if next == Next::LookAtVersions {
        // The look stays the oldest fact of the step, so `looked` does not change.
        let listed = reserved
            .reservation
            .list_versions(&mut input.look, &input.arn)
            .await;
        reserved.record_answer(listed.as_ref().err().map(|error| error.class));
        if let Err(error) = listed {
            let (fetched, call) = (&input.fetched, Call::ListSecretVersionIds);
            return status::publish_look_failure(context, fetched, call, error).await;
        }
        next = input.next(context, server_now);
    }
    context.look_failures.forget(&input.fetched.operation.key);
    match next {
        Next::LookAtVersions => Err(Error::Stale("the versions were not listed")),
        Next::Wait(wait) => {
            if is_waiting_for_its_secret(&input.fetched.operation, &wait) {
                status::set_aside(context, &input.fetched.operation);
            }
            status::publish_wait(context, &input, &wait).await?;
            Ok(Some(requeue_after(&input.fetched.operation, &wait)))
        }
        Next::Done(outcome) => {
            let (fetched, look, consent) = (&input.fetched, &input.look, &input.consent);
            status::end(context, fetched, Some(look), Some(consent), outcome).await
        }
        Next::Write(_) if !reserved.reservation.may_write() => Ok(Some(
            reserved
                .reservation
                .queue_write(&input.fetched.operation.key),
        )),
        Next::Write(write) => Box::pin(execute::send(context, input, reserved, &write))
            .await
            .map(|()| Some(AGAIN)),
    }
}

/// The secret that an operation acts on.
enum SecretIdentity {
    /// This one, and other operations on it find this operation by its label.
    Known(Arn),
    /// This one, which the look has just found.
    Found(Arn),
    /// None: no secret has this name.
    Unknown(Outcome),
}

/// Returns the secret that an operation acts on. A name that now stands for another secret than before is left to
/// core.
fn secret_identity(fetched: &Fetched, look: &Look) -> SecretIdentity {
    match (&fetched.operation.arn, present(look)) {
        (None, None) => SecretIdentity::Unknown(Outcome::Failed {
            reason: Failure::Gone,
            message: "no secret of this name exists".to_owned(),
        }),
        (None, Some(secret)) => SecretIdentity::Found(secret.arn.clone()),
        (Some(arn), _) if fetched.is_labelled(arn) => SecretIdentity::Known(arn.clone()),
        (Some(arn), _) => SecretIdentity::Found(arn.clone()),
    }
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
