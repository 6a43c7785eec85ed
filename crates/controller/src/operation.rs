//! The operation reconciler: the only code that writes to AWS.
//!
//! ```text
//!  tokens ──▶ read ──▶ look ──▶ advance ──┬─▶ Wait ─▶ say so, come back
//!                                         ├─▶ Done ─▶ say so
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
use crate::operation::reservation::Pass;
use crate::operation::step_state::{StepState, others, present};
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
    if entry.core.as_ref().is_ok_and(Operation::is_finished) {
        return Ok(None);
    }
    let mut pass = match leave(&context, &entry, term).await? {
        Leave::Back(wait) => return Ok(wait),
        Leave::WithoutAws => None,
        Leave::Go(pass) => Some(*pass),
    };
    let answer = match Box::pin(look(&context, &key, term, pass.as_mut())).await {
        Err(Error::Forbidden(what)) => status::forbidden(&context, &entry, what).await,
        answer => answer,
    };
    if let Some(pass) = pass {
        reservation::call_next(&context, pass.ticket);
    }
    answer
}

/// What an operation may do now, according to the watches.
enum Leave {
    /// It must wait, for this time if there is one.
    Back(Option<Duration>),
    /// It may read from the API server, but must not call AWS: it seems to have ended, or something cannot be
    /// parsed.
    WithoutAws,
    /// It may take a step, whose tokens are reserved.
    Go(Box<Pass>),
}

