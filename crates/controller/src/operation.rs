//! The operation reconciler: the only code that writes to AWS.
//!
//! ```text
//!  tokens ──▶ read ──▶ look ──▶ advance ──┬─▶ Wait ─▶ say so, come back
//!                                         ├─▶ Done ─▶ say so
//!                                         └─▶ Write ─▶ journal the intent ─▶ rival? fresh? lease? ─▶ apply ─▶ look ─▶ journal the result
//! ```
//! Whatever fails in between, the step starts again with the reads. An intent that was journaled stays.

mod events;
mod execute;
mod fence;
mod fetch;
pub(crate) mod locks;
pub(crate) mod look_failures;
mod permit;
mod reservation;
pub(crate) mod status;
mod unsupported;
mod write_due;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secret_rotation_aws::Operation as Call;
use secret_rotation_core::advance::{Gate, Next, Phase, StepInput, Wait, advance};
use secret_rotation_core::authorise::{Refusal, authorise};
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::consent;
use secret_rotation_core::consent::{Admission, Consent};
use secret_rotation_core::history::History;
use secret_rotation_core::names::{Arn, ObjectKey};
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::permit::Permit;
use secret_rotation_core::plan::PlanInput;
use secret_rotation_core::planner;
use secret_rotation_core::secret::{Look, Secret, Seen};
use secret_rotation_core::time::ServerTime;
use tokio::time::Instant;

use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::event_handlers;
use crate::jitter::spread;
use crate::kubernetes::reads::OnSecret;
use crate::operation::fetch::{Bounds, Fetched};
use crate::operation::reservation::Pass;
use crate::store::OperationEntry;

/// Maximum time between two steps of an operation, whatever core asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Minimum time between two steps of an operation.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The pause while another step is in progress on the same secret.
const BUSY: Duration = Duration::from_secs(1);

/// Start the step again with fresh reads.
const AGAIN: Duration = Duration::ZERO;

/// Everything that one step rests on, read for this step.
#[derive(Debug)]
struct StepState {
    fetched: Fetched,
    bound_policy: BoundPolicy,
    /// The term of the lease in which the step began.
    term: u64,
    look: Look,
    /// When the first request of the look was about to be sent.
    looked: Instant,
    arn: Arn,
    others: Vec<Operation>,
    consent: Consent,
}

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
    let Some(bound_policy) = permit::watched(context, &fetched) else {
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
                set_aside(context, &input.fetched.operation.key);
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

/// Returns the state of the approval. The admission policies are read only if something depends on them: fresh if an
/// approval would be acted on, and as last seen if no one has decided.
async fn consent(
    context: &Context,
    operation: &Operation,
    BoundPolicy {
        policy, profile, ..
    }: &BoundPolicy,
) -> Result<Consent, Error> {
    let always = Admission::Enforced {
        since: ServerTime::new(Timestamp::UNIX_EPOCH),
    };
    let judged = consent::consent(operation, policy, profile, &always);
    match judged {
        Consent::NotNeeded | Consent::Refused { .. } => Ok(judged),
        Consent::Awaited { .. } => {
            let admission = context.admission.seen(context).await?;
            Ok(consent::consent(operation, policy, profile, &admission))
        }
        Consent::Given { .. } => {
            let admission = context.admission.look(context).await?;
            Ok(consent::consent(operation, policy, profile, &admission))
        }
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

/// Returns every operation on the secret, by quorum reads, and those that only the cache still knows by their ARN.
async fn others(context: &Context, arn: &Arn) -> Result<Result<Vec<Operation>, String>, Error> {
    let OnSecret {
        mut operations,
        unsupported,
    } = context.reader.on_secret(arn).await?;
    if let Some(unsupported) = unsupported {
        return Ok(Err(unsupported));
    }
    let snapshot = context.store.snapshot();
    let cached = snapshot
        .operations
        .iter()
        .filter(|cached| cached.arn.as_ref() == Some(arn));
    let unlisted: Vec<_> = cached
        .filter(|cached| operations.iter().all(|listed| listed.uid != cached.uid))
        .cloned()
        .collect();
    operations.extend(unlisted);
    Ok(Ok(operations))
}

impl StepState {
    fn next(&self, context: &Context, server_now: ServerTime) -> Next {
        let operation = &self.fetched.operation;
        let BoundPolicy {
            tenant,
            profile,
            policy,
        } = &self.bound_policy;
        let authority = match present(&self.look) {
            Some(secret) => authorise(tenant, profile, policy, secret, operation.action),
            None => Err(Refusal::NotSelected {
                policy: policy.key.name.clone(),
                secret: self.fetched.secret_name(),
            }),
        };
        let unchanged_since = context.stability.looked(&self.look);
        context.around(&self.bound_policy, self.look.at, |around| {
            let tenants = around.bound_policies.iter().map(|one| &one.tenant);
            let snapshot = StepInput {
                look: &self.look,
                policy: Some(policy),
                authority,
                consent: self.consent.clone(),
                server_now,
                gate: self.gate(context, operation, around),
                history: History::of(&self.arn, &self.others)
                    .trusting(profile, tenants.chain([tenant]))
                    .without_idle(|other| around.may_act(other)),
                cluster: &context.cluster,
                unchanged_since,
            };
            advance(operation, &snapshot)
        })
    }

    fn gate<'a>(
        &self,
        context: &Context,
        operation: &'a Operation,
        around: &PlanInput<'a>,
    ) -> Gate {
        let policy = &self.bound_policy.policy.uid;
        let function = present(&self.look).and_then(Secret::function);
        let region = context
            .evaluations
            .region(policy, self.term, self.arn.region());
        planner::gate(operation, function, region.as_ref(), around)
    }

    /// Returns whether the slot is still free once the intent is in the journal. Of the operations that take a slot
    /// at the same moment, the first in the queue keeps it. The watches answer this without a request. Another
    /// replica can exceed a limit by what this one has not seen yet.
    fn has_slot(&self, context: &Context, journaled: &Operation) -> bool {
        let gate = context.around(&self.bound_policy, self.look.at, |around| {
            self.gate(context, journaled, around)
        });
        match gate {
            Gate::Blocked(hold) => hold.reason != BlockReason::ConcurrencyLimit,
            Gate::Open | Gate::Unknown => true,
        }
    }
}

/// Returns whether the operation cannot begin because of what the look at its own secret showed, whatever other
/// operations do.
fn waits_for_its_secret(operation: &Operation, wait: &Wait) -> bool {
    !operation.has_started() && matches!(wait.phase, Phase::AwaitingWindow | Phase::BackingOff)
}

/// Sets the operation aside: it blocks no other operation, and those that waited for it are evaluated again.
fn set_aside(context: &Context, key: &ObjectKey) {
    if context.look_failures.set_aside(key) {
        event_handlers::freed(context);
    }
}

fn present(look: &Look) -> Option<&Secret> {
    match &look.secret {
        Seen::Present(secret) => Some(secret),
        Seen::Absent => None,
    }
}

fn pause(operation: &Operation, wait: &Wait) -> Duration {
    let longest = spread(LONGEST_PAUSE, operation.uid.as_str());
    wait.pause.clamp(SHORTEST_PAUSE, longest)
}
