//! Events that are scheduled for a later time: rotations that become due, and what happens to running ones.

use crate::arn::Arn;

/// A scheduled event. Every healthy secret has one, so it is small.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The `NextRotationDate` is reached.
    Due { arn: Arn },
    /// Something happens to a running or finished rotation.
    Run(Box<RunEvent>),
}

/// An event of the rotation for a version.
#[derive(Clone, Debug)]
pub(crate) struct RunEvent {
    pub(crate) arn: Arn,
    pub(crate) token: String,
    pub(crate) kind: RunEventKind,
}

/// The kind of an event of a rotation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RunEventKind {
    /// A step of the rotation function ends.
    Step { step: usize, attempt: u32 },
    /// The run of a hanging function times out.
    Timeout { attempt: u32 },
    /// AWS retries a failed rotation.
    Retry { attempt: u32 },
    /// The test of a rotation configuration ends.
    Tested,
    /// AWS removes AWSPENDING after a finished rotation.
    CleanUp,
}

impl Event {
    pub(crate) fn run(arn: &Arn, token: &str, kind: RunEventKind) -> Self {
        Self::Run(Box::new(RunEvent {
            arn: arn.clone(),
            token: token.to_owned(),
            kind,
        }))
    }
}
