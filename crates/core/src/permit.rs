//! Whether an operation may go on, judged from the store alone: from Kubernetes objects and from what was judged before.
//!
//! Nothing here looks at AWS, so that an operation that is stopped ends, and one that waits costs nothing, also where its
//! secret cannot be read or never existed. [`advance`](crate::advance::advance) asks again on fresh facts before each write.

use crate::action::Step;
use crate::authorise::Refusal;
use crate::block::{Block, BlockReason};
use crate::consent;
use crate::consent::Consent;
use crate::history::History;
use crate::operation::{Failure, Operation, Outcome, Trigger};
use crate::policy::Policy;
use crate::secret::Secret;
use crate::time::{AwsTime, ServerTime};
use crate::words;

/// What the store says about an operation.
#[derive(Clone, Copy, Debug)]
pub struct PermitInput<'a> {
    /// What bounds it.
    pub bounds: Bounds<'a>,
    /// Every known operation on its secret, the own one included.
    pub history: &'a History<'a>,
    /// The secret, if it was looked at: pins count as attempts.
    pub secret: Option<&'a Secret>,
    /// The API server's time: deadlines are measured on it.
    pub server_now: ServerTime,
    /// AWS time: windows and back-off are measured on it.
    pub now: AwsTime,
}

/// What bounds an operation.
#[derive(Clone, Copy, Debug)]
pub enum Bounds<'a> {
    /// Its policy does not exist, or is another one under the same name.
    PolicyGone,
    /// Its policy or profile cannot be understood, for this reason.
    Invalid(&'a str),
    /// These.
    Within {
        /// Its policy.
        policy: &'a Policy,
        /// Whether profile, policy and namespace allow the action: on the secret as it was seen, or as far as its name tells
        /// ([`authorise::foresee`](crate::authorise::foresee)).
        authority: Result<(), &'a Refusal>,
        /// Whether a person agrees, where that is needed.
        consent: &'a Consent,
        /// Whether windows, budgets and the breaker let it begin, if it is automatic.
        gate: &'a Gate,
    },
}

/// Whether an automatic operation may begin, or go from pin to clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open,
    /// Not now.
    Blocked(Block),
    /// This process has not judged the policy yet, so it does not know.
    Unknown,
}

/// Whether an operation may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It ends like this. Nothing more is sent, and a pin stays.
    End(Outcome),
    /// It ends like this once its pin is taken back. Where the secret cannot be read, it ends with the pin.
    EndAfterUnpin(Outcome),
    /// It does nothing for now, and needs no look at AWS meanwhile.
    Wait(Pause),
    /// It may take its next step.
    Go,
}

/// What an operation waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The reason of condition `Complete` meanwhile.
    pub phase: Phase,
    /// A sentence for people, with absolute times only.
    pub message: String,
    /// AWS time at which time alone ends it; `None` = a change of some object does. The deadline may come first.
    pub until: Option<AwsTime>,
}

words! {
    /// What an unfinished operation is doing: the reason of condition `Complete` while it is False.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Phase {
        /// It has not begun.
        Queued => "it has not been looked at, or another one is at work",
        /// A person has not agreed yet.
        AwaitingApproval => "a person who may approve must decide",
        /// No maintenance window is open; or AWS's own rotation window is, in which it may still retry by itself.
        AwaitingWindow => "no maintenance window is open",
        /// AWS is to be left alone for a while.
        BackingOff => "the last attempt was too recent",
        /// Its policy or its profile is suspended.
        Suspended => "its policy or its profile is suspended",
        /// It pins the pending version.
        Pinning => "the pending version gets a label that protects it",
        /// It waits between pin and clear.
        Settling => "it waits for the second look at the secret",
        /// It removes AWSPENDING.
        Clearing => "AWSPENDING is taken from the stale version",
        /// It starts a rotation.
        Rotating => "AWS is asked to rotate",
        /// It waits for the rotation function.
        Verifying => "it watches the rotation",
        /// It moves AWSCURRENT to the pending version.
        Promoting => "the pending version becomes the current one",
        /// It puts AWSPENDING back, or calls a deletion off.
        Restoring => "a label, or the secret, is put back",
        /// It moves AWSCURRENT to the previous version.
        Reverting => "the previous version becomes the current one",
        /// It removes pins.
        Unpinning => "labels that protected versions are taken away",
    }
}

