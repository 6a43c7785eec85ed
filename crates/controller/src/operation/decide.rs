//! The decision about the next step: what it rests on, and what core decides from it.

use secret_rotation_core::advance::{Gate, Next, StepInput, advance};
use secret_rotation_core::authorise::{Refusal, authorise};
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::consent::Consent;
use secret_rotation_core::history::History;
use secret_rotation_core::names::Arn;
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::PlanInput;
use secret_rotation_core::planner;
use secret_rotation_core::secret::{Look, Secret, Seen};
use secret_rotation_core::time::ServerTime;
use tokio::time::Instant;

use crate::context::Context;
use crate::error::Error;
use crate::kubernetes::reads::OperationsOnSecret;
use crate::operation::fetched::Fetched;
use crate::operation::look::list_versions;
use crate::operation::reservation::ReservedStep;
use crate::operation::step_end::{Happening, StepEnd, Stop};

/// Everything that one step rests on, read for this step.
#[derive(Debug)]
pub(super) struct StepState {
    pub(super) fetched: Fetched,
    pub(super) bound_policy: BoundPolicy,
    /// The term of the lease in which the step began.
    pub(super) term: u64,
    pub(super) look: Look,
    /// When the first request of the look was about to be sent.
    pub(super) looked: Instant,
    pub(super) arn: Arn,
    pub(super) others: Vec<Operation>,
    pub(super) consent: Consent,
}

impl StepState {
    /// Asks core for the next step.
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
        let unchanged_since = context.stability.record_look(&self.look);
        context.with_plan_input(&self.bound_policy, self.look.at, |plan_input| {
            let namespaces = self.others.iter().map(|other| &other.key.namespace);
            let tenants =
                namespaces.filter_map(|namespace| plan_input.bound_policies.tenant(namespace));
            let snapshot = StepInput {
                look: &self.look,
                policy: Some(policy),
                authority,
                consent: self.consent.clone(),
                server_now,
                gate: self.gate(context, operation, plan_input),
                history: History::of(&self.arn, &self.others)
                    .trusting(profile, tenants.chain([tenant]))
                    .without_idle(|other| plan_input.may_act(other)),
                cluster: &context.cluster,
                unchanged_since,
            };
            advance(operation, &snapshot)
        })
    }

    /// Returns whether windows, budgets and the breaker let the operation begin.
    fn gate<'a>(
        &self,
        context: &Context,
        operation: &'a Operation,
        plan_input: &PlanInput<'a>,
    ) -> Gate {
        let policy = &self.bound_policy.policy.uid;
        let function = present(&self.look).and_then(Secret::function);
        let region = context
            .evaluations
            .region_gate(policy, self.term, self.arn.region());
        planner::gate(operation, function, region.as_ref(), plan_input)
    }

    /// Returns whether the slot is still free once the intent is in the journal. Of the operations that take a slot
    /// at the same moment, the first in the queue keeps it. The watches answer this without a request. Another
    /// replica can exceed a limit by what this one has not seen yet.
    pub(super) fn has_slot(&self, context: &Context, journaled: &Operation) -> bool {
        let gate = context.with_plan_input(&self.bound_policy, self.look.at, |plan_input| {
            self.gate(context, journaled, plan_input)
        });
        match gate {
            Gate::Blocked(hold) => hold.reason != BlockReason::ConcurrencyLimit,
            Gate::Open | Gate::Unknown => true,
        }
    }
}

/// Returns the secret that an operation acts on. A name that now stands for another secret than before is left to core.
///
/// # Errors
///
/// Ends the step if no secret has the name, or if other operations on the secret do not find this one by its label yet.
pub(super) fn identity(fetched: &Fetched, look: &Look) -> Result<Arn, StepEnd> {
    let happening = match (&fetched.operation.arn, present(look)) {
        (Some(arn), _) if fetched.is_labelled(arn) => return Ok(arn.clone()),
        (None, None) => Happening::Ended {
            outcome: Outcome::Failed {
                reason: Failure::Gone,
                message: "no secret of this name exists".to_owned(),
            },
            look: Some(look.clone()),
            consent: None,
        },
        (Some(arn), _) | (None, Some(Secret { arn, .. })) => Happening::Identified {
            arn: arn.clone(),
            look: look.clone(),
        },
    };
    Err(StepEnd::about(fetched, happening))
}

/// Reads the other operations on the secret.
///
/// # Errors
///
/// Ends the step if one of them is in progress and cannot be parsed: it blocks the secret. Fails if a request fails.
pub(super) async fn others(
    context: &Context,
    fetched: &Fetched,
    arn: &Arn,
) -> Result<Vec<Operation>, Stop> {
    let unsupported = match other_operations(context, arn).await? {
        Ok(others) => return Ok(others),
        Err(unsupported) => unsupported,
    };
    let message = format!(
        "operation {unsupported} is in progress on this secret, and this release cannot parse it"
    );
    Err(StepEnd::about(fetched, Happening::Hindered(message)).into())
}

/// Asks core for the next step. If core needs the versions of the secret, they are listed once.
///
/// # Errors
///
/// Ends the step if the versions cannot be listed. Fails if the time of the API server is not known.
pub(super) async fn decide(
    context: &Context,
    state: &mut StepState,
    reserved: &mut ReservedStep,
) -> Result<Next, Stop> {
    let server_now = context.server_time()?;
    let mut next = state.next(context, server_now);
    if next == Next::LookAtVersions {
        list_versions(&state.fetched, (&mut state.look, &state.arn), reserved).await?;
        next = state.next(context, server_now);
    }
    context.look_failures.forget(&state.fetched.operation.key);
    match next {
        Next::LookAtVersions => Err(Error::Stale("the versions were not listed").into()),
        Next::Write(_) | Next::Wait(_) | Next::Done(_) => Ok(next),
    }
}

/// Returns every operation on the secret, by quorum reads, and those that only the cache still knows by their ARN.
pub(super) async fn other_operations(
    context: &Context,
    arn: &Arn,
) -> Result<Result<Vec<Operation>, String>, Error> {
    let OperationsOnSecret {
        mut operations,
        unsupported,
    } = context.reader.on_secret(arn).await?;
    if let Some(unsupported) = unsupported {
        return Ok(Err(unsupported));
    }
    let snapshot = context.store.snapshot();
    let cached = snapshot.operations.on_secret(arn);
    let unlisted: Vec<_> = cached
        .filter(|cached| operations.iter().all(|listed| listed.uid != cached.uid))
        .cloned()
        .collect();
    operations.extend(unlisted);
    Ok(Ok(operations))
}

/// Returns the secret, if the look found one.
pub(super) fn present(look: &Look) -> Option<&Secret> {
    match &look.secret {
        Seen::Present(secret) => Some(secret),
        Seen::Absent => None,
    }
}
