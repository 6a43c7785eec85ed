//! The operation loop: the only writer to AWS.
//!
//! ```text
//!  read ──▶ look ──▶ advance ──┬─▶ Wait ─▶ say so, come back
//!                              ├─▶ Done ─▶ say so
//!                              └─▶ Write ─▶ token ─▶ journal the intent ─▶ rival? fresh? lease? ─▶ apply ─▶ look ─▶ journal the result
//! ```
//! Whatever fails on the way, the step begins again with the reads; an intent that was journaled stays.

mod announcing;
mod fresh;
pub(crate) mod locks;
mod quiet;
mod reading;
mod sending;
pub(crate) mod telling;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secret_rotation_core::advance::{Facts, Gate, Next, Wait, advance};
use secret_rotation_core::approval::{self, Admission, Consent};
use secret_rotation_core::authorise::{Refusal, authorise};
use secret_rotation_core::clock::ServerTime;
use secret_rotation_core::history::History;
use secret_rotation_core::identity::{Arn, ObjectKey};
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::ownership::Claimant;
use secret_rotation_core::plan;
use secret_rotation_core::secret::{Look, Secret, Seen};
use tokio::time::Instant;

use crate::accounts::Made;
use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::kubernetes::admission;
use crate::kubernetes::reads::OnSecret;
use crate::operation::reading::{Bounds, Reading};

/// However long core says to wait, an operation is looked at again after this.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// However short, not sooner than this.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// While another step is at work on the same secret.
const BUSY: Duration = Duration::from_secs(1);

/// Begin again with fresh reads.
const AGAIN: Duration = Duration::ZERO;

/// Everything that one step rests on, all of it read for this step.
#[derive(Debug)]
struct Scene {
    reading: Reading,
    claimant: Claimant,
    made: Made,
    /// The term of the lease in which the step began.
    term: u64,
    look: Look,
    /// Just before the look that is judged was sent.
    looked: Instant,
    arn: Arn,
    others: Vec<Operation>,
    consent: Consent,
}

/// Takes one operation one step further.
pub(crate) async fn reconcile(
    context: Arc<Context>,
    key: ObjectKey,
) -> Result<Option<Duration>, Error> {
    let term = context.tenure()?.term;
    let reading = match Reading::take(&context, &key).await {
        Ok(Some(reading)) => reading,
        Ok(None) => return Ok(None),
        Err(Error::Invalid(why)) => return unread::tell(&context, &key, &why).await,
        Err(error) => return Err(error),
    };
    let _held = match reading
        .operation
        .arn
        .as_ref()
        .map(|arn| context.locks.take(arn))
    {
        Some(None) => return Ok(Some(BUSY)),
        held => held,
    };
    let claimant = match reading.bounds(&context).await {
        Ok(Bounds::Within(claimant)) => *claimant,
        Ok(Bounds::Ended(outcome)) => {
            return telling::ended(&context, &reading, None, None, outcome).await;
        }
        Err(Error::Invalid(why)) => return telling::unclear(&context, &reading, &why).await,
        Err(error) => return Err(error),
    };
    let made = context
        .accounts
        .of(&claimant.profile, reading.region())
        .await;
    let looked = clock::now();
    let look = match made.account.look(reading.secret_id(), false).await {
        Ok(look) => look,
        Err(error) => return telling::trouble(&context, &reading, error).await,
    };
    let arn = match identity(&reading, &look) {
        Identity::Known(arn) => arn,
        Identity::Found(arn) => {
            return telling::identity(&context, &reading, &arn, &look)
                .await
                .map(|()| Some(AGAIN));
        }
        Identity::Nobody(outcome) => {
            return telling::ended(&context, &reading, Some(&look), None, outcome).await;
        }
    };
    let others = match others(&context, &arn).await? {
        Ok(others) => others,
        Err(riddle) => return telling::riddle(&context, &reading, &look, &riddle).await,
    };
    let consent = consent(&context, &reading.operation, &claimant).await?;
    Box::pin(step(
        &context,
        Scene {
            reading,
            claimant,
            made,
            term,
            look,
            looked,
            arn,
            others,
            consent,
        },
    ))
    .await
}

