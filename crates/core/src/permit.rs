//! Decides whether an operation may continue, by the Kubernetes objects and earlier results alone.
//!
//! Nothing here reads from AWS. So an operation that is stopped ends, and one that waits costs nothing, even if its
//! secret cannot be read or never existed. [`advance`](crate::advance::advance) checks again on a fresh look before
//! each write.

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

/// What is known of an operation without a look at its secret.
#[derive(Clone, Copy, Debug)]
pub struct PermitInput<'a> {
    /// What limits the operation.
    pub bounds: Bounds<'a>,
    /// Every known operation on its secret, this one included.
    pub history: &'a History<'a>,
    /// The secret, if it was read: pins count as attempts.
    pub secret: Option<&'a Secret>,
    /// The API server's time: deadlines are measured on it.
    pub server_now: ServerTime,
    /// AWS time: windows and back-off are measured on it.
    pub now: AwsTime,
}

/// What limits an operation.
#[derive(Clone, Copy, Debug)]
pub enum Bounds<'a> {
    /// Its policy does not exist, or is another one under the same name.
    PolicyGone,
    /// Its policy or profile is invalid, for this reason.
    Invalid(&'a str),
    /// The policy and the profile are valid.
    Within {
        /// The policy.
        policy: &'a Policy,
        /// Whether profile, policy and namespace allow the action: on the secret as it was seen, or by its name alone
        /// ([`authorise_by_name`](crate::authorise::authorise_by_name)).
        authority: Result<(), &'a Refusal>,
        /// The state of the approval, if one is needed.
        consent: &'a Consent,
        /// Whether windows, budgets and the circuit breaker let it start, if it is automatic.
        gate: &'a Gate,
    },
}

/// Whether an automatic operation may start, or continue from pin to clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open,
    /// It may not, for this reason.
    Blocked(Block),
    /// This process has not classified the secrets of the policy yet, so it is unknown.
    Unknown,
}

/// Whether an operation may continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It ends with this outcome. Nothing more is sent, and a pin stays.
    End(Outcome),
    /// It ends with this outcome once its pin is removed. If the secret cannot be read, it ends and the pin stays.
    EndAfterUnpin(Outcome),
    /// It waits, and needs no look at AWS until then.
    Wait(Pause),
    /// It may take its next step.
    Go,
}

/// What an operation waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The reason of condition `Complete` while it waits.
    pub phase: Phase,
    /// A sentence for people, with absolute times only.
    pub message: String,
    /// AWS time at which the wait ends by itself; `None` = a change of some object ends it. The deadline may come
    /// first.
    pub until: Option<AwsTime>,
}

words! {
    /// What an unfinished operation is doing: the reason of condition `Complete` while it is False.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Phase {
        /// It has not started.
        Queued => "it was not checked, or another operation is in progress",
        /// No one has approved it yet.
        AwaitingApproval => "an approver must decide",
        /// No maintenance window is open; or AWS's rotation window is open, in which AWS may still retry.
        AwaitingWindow => "no maintenance window is open",
        /// It waits after a recent attempt or an error.
        BackingOff => "the last attempt was too recent",
        /// Its policy or its profile is suspended.
        Suspended => "its policy or its profile is suspended",
        /// It pins the pending version.
        Pinning => "the pending version gets a label that protects it",
        /// It waits between pin and clear.
        Settling => "it waits for the second check of the secret",
        /// It removes AWSPENDING.
        Clearing => "AWSPENDING is removed from the stale version",
        /// It starts a rotation.
        Rotating => "a rotation is requested from AWS",
        /// It waits for the rotation function.
        Verifying => "it waits for the rotation to finish",
        /// It moves AWSCURRENT to the pending version.
        Promoting => "the pending version becomes the current one",
        /// It restores AWSPENDING, or cancels a deletion.
        Restoring => "a label, or the secret, is restored",
        /// It moves AWSCURRENT to the previous version.
        Reverting => "the previous version becomes the current one",
        /// It removes pins.
        Unpinning => "labels that protected versions are removed",
    }
}

impl Phase {
    /// Returns the phase of an operation while it sends the request of this step.
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

/// Decides whether an operation may continue, in the order of this table.
///
/// | Check | Result | Once it has acted ([`Operation::has_acted`]) |
/// |---|---|---|
/// | ended? | End | the same |
/// | being deleted? policy gone or being deleted? older than its policy? not authorised? | End, the pin stays | the same |
/// | denied? past its deadline? | End, unpinned first | no longer checked: an operation is not left incomplete |
/// | policy or profile suspended, or invalid? | Wait | the same |
/// | awaiting a decision? back-off? | Wait, if nothing was written yet | no longer checked |
/// | window, breaker, slot? | Wait | no longer checked here |
///
/// The checks that end an operation come before those that make it wait, so that no operation waits forever.
pub fn permit(operation: &Operation, input: &PermitInput<'_>) -> Permit {
    if let Some(outcome) = stopped(operation, &input.bounds) {
        return Permit::End(outcome);
    }
    let suspended = suspended(&input.bounds);
    if let Some(outcome) = ended_early(operation, input).filter(|_| !operation.has_acted()) {
        // To remove the pin is a write, and a suspended operation writes nothing.
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

/// Returns what ends an operation at every step, even after a clear.
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

/// Returns whether it was created for another policy of the same name, or before any existed: no one checked whether
/// its creator may operate this one.
///
/// The UID of a policy is not known before the policy exists, so an operation that names the right one is younger. API
/// servers store whole seconds, so within one second the order is unknown.
fn is_older(operation: &Operation, policy: &Policy) -> bool {
    operation.policy.uid.is_none() && operation.created < policy.created
}

/// Returns what ends an operation that has not acted yet: a denial, or its deadline.
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

/// Returns why an operation that has not yet moved a label must end.
pub(crate) fn rejected_or_expired(
    operation: &Operation,
    consent: &Consent,
    server_now: ServerTime,
) -> Option<Outcome> {
    if let Consent::Refused { message } = consent {
        return Some(failed(Failure::Rejected, message.clone()));
    }
    // An approval that is noticed only now restarts the deadline.
    let begins = matches!(consent, Consent::Given { .. }) && operation.approved.is_none();
    let expires = operation.expires();
    (!begins && server_now >= expires).then(|| {
        failed(
            Failure::Expired,
            format!("it had not started by its deadline, {expires}"),
        )
    })
}

/// Returns what makes an operation wait at every step.
fn suspended(bounds: &Bounds<'_>) -> Option<Pause> {
    match bounds {
        Bounds::Invalid(why) => Some(Pause {
            phase: Phase::Queued,
            message: format!("its policy or profile is invalid: {why}"),
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

/// Returns what makes an automatic operation wait before it acts. Budgets do not limit manual operations.
fn blocked_or_backing_off(operation: &Operation, input: &PermitInput<'_>) -> Option<Pause> {
    let Bounds::Within { policy, gate, .. } = input.bounds else {
        return None;
    };
    if operation.trigger == Trigger::Manual || operation.has_acted() {
        return None;
    }
    gate_pause(gate).or_else(|| used_budget(operation, policy, input))
}

/// Returns what a closed gate waits for.
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

/// Returns the budget of the secret that is used up, before the first write: a person's action, attempts, back-off.
fn used_budget(operation: &Operation, policy: &Policy, input: &PermitInput<'_>) -> Option<Pause> {
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
