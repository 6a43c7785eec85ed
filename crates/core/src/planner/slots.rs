//! Concurrency slots: the right of an operation to be in progress, limited per policy and per rotation function.
//!
//! | An operation | holds a slot |
//! |---|---|
//! | that has written nothing | no |
//! | that has pinned and settles | yes |
//! | whose last write, or the last move of a label or version of its secret, is younger than [`FUNCTION_AT_REST`] | yes |
//! | whose last write is older than that, and which is still verifying | no; it continues without one |
//! | suspended, stopped, or ended | no |
//!
//! Operations that wait for a slot get one in order of age. An operation that also waits for something else, or is only
//! about to end, lets others pass. Manual operations count, and never wait.

use super::gate::outside_window;
use crate::action::{Action, Step};
use crate::authorise::authorise_by_name;
use crate::block::Block;
use crate::consent;
use crate::history::History;
use crate::names::FunctionArn;
use crate::operation::{FUNCTION_AT_REST, Operation, Trigger};
use crate::ownership::BoundPolicy;
use crate::permit::{Bounds, Gate, Permit, PermitInput, permit};
use crate::plan::{PlanInput, RegionGate};
use crate::policy::Mode;
use crate::time::{AwsTime, ServerTime};

/// The order of operations for slots: first those that nothing stops any more, then those that have pinned, then those
/// that wait after they have started, then those that have done nothing.
type Turn = (Rank, ServerTime, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Acting,
    Begun,
    Released,
    Waiting,
}

impl<'a> PlanInput<'a> {
    /// Returns whether the API objects permit the next step of the operation, regardless of slots. An operation that
    /// may not act blocks no other one.
    pub fn may_act(&self, operation: &Operation) -> bool {
        let Some(bound_policy) = self.bound_policies.policy_of(operation) else {
            return false;
        };
        matches!(
            self.permit(operation, bound_policy),
            Permit::Go | Permit::EndAfterUnpin(_)
        )
    }

    /// Returns whether the operation may take its next step, other than to remove its own pin.
    fn may_continue(&self, operation: &Operation) -> bool {
        let bound_policy = self.bound_policies.policy_of(operation);
        bound_policy.is_some_and(|bound_policy| self.permit(operation, bound_policy) == Permit::Go)
    }

    /// Returns whether the operation is in progress on its secret, so that no other one may be: it has started and may
    /// continue, or it is a manual operation that is about to start. An operation that waits, for any reason, is not in
    /// progress.
    pub(super) fn is_in_progress(&self, operation: &Operation) -> bool {
        let begins = operation.trigger == Trigger::Manual && !self.is_deferred(operation);
        !operation.is_finished() && (operation.has_started() || begins) && self.may_act(operation)
    }

    /// Returns whether the operation has not started, and could not at its last try.
    fn is_deferred(&self, operation: &Operation) -> bool {
        !operation.has_started() && self.deferred.contains(&operation.key)
    }

    /// Returns how many slots of the policy other operations take before `own` gets one.
    pub(super) fn ahead_in_policy(&self, own: Option<&'a Operation>) -> usize {
        let uid = &self.own.policy.uid;
        let automatic = |other: &&Operation| {
            other.policy.uid.as_ref() == Some(uid) && other.trigger == Trigger::Policy
        };
        let of_policy = self.operations.of_policy(&self.own.policy.key);
        self.ahead(own, of_policy.filter(automatic)).count()
    }

    /// Returns how many slots of a rotation function other operations take before `own` gets one, over all policies of
    /// the profile.
    pub(super) fn ahead_on(&self, function: &FunctionArn, own: Option<&'a Operation>) -> usize {
        let profile = &self.own.profile.name;
        let of_profile = |other: &&Operation| {
            let bound_policy = self.bound_policies.policy_of(other);
            bound_policy.is_some_and(|bound_policy| bound_policy.profile.name == *profile)
        };
        let on_function = self.operations.on_function(function);
        self.ahead(own, on_function.filter(of_profile)).count()
    }