impl Phase {
    /// What an operation is doing while it sends this step's request.
    pub(crate) const fn of(step: Step) -> Self {
        match step {
            Step::Pin => Self::Pinning,
            Step::Clear => Self::Clearing,
            Step::Rotate => Self::Rotating,
            Step::Unpin => Self::Unpinning,
            Step::Promote | Step::DropPending => Self::Promoting,
            Step::RestorePending | Step::RestoreSecret => Self::Restoring,
            Step::Revert => Self::Reverting,
        }
    }
}

/// Judges an operation, in the order of the module's table.
///
/// | Question | Answer | Once it has acted ([`Operation::has_acted`]) |
/// |---|---|---|
/// | ended? | End | the same |
/// | being deleted? policy gone or being deleted? older than its policy? not authorised? | End, the pin stays | the same |
/// | denied? past its deadline? | End, unpinned first | no longer asked: half an operation helps nobody |
/// | policy or profile suspended, or not understood? | Wait | the same |
/// | awaiting a decision? back-off? | Wait, if nothing was written yet | no longer asked |
/// | window, breaker, slot? | Wait | no longer asked here |
///
/// The questions that end an operation come before those that make it wait, so that nothing waits for ever.
pub fn permit(operation: &Operation, input: &PermitInput<'_>) -> Permit {
    if let Some(outcome) = stopped(operation, &input.bounds) {
        return Permit::End(outcome);
    }
    let suspended = suspended(&input.bounds);
    if let Some(outcome) = ended_early(operation, input).filter(|_| !operation.has_acted()) {
        // Taking the pin back is a write, and what stands still writes nothing.
        let unpins = operation.has_started() && suspended.is_none();
        return if unpins {
            Permit::EndAfterUnpin(outcome)
        } else {
            Permit::End(outcome)
        };
    }
    let pause = suspended.or_else(|| awaiting_decision(operation, &input.bounds));
    match pause.or_else(|| blocked_or_backing_off(operation, input)) {
        Some(pause) => Permit::Wait(pause),
        None => Permit::Go,
    }
}

/// What ends an operation at every step, also after a clear.
fn stopped(operation: &Operation, bounds: &Bounds<'_>) -> Option<Outcome> {
    if operation.outcome.is_some() {
        return operation.outcome.clone();
    }
    if operation.deletion_requested.is_some() {
        return Some(failed(
            Failure::Rejected,
            "the operation was deleted; nothing more is sent",
        ));
    }
    match bounds {
        Bounds::PolicyGone => Some(failed(
            Failure::PolicyGone,
            "the policy of this operation no longer exists",
        )),
        Bounds::Within { policy, .. } if policy.deletion_requested.is_some() => Some(failed(
            Failure::PolicyGone,
            "the policy of this operation was deleted",
        )),
        Bounds::Within { policy, .. } if is_older(operation, policy) => Some(failed(
            Failure::NotAuthorised,
            format!(
                "the operation was created before policy {}, which was created at {}; create another operation",
                policy.key.name, policy.created
            ),
        )),
        Bounds::Within {
            authority: Err(refusal),
            ..
        } if !refusal.is_suspension() => Some(failed(Failure::NotAuthorised, refusal.to_string())),
        Bounds::Within { .. } | Bounds::Invalid(_) => None,
    }
}

/// Whether it was created for another policy of the same name, or for none: nobody checked whether its creator may operate
/// this one.
///
/// The UID of a policy is not known before the policy exists, so whatever names the right one is younger. API servers keep
/// whole seconds, so within one second nothing can be told.
fn is_older(operation: &Operation, policy: &Policy) -> bool {
    operation.policy.uid.is_none() && operation.created < policy.created
}

/// What ends an operation that has not acted yet: a person said no, or its time is over.
fn ended_early(operation: &Operation, input: &PermitInput<'_>) -> Option<Outcome> {
    let refused;
    let consent = match input.bounds {
        Bounds::Within { consent, .. } => consent,
        Bounds::PolicyGone | Bounds::Invalid(_) => {
            refused = consent::denied(operation).unwrap_or(Consent::NotNeeded);
            &refused
        }
    };
    rejected_or_expired(operation, consent, input.server_now)
}