/// Decides by the watches alone. An operation that waits makes no call. An operation that seems to have ended is read
/// again before it ends.
async fn leave(context: &Arc<Context>, entry: &OperationEntry, term: u64) -> Result<Leave, Error> {
    let Some(fetched) = Fetched::cached(entry) else {
        return Ok(Leave::WithoutAws);
    };
    let Some(bound_policy) = fetch::watched(context, &fetched) else {
        return Ok(Leave::WithoutAws);
    };
    let judged = permit::foreseen(context, &fetched, &bound_policy, term).await?;
    match &judged.permit {
        Permit::End(_) => return Ok(Leave::WithoutAws),
        Permit::Wait(pause) if pause.phase == Phase::AwaitingApproval => {
            let rest =
                permit::await_decision(context, &fetched, &bound_policy, (pause, judged.now));
            return rest.await.map(Leave::Back);
        }
        Permit::Wait(pause) => {
            let rest = permit::rest(context, &fetched, None, (pause, judged.now));
            return rest.await.map(Leave::Back);
        }
        // A region that does not answer must not keep a finished operation forever.
        Permit::EndAfterUnpin(_) if context.look_failures.is_overdue(&fetched.operation.key) => {
            return Ok(Leave::WithoutAws);
        }
        Permit::Go => {
            if let Some(wait) = permit::settles(&fetched, judged.now) {
                return permit::at_the_latest(context, &fetched, wait)
                    .map(|wait| Leave::Back(Some(wait)));
            }
        }
        Permit::EndAfterUnpin(_) => {}
    }
    let profile_region = (&bound_policy.profile, fetched.region());
    let entered = reservation::enter(context, &fetched.operation, profile_region).await;
    Ok(match entered {
        Ok(pass) => Leave::Go(Box::new(pass)),
        Err(not_yet) => {
            let old = fetched.object.status.as_ref();
            if write_due::is_turn_told(old, not_yet.wait) {
                status::not_yet(context, &fetched, not_yet.message, judged.now).await?;
            }
            let wait = permit::at_the_latest(context, &fetched, not_yet.wait)?;
            Leave::Back(Some(wait))
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
async fn look(
    context: &Arc<Context>,
    key: &ObjectKey,
    term: u64,
    pass: Option<&mut Pass>,
) -> Result<Option<Duration>, Error> {
    let fetched = match Fetched::take(context, key).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) => return Ok(None),
        Err(Error::Invalid(why)) => return unsupported::tell(context, key, &why).await,
        Err(error) => return Err(error),
    };
    let _held = match fetched
        .operation
        .arn
        .as_ref()
        .map(|arn| context.locks.take(arn))
    {
        Some(None) => return Ok(Some(BUSY)),
        held => held,
    };
    let bound_policy = match fetched.bounds(context).await {
        Ok(Bounds::Within(bound_policy)) => *bound_policy,
        Ok(Bounds::Ended(outcome)) => {
            return status::ended(context, &fetched, None, None, outcome).await;
        }
        Err(Error::Invalid(why)) => return status::invalid_bounds(context, &fetched, &why).await,
        Err(error) => return Err(error),
    };
    let consent = consent(context, &fetched.operation, &bound_policy).await?;
    // The watches may lag, so the same question is asked again of quorum reads: an operation that ends or waits needs
    // no look.
    let judged = permit::judge(context, &fetched, &bound_policy, &consent, term).await?;
    match judged.permit {
        Permit::End(outcome) => {
            return status::ended(context, &fetched, None, Some(&consent), outcome).await;
        }
        Permit::EndAfterUnpin(outcome) if context.look_failures.is_overdue(key) => {
            let outcome = status::with_pin(outcome);
            return status::ended(context, &fetched, None, Some(&consent), outcome).await;
        }
        Permit::Go | Permit::EndAfterUnpin(_) => {}
        Permit::Wait(pause) => {
            let told = Some(&consent);
            return permit::rest(context, &fetched, told, (&pause, judged.now)).await;
        }
    }
    let account = context
        .connections
        .of(&bound_policy.profile, fetched.region())
        .await
        .account;
    // If the watches lag, the tokens were reserved for another account, or not at all.
    let Some(pass) = pass.filter(|pass| pass.ticket.account().is_same(&account)) else {
        return Ok(Some(BUSY));
    };
    let looked = clock::now();
    let look = pass.ticket.look(fetched.secret_id()).await;
    pass.note(look.as_ref().err().map(|error| error.class));
    let look = match look {
        Ok(look) => look,
        Err(error) => {
            return status::look_failed(context, &fetched, Call::DescribeSecret, error).await;
        }
    };
    if look.secret == Seen::Absent {
        if let Err(wait) = context.look_failures.absent(key) {
            return status::absent(context, &fetched, wait).await;
        }
    } else {
        context.look_failures.present(key);
    }
    let arn = match identity(&fetched, &look) {
        Identity::Known(arn) => arn,
        Identity::Found(arn) => {
            return status::identity(context, &fetched, &arn, &look)
                .await
                .map(|()| Some(AGAIN));
        }
        Identity::Nobody(outcome) => {
            return status::ended(context, &fetched, Some(&look), None, outcome).await;
        }
    };
    let others = match others(context, &arn).await? {
        Ok(others) => others,
        Err(unsupported) => return status::unsupported(context, &fetched, &unsupported).await,
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
    Box::pin(step(context, input, pass)).await
}

async fn step(
    context: &Arc<Context>,
    mut input: StepState,
    pass: &mut Pass,
) -> Result<Option<Duration>, Error> {
    let server_now = context.server_time()?;
    let mut next = input.next(context, server_now);
    if next == Next::LookAtVersions {
        // The look stays the oldest fact of the step, so `looked` does not change.
        let listed = pass.ticket.list_versions(&mut input.look, &input.arn).await;
        pass.note(listed.as_ref().err().map(|error| error.class));
        if let Err(error) = listed {
            let (fetched, call) = (&input.fetched, Call::ListSecretVersionIds);
            return status::look_failed(context, fetched, call, error).await;
        }
        next = input.next(context, server_now);
    }
    context
        .look_failures
        .cleared_up(&input.fetched.operation.key);
    match next {
        Next::LookAtVersions => Err(Error::Stale("the versions were not listed")),
        Next::Wait(wait) => {
            if waits_for_its_secret(&input.fetched.operation, &wait) {
                status::set_aside(context, &input.fetched.operation.key);
            }
            status::waiting(context, &input, &wait).await?;
            Ok(Some(pause(&input.fetched.operation, &wait)))
        }
        Next::Done(outcome) => {
            let (fetched, look, consent) = (&input.fetched, &input.look, &input.consent);
            status::ended(context, fetched, Some(look), Some(consent), outcome).await
        }
        Next::Write(_) if !pass.ticket.may_write() => {
            Ok(Some(pass.ticket.book_write(&input.fetched.operation.key)))
        }
        Next::Write(write) => Box::pin(execute::send(context, input, pass, &write))
            .await
            .map(|()| Some(AGAIN)),
    }
}

/// The secret that an operation acts on.
enum Identity {
    /// This one, and other operations on it find this operation by its label.
    Known(Arn),
    /// This one, which the look has just found.
    Found(Arn),
    /// None: no secret has this name.
    Nobody(Outcome),
}

/// Returns the secret that an operation acts on. A name that now stands for another secret than before is left to
/// core.
fn identity(fetched: &Fetched, look: &Look) -> Identity {
    match (&fetched.operation.arn, present(look)) {
        (None, None) => Identity::Nobody(Outcome::Failed {
            reason: Failure::Gone,
            message: "no secret of this name exists".to_owned(),
        }),
        (None, Some(secret)) => Identity::Found(secret.arn.clone()),
        (Some(arn), _) if fetched.is_labelled(arn) => Identity::Known(arn.clone()),
        (Some(arn), _) => Identity::Found(arn.clone()),
    }
}

/// Returns whether the operation cannot begin because of what the look at its own secret showed, whatever other
/// operations do.
fn waits_for_its_secret(operation: &Operation, wait: &Wait) -> bool {
    !operation.has_started() && matches!(wait.phase, Phase::AwaitingWindow | Phase::BackingOff)
}

fn pause(operation: &Operation, wait: &Wait) -> Duration {
    let longest = spread(LONGEST_PAUSE, operation.uid.as_str());
    wait.pause.clamp(SHORTEST_PAUSE, longest)
}