    /// Returns those of some operations that hold a slot, or get one before `own`. Without `own`: before an operation
    /// that does not exist yet.
    ///
    /// The order is strict, so that operations never wait for each other after the limit was lowered.
    fn ahead(
        &self,
        own: Option<&'a Operation>,
        some: impl Iterator<Item = &'a Operation>,
    ) -> impl Iterator<Item = &'a Operation> {
        let turn = own.map(|own| self.turn(own));
        some.filter(move |other| {
            if other.is_finished() || own.is_some_and(|own| own.uid == other.uid) {
                return false;
            }
            let counts = self.holds_slot(other) || self.is_next_in_line(other);
            counts && turn.as_ref().is_none_or(|own| self.turn(other) < *own)
        })
    }

    fn turn(&self, operation: &Operation) -> Turn {
        let acts = operation.has_acted() || operation.trigger == Trigger::Manual;
        let rank = match (self.holds_slot(operation), operation.has_started()) {
            (true, _) if acts => Rank::Acting,
            (true, _) => Rank::Begun,
            (false, true) => Rank::Released,
            (false, false) => Rank::Waiting,
        };
        (rank, operation.created, operation.uid.as_str().to_owned())
    }

    fn holds_slot(&self, operation: &Operation) -> bool {
        !operation.is_finished()
            && self
                .function_rests_from(operation)
                .is_some_and(|at| self.now < at)
            && self.may_act(operation)
    }

    /// Returns the time from which no rotation function can be running for the operation. `None` = it has written
    /// nothing. If labels or versions of the secret changed after the last write, AWS may have run the rotation again.
    fn function_rests_from(&self, operation: &Operation) -> Option<AwsTime> {
        let written = written_until(operation)?;
        let arn = operation.arn.as_ref();
        let moved = arn.and_then(|arn| self.stability.last_moved(arn));
        Some(written.max(moved.unwrap_or(written)).plus(FUNCTION_AT_REST))
    }

    /// Returns whether the operation would take a slot now: an automatic operation that needs one, and that nothing
    /// else blocks.
    fn is_next_in_line(&self, operation: &Operation) -> bool {
        let rotates_yet = operation.action == Action::ClearAndRotate
            && operation.journal.entry(Step::Rotate).is_none();
        let needs_one = !operation.has_acted() || rotates_yet;
        operation.trigger == Trigger::Policy
            && needs_one
            && !self.is_deferred(operation)
            && self.may_continue(operation)
            && !self.is_behind(operation)
    }

    /// Returns whether the operation has not started because another one is in progress on its secret.
    fn is_behind(&self, operation: &Operation) -> bool {
        let Some(arn) = operation.arn.as_ref().filter(|_| !operation.has_started()) else {
            return false;
        };
        let history = History::of(arn, self.operations.on_secret(arn));
        let history = history.without_idle(|other| self.may_act(other));
        history.rival(operation, self.now).is_some()
    }

    fn permit(&self, operation: &Operation, bound_policy: &BoundPolicy) -> Permit {
        let BoundPolicy {
            tenant,
            profile,
            policy,
        } = bound_policy;
        let Some(arn) = &operation.arn else {
            return Permit::Go;
        };
        let name = arn.secret_name();
        let target = (&name, arn.region());
        let authority = authorise_by_name(tenant, profile, policy, target, operation.action);
        let consent = consent::consent_if_enforced(operation, policy, profile);
        let gate = self.gate_without_slots(operation, bound_policy);
        permit(
            operation,
            &PermitInput {
                bounds: Bounds::Within {
                    policy,
                    authority: authority.as_ref().copied(),
                    consent: &consent,
                    gate: &gate,
                },
                history: &History::of(arn, self.operations.on_secret(arn)),
                secret: None,
                // Deadlines are measured in API server time. Its clock and AWS's are close enough to decide which
                // operations may act.
                server_now: ServerTime::new(self.now.timestamp()),
                now: self.now,
            },
        )
    }

    /// Returns whether mode, windows and the latest sweep of the region let the operation act. A region that this
    /// process has not judged blocks no one here: the operation may start at any moment.
    fn gate_without_slots(&self, operation: &Operation, bound_policy: &BoundPolicy) -> Gate {
        let policy = &bound_policy.policy;
        if operation.trigger == Trigger::Manual {
            return Gate::Open;
        }
        if policy.mode == Mode::Observe {
            return Gate::Unknown;
        }
        if let Some(block) = outside_window(policy.remediation.windows.at(self.now)) {
            return Gate::Blocked(block);
        }
        let region = operation.arn.as_ref().map(crate::names::Arn::region);
        match region.and_then(|region| self.region_gates.get(&policy.uid, region)) {
            Some(RegionGate::Blocked(reason)) => Gate::Blocked(Block::indefinite(reason)),
            Some(RegionGate::Open) | None => Gate::Open,
        }
    }
}

/// Returns the time of the last write, or the end of the settle time that follows it.
fn written_until(operation: &Operation) -> Option<AwsTime> {
    let last = operation.journal.last_intent(&Step::ALL)?;
    let settles = if operation.has_acted() {
        std::time::Duration::ZERO
    } else {
        operation.confirm_after
    };
    Some(last.plus(settles))
}