/// Why an operation that has not yet moved a label must end.
pub(crate) fn rejected_or_expired(
    operation: &Operation,
    consent: &Consent,
    server_now: ServerTime,
) -> Option<Outcome> {
    if let Consent::Refused { message } = consent {
        return Some(failed(Failure::Rejected, message.clone()));
    }
    // An approval that is noticed only now starts the time anew.
    let begins = matches!(consent, Consent::Given { .. }) && operation.approved.is_none();
    let expires = operation.expires();
    (!begins && server_now >= expires).then(|| {
        failed(
            Failure::Expired,
            format!("it had not begun to act by {expires}, its deadline"),
        )
    })
}

/// What makes everything stand still, whatever it was doing.
fn suspended(bounds: &Bounds<'_>) -> Option<Pause> {
    match bounds {
        Bounds::Invalid(why) => Some(Pause {
            phase: Phase::Queued,
            message: format!("its policy or profile cannot be understood: {why}"),
            until: None,
        }),
        Bounds::Within {
            authority: Err(refusal),
            ..
        } => Some(Pause {
            phase: Phase::Suspended,
            message: refusal.to_string(),
            until: None,
        }),
        Bounds::Within { .. } | Bounds::PolicyGone => None,
    }
}

fn awaiting_decision(operation: &Operation, bounds: &Bounds<'_>) -> Option<Pause> {
    let Bounds::Within {
        consent: Consent::Awaited { message },
        ..
    } = bounds
    else {
        return None;
    };
    (!operation.has_started()).then(|| Pause {
        phase: Phase::AwaitingApproval,
        message: message.clone(),
        until: None,
    })
}

/// Budgets bind machines, not people.
fn blocked_or_backing_off(operation: &Operation, input: &PermitInput<'_>) -> Option<Pause> {
    let Bounds::Within { policy, gate, .. } = input.bounds else {
        return None;
    };
    if operation.trigger == Trigger::Manual || operation.has_acted() {
        return None;
    }
    gate_pause(gate).or_else(|| spent(operation, policy, input))
}

/// What the gate says, in words.
pub(crate) fn gate_pause(gate: &Gate) -> Option<Pause> {
    let pause = |phase, message| Pause {
        phase,
        message,
        until: None,
    };
    match gate {
        Gate::Open => None,
        Gate::Blocked(block) if block.reason == BlockReason::OutsideWindow => {
            Some(outside_window(block.until))
        }
        Gate::Blocked(block) => Some(Pause {
            until: block.until,
            ..pause(
                Phase::Queued,
                format!("{}: {}", block.reason.name(), block.reason.sentence()),
            )
        }),
        Gate::Unknown => Some(pause(
            Phase::Queued,
            "waiting for the first check of the policy".to_owned(),
        )),
    }
}

fn outside_window(opens: Option<AwsTime>) -> Pause {
    let message = match opens {
        Some(opens) => format!("OutsideWindow: the next maintenance window opens at {opens}"),
        None => "OutsideWindow: no maintenance window ever opens; correct spec.remediation.windows of the policy"
            .to_owned(),
    };
    Pause {
        phase: Phase::AwaitingWindow,
        message,
        until: opens,
    }
}

/// Budgets of the secret, before the first write: what a person did, attempts, back-off.
fn spent(operation: &Operation, policy: &Policy, input: &PermitInput<'_>) -> Option<Pause> {
    if operation.has_started() {
        return None;
    }
    let block = input.history.budget(input.secret, policy, input.now)?;
    let why = block.reason.sentence();
    Some(Pause {
        phase: Phase::BackingOff,
        message: block.until.map_or_else(
            || why.to_owned(),
            |until| format!("{why}; waiting until {until}"),
        ),
        until: block.until,
    })
}

fn failed(reason: Failure, message: impl Into<String>) -> Outcome {
    Outcome::Failed {
        reason,
        message: message.into(),
    }
}
