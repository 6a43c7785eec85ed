//! Decides whether an existing operation may start, or continue to its clear: windows, the state of the region, and
//! slots.

use crate::block::{Block, BlockReason};
use crate::consent::is_undecided;
use crate::maintenance_window::Opening;
use crate::names::FunctionArn;
use crate::operation::{Operation, Trigger};
use crate::ownership::BoundPolicy;
use crate::permit::Gate;
use crate::plan::{PlanInput, RegionGate};
use crate::policy::Mode;
use crate::survey::RegionSurvey;

/// Returns whether an automatic operation may start, or continue to its clear. `region` is what this process last
/// planned for the policy in the secret's region. Manual operations are not subject to budgets.
pub fn gate<'a>(
    operation: &'a Operation,
    function: Option<&FunctionArn>,
    region: Option<&RegionGate>,
    input: &PlanInput<'a>,
) -> Gate {
    if operation.trigger == Trigger::Manual {
        return Gate::Open;
    }
    if !operation.has_acted()
        && let Some(gate) = closed(region, input)
    {
        return gate;
    }
    let remediation = &input.own.policy.remediation;
    let function = function.filter(|_| operation.action.rotates());
    let on_function = function.map_or(0, |function| input.ahead_on(function, Some(operation)));
    let full = input.ahead_in_policy(Some(operation)) >= remediation.max_concurrent
        || on_function >= input.own.profile.max_concurrent_per_function;
    if full {
        Gate::Blocked(Block::indefinite(BlockReason::ConcurrencyLimit))
    } else {
        Gate::Open
    }
}

/// Returns what, besides slots, prevents the operation from starting. It is evaluated until the operation has acted.
fn closed(region: Option<&RegionGate>, input: &PlanInput<'_>) -> Option<Gate> {
    let policy = &input.own.policy;
    if policy.mode == Mode::Observe {
        return Some(Gate::Blocked(Block::indefinite(BlockReason::ObserveOnly)));
    }
    if let Some(block) = outside_window(policy.remediation.windows.at(input.now)) {
        return Some(Gate::Blocked(block));
    }
    match region {
        None => Some(Gate::Unknown),
        Some(RegionGate::Blocked(reason)) => Some(Gate::Blocked(Block::indefinite(*reason))),
        Some(RegionGate::Open) => None,
    }
}

/// Returns the block of automatic operations while no window is open.
pub(super) fn outside_window(opening: Opening) -> Option<Block> {
    (!opening.is_open()).then(|| Block {
        reason: BlockReason::OutsideWindow,
        until: opening.changes(),
    })
}

/// Returns whether the circuit breaker is open in a region, by what is known of it.
pub(super) fn trips(region: &RegionSurvey, own: &BoundPolicy) -> bool {
    let breaker = own.policy.remediation.breaker;
    region.was_tripped || breaker.is_open(region.stuck, region.eligible)
}

/// Returns whether automatic operations may start in a region. If the sweep is incomplete they may not: a secret that
/// was not seen may still exist, and be stuck.
pub(super) fn region_gate(region: &RegionSurvey, own: &BoundPolicy) -> RegionGate {
    if region.selected > own.policy.selector.max_secrets {
        RegionGate::Blocked(BlockReason::SelectionTooLarge)
    } else if trips(region, own) {
        RegionGate::Blocked(BlockReason::CircuitBreakerOpen)
    } else if region.complete {
        RegionGate::Open
    } else {
        RegionGate::Blocked(BlockReason::SweepIncomplete)
    }
}

impl PlanInput<'_> {
    /// Returns whether a person has yet to decide about the operation.
    pub(super) fn is_undecided(&self, operation: &Operation) -> bool {
        let bound_policy = self.bound_policies.get(&operation.policy_key());
        bound_policy.is_some_and(|one| is_undecided(operation, &one.policy, &one.profile))
    }
}
