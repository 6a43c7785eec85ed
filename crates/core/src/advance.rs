//! Decides the next step of one operation, given a fresh look: only the next step, nothing further.
//!
//! Each action has a file of its own, with a table of its steps. `Evaluation` holds what they share: the
//! preconditions, the pin, the retries and the undo.

mod clear;
mod input;
mod next;
mod pin_step;
mod preconditions;
mod promote;
mod release_pins;
mod restore_pending;
mod restore_secret;
mod retry;
mod retry_rotation;
mod revert;
mod rotate;
mod withdraw;

pub use self::input::StepInput;
pub use self::next::{Next, Request, Wait, Write};
use self::preconditions::Evaluation;
use crate::operation::Operation;
pub use crate::permit::{Gate, Phase};

/// Decides the next step of an unfinished operation. The function is total: it returns a step for every combination of
/// journal and look.
///
/// ```text
///  Queued ──► Pinning ──► Settling ──► Clearing ──► Rotating ──► Verifying ──► Unpinning ──► Succeeded
///    │           │            │            │            │             │
///    └───────────┴────────────┴────────────┴────────────┴─────────────┴──► Failed
/// ```
pub fn advance(operation: &Operation, input: &StepInput<'_>) -> Next {
    if let Some(outcome) = &operation.outcome {
        return Next::Done(outcome.clone());
    }
    match Evaluation::admit(operation, input) {
        Ok(evaluation) => evaluation.next(),
        Err(stop) => stop.into(),
    }
}