async fn step(context: &Arc<Context>, mut scene: Scene) -> Result<Option<Duration>, Error> {
    let server_now = context.server_time()?;
    let mut next = scene.next(context, server_now);
    if next == Next::LookAtVersions {
        scene.looked = clock::now();
        scene.look = scene
            .made
            .account
            .look(scene.reading.secret_id(), true)
            .await?;
        next = scene.next(context, server_now);
    }
    match next {
        Next::LookAtVersions => Err(Error::Stale("the versions were not listed")),
        Next::Wait(wait) => {
            telling::waiting(context, &scene, &wait).await?;
            Ok(Some(pause(&wait)))
        }
        Next::Done(outcome) => {
            let (reading, look, consent) = (&scene.reading, &scene.look, &scene.consent);
            telling::ended(context, reading, Some(look), Some(consent), outcome).await
        }
        // A token first: whoever must wait for one comes back with fresh reads.
        Next::Write(write) => match scene.made.pacer.take(&scene.reading.operation.key) {
            Ok(()) => sending::send(context, scene, &write)
                .await
                .map(|()| Some(AGAIN)),
            Err(wait) => Ok(Some(wait)),
        },
    }
}

/// Where its approval stands. The admission policies are looked for only where something hangs on them.
async fn consent(
    context: &Context,
    operation: &Operation,
    Claimant {
        policy, profile, ..
    }: &Claimant,
) -> Result<Consent, Error> {
    let always = Admission::Enforced {
        since: ServerTime::new(Timestamp::UNIX_EPOCH),
    };
    let judged = approval::consent(operation, policy, profile, &always);
    match judged {
        Consent::NotNeeded | Consent::Refused { .. } => Ok(judged),
        Consent::Awaited { .. } | Consent::Given { .. } => {
            let admission = admission::enforced(&context.client).await?;
            Ok(approval::consent(operation, policy, profile, &admission))
        }
    }
}

/// Which secret an operation is about.
enum Identity {
    /// This one, and its rivals find it by it.
    Known(Arn),
    /// This one, as was found out just now.
    Found(Arn),
    /// None: the name means nothing.
    Nobody(Outcome),
}

/// A name that means another secret than before is core's to judge.
fn identity(reading: &Reading, look: &Look) -> Identity {
    match (&reading.operation.arn, present(look)) {
        (None, None) => Identity::Nobody(Outcome::Failed {
            reason: Failure::Gone,
            message: "no secret of this name exists".to_owned(),
        }),
        (None, Some(secret)) => Identity::Found(secret.arn.clone()),
        (Some(arn), _) if reading.is_labelled(arn) => Identity::Known(arn.clone()),
        (Some(arn), _) => Identity::Found(arn.clone()),
    }
}

/// Every operation on the secret, by quorum; also those that only the cache still knows by their ARN.
async fn others(context: &Context, arn: &Arn) -> Result<Result<Vec<Operation>, String>, Error> {
    let OnSecret {
        mut operations,
        riddle,
    } = context.reader.on_secret(arn).await?;
    if let Some(riddle) = riddle {
        return Ok(Err(riddle));
    }
    let facts = context.world.facts();
    let cached = facts
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

impl Scene {
    fn next(&self, context: &Context, server_now: ServerTime) -> Next {
        let operation = &self.reading.operation;
        let Claimant {
            tenant,
            profile,
            policy,
        } = &self.claimant;
        let authority = match present(&self.look) {
            Some(secret) => authorise(tenant, profile, policy, secret, operation.action),
            None => Err(Refusal::NotSelected {
                policy: policy.key.name.clone(),
                secret: self.reading.secret_name(),
            }),
        };
        let facts = Facts {
            look: &self.look,
            policy: Some(policy),
            authority,
            consent: self.consent.clone(),
            server_now,
            gate: self.gate(context),
            history: History::of(&self.arn, &self.others),
            cluster: &context.cluster,
            unchanged_since: context.watching.looked(&self.look),
        };
        advance(operation, &facts)
    }

    fn gate(&self, context: &Context) -> Gate {
        let facts = context.world.facts();
        let functions = context.sweeps.functions(&facts.operations);
        let policy = &self.claimant.policy.uid;
        let around = plan::Context {
            own: &self.claimant,
            claimants: &facts.claimants,
            operations: &facts.operations,
            functions: &functions,
            cluster: &context.cluster,
            now: self.look.at,
        };
        let function = present(&self.look).and_then(Secret::function);
        let region = context
            .judgements
            .region(policy, self.term, self.arn.region());
        plan::gate(&self.reading.operation, function, region.as_ref(), &around)
    }
}

fn present(look: &Look) -> Option<&Secret> {
    match &look.secret {
        Seen::Present(secret) => Some(secret),
        Seen::Absent => None,
    }
}

fn pause(wait: &Wait) -> Duration {
    wait.pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}
