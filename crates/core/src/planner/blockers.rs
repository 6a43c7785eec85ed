//! Why nothing is done about a finding now: one function per question, each with a reason as its answer.

use std::collections::BTreeSet;

use super::Planner;
use crate::action::{Action, Step};
use crate::authorise::{active, may_act};
use crate::aws_error::ErrorClass;
use crate::block::{Block, BlockReason};
use crate::history::History;
use crate::names::{FunctionArn, ObjectKey, Region};
use crate::operation::{Failure, Operation, Outcome};
use crate::ownership::{BoundPolicy, owner};
use crate::pin;
use crate::plan::RegionGate;
use crate::policy::Mode;
use crate::rotation_window;
use crate::secret::PendingValue;
use crate::secret::{Exclusion, Secret};
use crate::stability;
use crate::survey::{Finding, RemedyKind};
use crate::time::AwsTime;

impl Planner<'_> {
    /// Returns a reason that only people can remove. `owner` is the policy that owns the secret.
    pub(super) fn not_permitted(
        &self,
        secret: &Secret,
        action: Action,
        owner: Option<&ObjectKey>,
    ) -> Option<Block> {
        let own = self.input.own;
        let reason = match secret.exclusion(action) {
            Some(Exclusion::RotationDisabled) => Some(BlockReason::RotationDisabled),
            Some(_) => Some(BlockReason::Ineligible),
            None if own.policy.mode == Mode::Observe => Some(BlockReason::ObserveOnly),
            None if is_suspended(own) => Some(BlockReason::Suspended),
            None if may_act(&own.profile, action).is_err() => Some(BlockReason::ActionNotAllowed),
            None if owner != Some(&own.policy.key) => Some(BlockReason::Conflict),
            None if pin::is_foreign(secret, self.input.cluster, &own.policy, self.input.now) => {
                Some(BlockReason::Conflict)
            }
            None => None,
        };
        reason.map(Block::indefinite)
    }

    /// Returns the policy that owns the secret of a finding. Each policy is asked for the remedy that it would choose.
    pub(super) fn owner(
        &self,
        finding: &Finding,
        secret: &Secret,
        history: &History<'_>,
    ) -> Option<&ObjectKey> {
        owner(secret, self.candidates(secret), |bound_policy| {
            self.remedy(&bound_policy.policy.remediation, finding, history)?
                .action()
        })
    }

    /// Returns the policy that removes the pins of this cluster from a healthy secret.
    pub(super) fn releaser(&self, secret: &Secret) -> Option<&ObjectKey> {
        owner(secret, self.candidates(secret), |_| {
            Some(Action::ReleasePins)
        })
    }

    fn candidates(&self, secret: &Secret) -> impl Iterator<Item = &BoundPolicy> {
        self.input.bound_policies.that_may_include(&secret.name)
    }

    /// Returns whether another policy owns the secret, although this policy would act on it too. An operation in
    /// progress there does not belong to this policy.
    pub(super) fn belongs_to_another_policy(
        &self,
        finding: &Finding,
        secret: &Secret,
        history: &History<'_>,
    ) -> bool {
        let own = &self.input.own.policy;
        let remedy = self.remedy(&own.remediation, finding, history);
        let would = own.acts() && remedy.is_some_and(|remedy| remedy.action().is_some());
        would
            && self
                .owner(finding, secret, history)
                .is_some_and(|owner| *owner != own.key)
    }

    /// Blocks actions on a secret that the latest sweep could not see completely. If the circuit breaker blocks the
    /// region, the reason is the circuit breaker: that is the more serious one.
    pub(super) fn unseen(&self, finding: &Finding) -> Option<Block> {
        let reason = match finding.unreadable {
            Some(ErrorClass::Denied) => BlockReason::AccessDenied,
            Some(_) => BlockReason::SweepIncomplete,
            None => {
                finding.unseen_since?;
                let region = self.plan.regions.get(&finding.region);
                let breaker = RegionGate::Blocked(BlockReason::CircuitBreakerOpen);
                if region == Some(&breaker) {
                    BlockReason::CircuitBreakerOpen
                } else {
                    BlockReason::SweepIncomplete
                }
            }
        };
        Some(Block::indefinite(reason))
    }

    /// Returns what prevents automatic operations from starting in the region.
    pub(super) fn blocked_in(&self, region: &Region) -> Option<Block> {
        match self.plan.regions.get(region) {
            Some(RegionGate::Open) => None,
            Some(RegionGate::Blocked(reason)) => Some(Block::indefinite(*reason)),
            None => Some(Block::indefinite(BlockReason::SweepIncomplete)),
        }
    }

    /// Returns the budget of this secret that is used up: attempts, back-off, or the hold after an action of a person.
    pub(super) fn attempt_budget(
        &self,
        finding: &Finding,
        secret: &Secret,
        history: &History<'_>,
    ) -> Option<Block> {
        let (policy, now) = (&self.input.own.policy, self.input.now);
        let window = policy.attempt_window(now);
        let restored = history
            .restored_until(&window)
            .filter(|_| finding.remedy_kind == RemedyKind::Deletion)
            .map(|until| Block::until(BlockReason::AttemptsExhausted, until));
        let failed = self.failed_before(finding, history);
        Block::latest([history.budget(secret, policy, now), restored, failed])
    }

    /// Delays the next operation after failures. Operations that failed before they changed anything are no attempts,
    /// but they too must not follow one another at once.
    fn failed_before(&self, finding: &Finding, history: &History<'_>) -> Option<Block> {
        let version = finding.pending.as_ref().or(finding.current.as_ref())?;
        let failed: Vec<_> = history
            .made_for(&self.input.own.policy.key, version)
            .filter_map(failure)
            .filter(|(_, reason, _)| *reason != Failure::PolicyGone)
            .collect();
        let (last, reason, operation) = failed.iter().max_by_key(|(at, ..)| *at)?;
        let remediation = &self.input.own.policy.remediation;
        let backoff = remediation.backoff;
        let (reason, pause) = match reason {
            // Only a person can grant the permission that is missing.
            Failure::Refused if cannot_invoke(operation) => (BlockReason::BackingOff, backoff.max),
            Failure::AccessDenied => (BlockReason::AccessDenied, backoff.max),
            Failure::PinExhausted => (BlockReason::PinExhausted, backoff.max),
            Failure::Rejected => (BlockReason::ManualHold, remediation.attempt_window),
            Failure::Superseded
            | Failure::PreconditionFailed
            | Failure::Refused
            | Failure::RotationDidNotFinish
            | Failure::Expired
            | Failure::NotAuthorised
            | Failure::PolicyGone
            | Failure::Gone
            | Failure::AwsUnavailable
            | Failure::Unexpected => (BlockReason::BackingOff, backoff.after(failed.len())),
        };
        let until = last.plus(pause);
        (until > self.input.now).then(|| Block::until(reason, until))
    }

    /// Blocks a clear where no pin has room: nothing is cleared without a pin, and no operation is created only to find
    /// that out.
    pub(super) fn no_room_for_pin(&self, secret: &Secret, action: Action) -> Option<Block> {
        let is_full = pin::check_room(secret, self.input.cluster).is_err();
        (action.clears() && is_full).then(|| Block::indefinite(BlockReason::PinExhausted))
    }

    /// Blocks an action on a stuck rotation until the secret is quiet by AWS's own dates, regardless of what the status
    /// contains.
    pub(super) fn not_quiet_yet(
        &self,
        finding: &Finding,
        secret: &Secret,
        history: &History<'_>,
        action: Action,
    ) -> Option<Block> {
        if !matches!(
            finding.remedy_kind,
            RemedyKind::Stuck | RemedyKind::RolledBack
        ) {
            return None;
        }
        let now = self.input.now;
        let Some(quiet_since) = history.quiet_since(secret) else {
            return Some(Block::indefinite(BlockReason::RecentlyChanged));
        };
        let earliest = quiet_since.plus(self.input.own.policy.detection.stuck_after);
        if now < earliest {
            return self.changed_recently(finding, history, action, earliest);
        }
        let retried_by_aws = action.clears() && finding.pending_value != PendingValue::Empty;
        let closes =
            rotation_window::closes_at(secret, quiet_since, now).filter(|_| retried_by_aws)?;
        Some(Block::until(BlockReason::RotationWindowOpen, closes))
    }

    /// Blocks a secret that changed too recently by its date. If something keeps changing it, that date is never old
    /// enough. A version without a value may then be cleared once labels and versions have not changed for a long time.
    /// For a version with a value no time can be given.
    fn changed_recently(
        &self,
        finding: &Finding,
        history: &History<'_>,
        action: Action,
        earliest: AwsTime,
    ) -> Option<Block> {
        let Some(stability) = finding
            .stability
            .as_ref()
            .filter(|stability| stability.keeps_changing())
        else {
            return Some(Block::until(BlockReason::RecentlyChanged, earliest));
        };
        let written = history.last_write();
        let after_write = written.map(|at| at.plus(self.input.own.policy.detection.stuck_after));
        let clearable = stability::clearable_from(stability.since, finding.pending_value)
            .filter(|_| action.clears())
            .map(|from| after_write.map_or(from, |earliest| earliest.max(from)));
        match clearable {
            Some(from) if from <= self.input.now => None,
            Some(from) => Some(Block::until(BlockReason::RecentlyChanged, from)),
            None => Some(Block::indefinite(BlockReason::RecentlyChanged)),
        }
    }

    /// Blocks the action if every concurrency slot is taken, including those of operations that this plan creates.
    pub(super) fn concurrency_limit(&self, secret: &Secret, action: Action) -> Option<Block> {
        let own = self.input.own;
        let in_policy = self.input.ahead_in_policy(None) + self.plan.create.len();
        let function = secret.function().filter(|_| action.rotates());
        let on_function = function.map_or(0, |function| {
            self.input.ahead_on(function, None) + self.proposed_on(function)
        });
        let full = in_policy >= own.policy.remediation.max_concurrent
            || on_function >= own.profile.max_concurrent_per_function;
        full.then(|| Block::indefinite(BlockReason::ConcurrencyLimit))
    }

    fn proposed_on(&self, function: &FunctionArn) -> usize {
        let proposed: BTreeSet<_> = self
            .plan
            .create
            .iter()
            .filter(|proposal| proposal.action.rotates())
            .map(|proposal| &proposal.arn)
            .collect();
        let secrets = self
            .survey
            .findings
            .iter()
            .filter_map(|finding| finding.secret.as_ref());
        secrets
            .filter(|secret| proposed.contains(&secret.arn) && secret.function() == Some(function))
            .count()
    }
}

/// Returns whether the policy is suspended or being deleted, or its profile suspended.
fn is_suspended(own: &BoundPolicy) -> bool {
    own.policy.deletion_requested.is_some() || active(&own.policy, &own.profile).is_err()
}

fn cannot_invoke(operation: &Operation) -> bool {
    let rotate = operation.journal.entry(Step::Rotate);
    rotate.is_some_and(|rotate| rotate.refusal() == Some(ErrorClass::CannotInvoke))
}

fn failure(operation: &Operation) -> Option<(AwsTime, Failure, &Operation)> {
    match (&operation.outcome, operation.completed) {
        (Some(Outcome::Failed { reason, .. }), Some(at)) => Some((at, *reason, operation)),
        (Some(Outcome::Failed { .. } | Outcome::Succeeded { .. }) | None, _) => None,
    }
}
