//! Judges one operation beside a fresh look: the next step, and nothing but the next step.

#![allow(
    clippy::result_large_err,
    reason = "an `Err` here is a decision that ends the ladder early, made once per step"
)]

mod clear;
mod moving;
mod preconditions;
mod release_pins;
mod restore_secret;
mod retry;
mod rotate;

use std::time::Duration;

use crate::authorise::{Authority, Refusal};
use crate::consent::Consent;
use crate::history::History;
use crate::journal::Intent;
use crate::names::{Arn, StageLabel, VersionId};
use crate::operation::{Operation, Outcome};
pub use crate::permit::{Gate, Phase};
use crate::pin::ClusterId;
use crate::policy::Policy;
use crate::secret::Look;
use crate::time::{AwsTime, ServerTime};

use self::preconditions::Evaluation;

/// What to do next about an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "one is made per step, and moved once"
)]
pub enum Next {
    /// Look again at once, this time with the list of versions.
    LookAtVersions,
    /// Journal the intent, then send the request.
    Write(Write),
    /// Do nothing until then, and look again.
    Wait(Wait),
    /// It has ended.
    Done(Outcome),
}

/// A pause, with what to tell people about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// How long, on the local monotonic clock, counted from the look.
    pub pause: Duration,
    /// AWS time at which something is expected to have changed.
    pub until: AwsTime,
    /// The reason of condition `Complete` meanwhile.
    pub phase: Phase,
    /// A sentence for people, with absolute times only.
    pub message: String,
}

/// A request that may be sent to AWS, once, within ten seconds of the look it rests on.
///
/// Only [`advance`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    arn: Arn,
    request: Request,
    intent: Intent,
}

impl Write {
    /// The secret.
    pub const fn arn(&self) -> &Arn {
        &self.arn
    }

    /// The request.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// What must be in the journal first.
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }

    /// What the operation is doing with it.
    pub const fn phase(&self) -> Phase {
        Phase::of(self.intent.step)
    }
}

/// The requests that are ever sent to change something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `UpdateSecretVersionStage` with `MoveToVersionId` only: attach a label that is nowhere.
    Attach {
        /// A pin, or AWSPENDING where no version holds it.
        label: StageLabel,
        /// To this version.
        version: VersionId,
    },
    /// `UpdateSecretVersionStage` with `RemoveFromVersionId` only: a compare-and-swap.
    Detach {
        /// A pin, or AWSPENDING.
        label: StageLabel,
        /// From this version.
        version: VersionId,
    },
    /// `UpdateSecretVersionStage` with both versions named: a compare-and-swap.
    Move {
        /// AWSCURRENT or AWSPENDING.
        label: StageLabel,
        /// From this version.
        from: VersionId,
        /// To this version.
        to: VersionId,
    },
    /// `RestoreSecret`.
    RestoreSecret,
    /// `RotateSecret` with this `ClientRequestToken` and nothing else.
    Rotate {
        /// The token.
        token: VersionId,
    },
}

/// Everything a step is judged by, all of it read for this step.
#[derive(Clone, Debug)]
pub struct StepInput<'a> {
    /// The secret, fresh.
    pub look: &'a Look,
    /// The policy, by quorum read; `None` = it is gone or is another one under the same name.
    pub policy: Option<&'a Policy>,
    /// Whether profile, policy and namespace allow the action on this secret.
    pub authority: Result<Authority, Refusal>,
    /// Whether a person agrees, where that is needed.
    pub consent: Consent,
    /// The API server's time: deadlines are measured on it.
    pub server_now: ServerTime,
    /// Whether windows, budgets and the breaker let an automatic operation begin.
    pub gate: Gate,
    /// Every operation on this secret, the own one included, by quorum read.
    pub history: History<'a>,
    /// Which pins are ours.
    pub cluster: &'a ClusterId,
    /// Since when this process has seen the labels and versions of the secret unchanged, without a gap of more than an
    /// hour between two looks. `None` = it has not watched long enough to tell.
    pub unchanged_since: Option<AwsTime>,
}

/// Decides the next step of an unfinished operation. Total: every combination of journal and look has an answer.
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
        Err(next) => *next,
    }
}
