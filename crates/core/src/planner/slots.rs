//! Slots: the right to be at work, limited per policy and per rotation function.
//!
//! | An operation | holds a slot |
//! |---|---|
//! | that has written nothing | no |
//! | that has pinned and settles | yes |
//! | whose last write, or the last move of a label or version of its secret, is younger than [`FUNCTION_AT_REST`] | yes |
//! | older than that, and still verifying | no; it goes on without one |
//! | suspended, stopped, or ended | no |
//!
//! Those that wait for a slot stand in line, the oldest first; whoever waits for something else as well, or only ends, lets
//! others pass.
//! A person's operations count and never wait.

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

/// Who goes first, the first first: those that nothing stops any more, those that have pinned, those that wait after they
/// have begun, those that have done nothing.
type Turn = (Rank, ServerTime, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Acting,
    Begun,
    Released,
    Waiting,
}

impl<'a> PlanInput<'a> {
    /// Whether the store lets the operation take its next step, slots aside: one that may not is in nobody's way.
    pub fn may_act(&self, operation: &Operation) -> bool {
        let Some(bound_policy) = self.bound_policy(operation) else {
            return false;
        };
        matches!(
            self.permit(operation, bound_policy),
            Permit::Go | Permit::EndAfterUnpin(_)
        )
    }

    /// Whether it may take its next step and is not only to take its pin back.
    fn may_continue(&self, operation: &Operation) -> bool {
        let bound_policy = self.bound_policy(operation);
        bound_policy.is_some_and(|bound_policy| self.permit(operation, bound_policy) == Permit::Go)
    }

    /// Whether it is at work on its secret, so that no other may be: it has begun and may go on, or a person's is about to
    /// begin. What waits, for whatever reason, is not.
    pub(super) fn is_in_progress(&self, operation: &Operation) -> bool {
        let begins = operation.trigger == Trigger::Manual && !self.is_deferred(operation);
        !operation.is_finished() && (operation.has_started() || begins) && self.may_act(operation)
    }

    /// Whether it has not begun, and could not when it last tried.
    fn is_deferred(&self, operation: &Operation) -> bool {
        !operation.has_started() && self.deferred.contains(&operation.key)
    }

    /// How many slots of the policy are taken by others, before it is this operation's turn.
    pub(super) fn ahead_in_policy(&self, own: Option<&'a Operation>) -> usize {
        let uid = &self.own.policy.uid;
        let automatic = |other: &Operation| {
            other.policy.uid.as_ref() == Some(uid) && other.trigger == Trigger::Policy
        };
        self.ahead(own, automatic).count()
    }

    /// The same for a rotation function, over all policies of the profile.
    pub(super) fn ahead_on(&self, function: &FunctionArn, own: Option<&'a Operation>) -> usize {
        let profile = &self.own.profile.name;
        let runs_there = |other: &'a Operation| {
            other.action.rotates()
                && self.function(other) == Some(function)
                && self
                    .bound_policy(other)
                    .is_some_and(|bound_policy| bound_policy.profile.name == *profile)
        };
        self.ahead(own, runs_there).count()
    }

    /// Those that hold a slot, or are next in line for one, before `own`; without it, before one that does not exist yet.
    ///
    /// The order is strict, so that none wait for each other where the number of slots was lowered.
    fn ahead(
        &self,
        own: Option<&'a Operation>,
        concerned: impl Fn(&'a Operation) -> bool,
    ) -> impl Iterator<Item = &'a Operation> {
        let turn = own.map(|own| self.turn(own));
        self.operations.iter().filter(move |other| {
            let is_own = own.is_some_and(|own| own.uid == other.uid);
            // What costs little is asked first: there may be many operations.
            if other.is_finished() || is_own || !concerned(other) {
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

    /// From when on no function can be running for it any more, if it has written. What moved the labels or versions of its
    /// secret since may have been AWS that runs the rotation again.
    fn function_rests_from(&self, operation: &Operation) -> Option<AwsTime> {
        let written = written_until(operation)?;
        let arn = operation.arn.as_ref();
        let moved = arn.and_then(|arn| self.stability.last_moved(arn));
        Some(written.max(moved.unwrap_or(written)).plus(FUNCTION_AT_REST))
    }

    /// Whether it would take a slot now: a machine's that needs one, and that nothing else holds back.
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

    /// Whether it has not begun because another one is at work on its secret.
    fn is_behind(&self, operation: &Operation) -> bool {
        let Some(arn) = operation.arn.as_ref().filter(|_| !operation.has_started()) else {
            return false;
        };
        let history = History::of(arn, self.operations).without_idle(|other| self.may_act(other));
        history.rival(operation, self.now).is_some()
    }

    /// The rotation function on which an operation runs or may run: as a sweep saw it, else as it was when it began.
    fn function(&self, operation: &'a Operation) -> Option<&'a FunctionArn> {
        let arn = operation.arn.as_ref()?;
        let began = operation.baseline.as_ref();
        self.functions
            .get(arn)
            .or_else(|| began.and_then(|baseline| baseline.function.as_ref()))
    }

    fn bound_policy(&self, operation: &Operation) -> Option<&'a BoundPolicy> {
        self.bound_policies.iter().find(|one| {
            let (key, uid) = (&one.policy.key, &operation.policy.uid);
            key.namespace == operation.key.namespace
                && key.name == operation.policy.name
                && uid.as_ref().is_none_or(|uid| *uid == one.policy.uid)
        })
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
                history: &History::of(arn, self.operations),
                secret: None,
                // Deadlines are the API server's; its clock and AWS's are close enough to tell who may be in the way.
                server_now: ServerTime::new(self.now.timestamp()),
                now: self.now,
            },
        )
    }

    /// Mode, windows, and what the latest sweep of the region allows. What this process has not judged holds nobody back
    /// here: it may begin at any moment.
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
        let region_gates = self.region_gates.get(&policy.uid);
        match region_gates
            .zip(region)
            .and_then(|(all, region)| all.get(region))
        {
            Some(RegionGate::Blocked(reason)) => Gate::Blocked(Block::indefinite(*reason)),
            Some(RegionGate::Open) | None => Gate::Open,
        }
    }
}

/// Its last write, or the end of the settling that follows it.
fn written_until(operation: &Operation) -> Option<AwsTime> {
    let last = operation.journal.last_intent(&Step::ALL)?;
    let settles = if operation.has_acted() {
        std::time::Duration::ZERO
    } else {
        operation.confirm_after
    };
    Some(last.plus(settles))
}
