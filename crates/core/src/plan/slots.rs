//! Slots: the right to be at work, limited per policy and per rotation function.
//!
//! | An operation | holds a slot |
//! |---|---|
//! | that has written nothing | no |
//! | that has pinned and settles | yes |
//! | whose last write, or whose secret's last known change, is younger than [`FUNCTION_AT_REST`] | yes |
//! | older than that, and still verifying | no; it goes on without one |
//! | suspended, stopped, or ended | no |
//!
//! A person's operations count and never wait.

use super::{Context, RegionGate};
use crate::approval;
use crate::authorise::foresee;
use crate::clock::{AwsTime, ServerTime};
use crate::history::History;
use crate::identity::{FunctionArn, SecretName};
use crate::operation::{Action, FUNCTION_AT_REST, Operation, Step, Trigger};
use crate::ownership::Claimant;
use crate::permit::{Bounds, Circumstances, Gate, Permit, permit};
use crate::plan::gate::outside_window;
use crate::policy::Mode;

/// Who goes first, the first first: those that nothing stops any more, those that have pinned, those that wait after they
/// have begun, those that have done nothing.
type Turn = (Place, ServerTime, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Acting,
    Begun,
    Released,
    Waiting,
}

impl<'a> Context<'a> {
    /// Whether the store lets the operation take its next step, slots aside: one that may not is in nobody's way.
    pub fn may_act(&self, operation: &Operation) -> bool {
        let Some(claimant) = self.claimant(operation) else {
            return false;
        };
        matches!(
            self.permit(operation, claimant),
            Permit::Go | Permit::EndAfterUnpin(_)
        )
    }

    /// Whether it is at work on its secret, so that no other may be: it has begun and may go on, or a person's is about to
    /// begin. What waits, for whatever reason, is not.
    pub(super) fn is_at_work(&self, operation: &Operation) -> bool {
        let begins = operation.has_started() || operation.trigger == Trigger::Manual;
        !operation.is_finished() && begins && self.may_act(operation)
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
                    .claimant(other)
                    .is_some_and(|claimant| claimant.profile.name == *profile)
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
            let counts = self.holds(other) || self.is_in_line(other);
            counts && turn.as_ref().is_none_or(|own| self.turn(other) < *own)
        })
    }

    fn turn(&self, operation: &Operation) -> Turn {
        let acts = operation.has_acted() || operation.trigger == Trigger::Manual;
        let place = match (self.holds(operation), operation.has_started()) {
            (true, _) if acts => Place::Acting,
            (true, _) => Place::Begun,
            (false, true) => Place::Released,
            (false, false) => Place::Waiting,
        };
        (place, operation.created, operation.uid.as_str().to_owned())
    }

    fn holds(&self, operation: &Operation) -> bool {
        !operation.is_finished()
            && rests_from(operation).is_some_and(|at| self.now < at)
            && self.may_act(operation)
    }

    /// Whether it would take a slot now: a machine's that needs one, and that nothing else holds back.
    fn is_in_line(&self, operation: &Operation) -> bool {
        let rotates_yet = operation.action == Action::ClearAndRotate
            && operation.journal.entry(Step::Rotate).is_none();
        let needs_one = !operation.has_acted() || rotates_yet;
        operation.trigger == Trigger::Policy && needs_one && self.may_act(operation)
    }

    /// The rotation function on which an operation runs or may run: as a sweep saw it, else as it was when it began.
    fn function(&self, operation: &'a Operation) -> Option<&'a FunctionArn> {
        let arn = operation.arn.as_ref()?;
        let began = operation.baseline.as_ref();
        self.functions
            .get(arn)
            .or_else(|| began.and_then(|baseline| baseline.function.as_ref()))
    }

    fn claimant(&self, operation: &Operation) -> Option<&'a Claimant> {
        self.claimants.iter().find(|one| {
            let (key, uid) = (&one.policy.key, &operation.policy.uid);
            key.namespace == operation.key.namespace
                && key.name == operation.policy.name
                && uid.as_ref().is_none_or(|uid| *uid == one.policy.uid)
        })
    }

    fn permit(&self, operation: &Operation, claimant: &Claimant) -> Permit {
        let Claimant {
            tenant,
            profile,
            policy,
        } = claimant;
        let Some(arn) = &operation.arn else {
            return Permit::Go;
        };
        let Ok(name) = SecretName::parse(arn.name()) else {
            return Permit::Go;
        };
        let place = (&name, arn.region());
        let authority = foresee(tenant, profile, policy, place, operation.action);
        let consent = approval::foreseen(operation, policy, profile);
        let gate = self.gate_without_slots(operation, claimant);
        permit(
            operation,
            &Circumstances {
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
    fn gate_without_slots(&self, operation: &Operation, claimant: &Claimant) -> Gate {
        let policy = &claimant.policy;
        if operation.trigger == Trigger::Manual {
            return Gate::Open;
        }
        if policy.mode == Mode::Observe {
            return Gate::Unknown;
        }
        if let Some(hold) = outside_window(policy.remediation.windows.at(self.now)) {
            return Gate::Held(hold);
        }
        let region = operation.arn.as_ref().map(crate::identity::Arn::region);
        let judged = self.judged.get(&policy.uid);
        match judged.zip(region).and_then(|(all, region)| all.get(region)) {
            Some(RegionGate::Held(reason)) => Gate::Held(super::Hold::open(*reason)),
            Some(RegionGate::Open) | None => Gate::Open,
        }
    }
}

/// From when on no function can be running for it any more, if it has written.
fn rests_from(operation: &Operation) -> Option<AwsTime> {
    let last = operation.journal.last_intent(&Step::ALL)?;
    let settles = if operation.has_acted() {
        std::time::Duration::ZERO
    } else {
        operation.confirm_after
    };
    Some(last.plus(settles).plus(FUNCTION_AT_REST))
}
