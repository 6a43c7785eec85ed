//! How a step ends, as a value. Any stage can end a step; [`publish`](super::publish::publish) reports the end.

use std::time::Duration;

use secret_rotation_core::advance::Wait;
use secret_rotation_core::consent::Consent;
use secret_rotation_core::journal::{Intent, StepResult};
use secret_rotation_core::names::{Arn, SecretName};
use secret_rotation_core::operation::{Operation, Outcome};
use secret_rotation_core::secret::Look;
use secret_rotation_core::time::AwsTime;

use crate::error::Error;
use crate::operation::fetched::Fetched;

/// Why a step ends before its last stage.
#[derive(Debug)]
pub(super) enum Stop {
    /// It needs no further stage.
    End(StepEnd),
    /// A request failed, or a fact became stale.
    Failed(Error),
}

/// How a step ends.
#[derive(Debug)]
pub(super) enum StepEnd {
    /// Nothing is published. The operation is evaluated again after this time, if there is one.
    Quiet(Option<Duration>),
    /// The object cannot be parsed, for this reason.
    Unparsed(String),
    /// Something is published about this operation.
    About(Box<(Fetched, Happening)>),
}

/// What happened in a step.
#[derive(Debug)]
pub(super) enum Happening {
    /// The operation waits.
    Waits(Waiting),
    /// Nothing can be done, for this reason. The operation waits longer each time.
    Hindered(String),
    /// AWS reports that the secret does not exist. It is asked again after this time.
    Absent(Duration),
    /// The secret that the operation acts on is known now.
    Identified { arn: Arn, look: Look },
    /// The operation has ended.
    Ended {
        outcome: Outcome,
        /// The last look, if there was one.
        look: Option<Look>,
        /// Whether a person agrees, if the step evaluated it.
        consent: Option<Consent>,
    },
    /// A request was sent.
    Sent(Box<Sent>),
}

/// What an operation waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    /// What it waits for, and until when.
    pub wait: Wait,
    /// AWS time of the evaluation.
    pub now: AwsTime,
    /// The name of the secret, if the step saw it.
    pub secret: Option<SecretName>,
    /// Whether a person agrees, if the step evaluated it.
    pub consent: Option<Consent>,
    /// Whether it only waits for its turn, which needs no event.
    pub is_turn: bool,
    /// Whether the reason lies in its own secret. Others then go first.
    pub is_deferred: bool,
    /// When it is evaluated again.
    pub again: Duration,
}

/// A request that was sent.
#[derive(Debug)]
pub(super) struct Sent {
    /// The operation with the intent in its journal.
    pub operation: Operation,
    /// The intent.
    pub intent: Intent,
    /// The secret.
    pub arn: Arn,
    /// The result.
    pub result: StepResult,
    /// Whether the result is in the journal too.
    pub concluded: Result<(), Error>,
}

impl StepEnd {
    /// Ends a step without a report.
    pub(super) const fn again_after(pause: Duration) -> Self {
        Self::Quiet(Some(pause))
    }

    /// Ends a step with what happened to an operation.
    pub(super) fn about(fetched: &Fetched, happening: Happening) -> Self {
        Self::About(Box::new((fetched.clone(), happening)))
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<StepEnd> for Stop {
    fn from(end: StepEnd) -> Self {
        Self::End(end)
    }
}
