//! Whether an operation that exists may begin, or go on to clear: windows, the breaker, and places at work.

use super::{BlockReason, Context, Hold, RegionGate};
use crate::approval::is_undecided;
use crate::identity::FunctionArn;
use crate::maintenance::Opening;
use crate::operation::{Operation, Step, Trigger};
use crate::permit::Gate;
use crate::policy::Mode;

/// Whether budgets let an automatic operation begin, or go on to clear. `region` is what this process last planned for
/// the policy in the secret's region. Operations by hand are not subject to budgets.
pub fn gate(
    operation: &Operation,
    function: Option<&FunctionArn>,
    region: Option<&RegionGate>,
    context: &Context<'_>,
) -> Gate {
    if operation.trigger == Trigger::Manual {
        return Gate::Open;
    }
    if context.own.policy.mode == Mode::Observe {
        return Gate::Held(Hold::open(BlockReason::ObserveOnly));
    }
    if let Some(hold) = outside_window(context.own.policy.remediation.windows.at(context.now)) {
        return Gate::Held(hold);
    }
    match region {
        None => return Gate::Unknown,
        Some(RegionGate::Held(reason)) => return Gate::Held(Hold::open(*reason)),
        Some(RegionGate::Open) => {}
    }
    let ahead = || {
        context
            .operations
            .iter()
            .filter(|other| other.uid != operation.uid && context.is_ahead(other, operation))
    };
    let of_policy = ahead().filter(|other| {
        other.policy.uid.as_ref() == Some(&context.own.policy.uid)
            && other.trigger == Trigger::Policy
    });
    let on_function =
        ahead().filter(|other| function.is_some() && context.running_on(other) == function);
    let full = of_policy.count() >= context.own.policy.remediation.max_concurrent
        || operation.action.rotates()
            && on_function.count() >= context.own.profile.max_concurrent_per_function;
    if full {
        Gate::Held(Hold::open(BlockReason::ConcurrencyLimit))
    } else {
        Gate::Open
    }
}

/// What keeps automatic operations from starting while no window is open.
pub(super) fn outside_window(opening: Opening) -> Option<Hold> {
    (!opening.is_open()).then(|| Hold {
        reason: BlockReason::OutsideWindow,
        until: opening.changes(),
    })
}

/// How far an operation has come, the furthest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// Nothing stops it any more, or it is a person's.
    Acting,
    /// It has pinned, and may still be stopped.
    Begun,
    /// It has done nothing yet.
    Waiting,
}

impl Progress {
    fn of(operation: &Operation) -> Self {
        let acts = operation
            .journal
            .last_intent(&[Step::Clear, Step::Rotate])
            .is_some();
        if !operation.has_started() {
            Self::Waiting
        } else if acts || operation.trigger == Trigger::Manual {
            Self::Acting
        } else {
            Self::Begun
        }
    }
}

impl Context<'_> {
    /// The rotation function on which an operation runs or may run, if it is one that rotates.
    fn running_on(&self, operation: &Operation) -> Option<&FunctionArn> {
        operation
            .arn
            .as_ref()
            .filter(|_| operation.action.rotates())
            .and_then(|arn| self.functions.get(arn))
    }

    /// Whether an operation takes a place before another one does: it has come further, or as far and is older. One
    /// always goes first, so that none wait for each other where the number of places was lowered.
    fn is_ahead(&self, other: &Operation, own: &Operation) -> bool {
        let order = |operation: &Operation| {
            let progress = Progress::of(operation);
            (progress, operation.created, operation.uid.clone())
        };
        let waits_in_line = other.trigger == Trigger::Policy && !self.is_undecided(other);
        !other.is_finished() && (other.has_started() || waits_in_line) && order(other) < order(own)
    }

    /// Whether a person is still to decide about it: it takes up no place meanwhile.
    pub(super) fn is_undecided(&self, operation: &Operation) -> bool {
        let mut claimants = self.claimants.iter();
        let claimant = claimants.find(|one| {
            one.policy.key.namespace == operation.key.namespace
                && one.policy.key.name == operation.policy.name
        });
        claimant.is_some_and(|one| is_undecided(operation, &one.policy, &one.profile))
    }

    pub(super) fn unfinished_of_policy(&self) -> usize {
        let own = &self.own.policy.uid;
        let automatic = self
            .operations
            .iter()
            .filter(|operation| operation.trigger == Trigger::Policy && !operation.is_finished());
        automatic
            .filter(|operation| operation.policy.uid.as_ref() == Some(own))
            .filter(|operation| !self.is_undecided(operation))
            .count()
    }

    pub(super) fn unfinished_on(&self, function: &FunctionArn) -> usize {
        let unfinished = self
            .operations
            .iter()
            .filter(|operation| !operation.is_finished());
        unfinished
            .filter(|operation| self.running_on(operation) == Some(function))
            .filter(|operation| !self.is_undecided(operation))
            .count()
    }
}
