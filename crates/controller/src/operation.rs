//! The operation reconciler: the only code that writes to AWS.
//!
//! ```text
//!  admit ──▶ fetch ──▶ look ──▶ decide ──▶ execute ──▶ publish
//!    │         │         │         │                      ▲
//!    └─────────┴─────────┴─────────┴── it waits, has ended, or could not be read
//! ```
//! Each stage is a file. It returns what the next one needs, or how the step ends. Only `execute` writes to AWS: it
//! journals the intent, checks again that every fact holds, sends the request once, looks, and journals the result. Only
//! `publish` reports. Whatever fails in between, the step starts again with the reads. An intent that was journaled stays.

mod approval;
mod decide;
mod events;
mod execute;
mod fence;
mod fetch;
mod fetched;
pub(crate) mod locks;
mod look;
pub(crate) mod look_failures;
mod permit;
mod publish;
mod report;
mod reservation;
mod step_end;
mod unsupported;
mod write_due;

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_core::names::ObjectKey;
use secret_rotation_core::operation::Operation;

use crate::context::Context;
use crate::error::Error;
use crate::operation::approval::consent;
use crate::operation::decide::{StepState, decide, identity, others};
use crate::operation::fetch::{bounds, fetch, lock};
use crate::operation::look::look;
use crate::operation::reservation::ReservedStep;
use crate::operation::step_end::{StepEnd, Stop};
use crate::store::OperationEntry;

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
    if entry.parsed().is_some_and(Operation::is_finished) {
        return Ok(None);
    }
    let mut reserved = None;
    let ends = Box::pin(step(&context, (&key, &entry), term, &mut reserved)).await;
    let again = publish::publish(&context, (&key, &entry), ends).await;
    if let Some(reserved) = reserved {
        reservation::queue_next(&context, reserved.reservation);
    }
    again
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
    *reserved = permit::admit(context, entry, term).await?;
    let fetched = fetch(context, key).await?;
    let _guard = lock(context, &fetched)?;
    let bound_policy = bounds(context, &fetched).await?;
    let consent = consent(context, &fetched.operation, &bound_policy).await?;
    permit::confirm(context, &fetched, (&bound_policy, &consent), term).await?;
    let reserved = reservation::of_account(context, &fetched, &bound_policy, reserved).await?;
    let (look, looked) = look(context, &fetched, reserved).await?;
    let arn = identity(&fetched, &look)?;
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
    Box::pin(execute::execute(context, state, reserved, next)).await
}
