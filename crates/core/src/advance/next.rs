//! What a step decides: what to do next, and the request that it may send.

use std::time::Duration;

use crate::journal::Intent;
use crate::names::{Arn, StageLabel, VersionId};
use crate::operation::{Failure, Outcome};
use crate::permit::Phase;
use crate::time::AwsTime;

/// What to do next about an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "one is made per step, and moved once"
)]
pub enum Next {
    /// Read the secret again at once, this time with the list of versions.
    LookAtVersions,
    /// Journal the intent, then send the request.
    Write(Write),
    /// Do nothing for a while, then read the secret again.
    Wait(Wait),
    /// The operation has ended.
    Done(Outcome),
}

/// A pause, with what the status says about it.
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

/// A request that may be sent to AWS once, within ten seconds of the look that it rests on.
///
/// Only [`advance`](crate::advance::advance) makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    arn: Arn,
    request: Request,
    intent: Intent,
}

impl Write {
    pub(super) const fn new(arn: Arn, request: Request, intent: Intent) -> Self {
        Self {
            arn,
            request,
            intent,
        }
    }

    /// Notes the date of a change by others that the journal could otherwise not distinguish from the controller's own.
    pub(super) const fn noting_change(mut self, changed: Option<AwsTime>) -> Self {
        self.intent.foreign_change = changed;
        self
    }

    /// Returns the ARN of the secret.
    pub const fn arn(&self) -> &Arn {
        &self.arn
    }

    /// Returns the request.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Returns what must be in the journal before the request is sent.
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }

    /// Returns the phase of the operation while the request is sent.
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

/// A decision that ends a ladder early: nothing that comes after it is looked at.
#[derive(Clone, Debug)]
pub(super) struct Stop(Box<Next>);

impl From<Next> for Stop {
    fn from(next: Next) -> Self {
        Self(Box::new(next))
    }
}

impl From<Stop> for Next {
    fn from(stop: Stop) -> Self {
        *stop.0
    }
}

/// Ends the operation as failed.
pub(super) fn failed(reason: Failure, message: impl Into<String>) -> Stop {
    Next::Done(Outcome::Failed {
        reason,
        message: message.into(),
    })
    .into()
}

/// Ends the operation as succeeded.
pub(super) fn succeeded(message: impl Into<String>) -> Next {
    Next::Done(Outcome::Succeeded {
        message: message.into(),
    })
}

/// Waits until an AWS time, as seen from `now`.
pub(super) fn wait(now: AwsTime, until: AwsTime, phase: Phase, message: impl Into<String>) -> Next {
    Next::Wait(Wait {
        pause: until.since(now),
        until,
        phase,
        message: message.into(),
    })
}
