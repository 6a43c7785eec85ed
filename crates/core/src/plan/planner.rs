//! Goes through a survey finding by finding and decides about each.

use std::collections::BTreeSet;

use super::{
    Attempts, BlockReason, Breaker, Context, Hold, Plan, Proposal, outside_window, releasable,
};
use crate::approval;
use crate::authorise::may_act;
use crate::clock::AwsTime;
use crate::history::History;
use crate::identity::{Arn, FunctionArn, ObjectKey};
use crate::naming;
use crate::operation::{Action, Expectation, Failure, Operation, Outcome, PendingValue, Trigger};
use crate::ownership::owner;
use crate::pin;
use crate::policy::{DeletionRemedy, Mode, OverdueRemedy, StuckRemedy, Suspension};
use crate::rotation_window;
use crate::secret::{HandsOff, Secret};
use crate::survey::{Ailment, Finding, State, Survey};

/// A plan in the making: what it has created so far takes up places.
pub(super) struct Planner<'a> {
    survey: &'a Survey,
    context: &'a Context<'a>,
    breaker: Breaker,
    plan: Plan,
}

/// What is to be done about one finding.
enum Decision {
    Nothing,
    AtWork(ObjectKey),
    AwaitingApproval(ObjectKey),
    Hold(Hold),
    Create(Box<Proposal>),
}

impl<'a> Planner<'a> {
    pub(super) fn new(survey: &'a Survey, context: &'a Context<'a>, breaker: Breaker) -> Self {
        Self {
            survey,
            context,
            breaker,
            plan: Plan {
                breaker,
                window: context.own.policy.remediation.windows.at(context.now),
                ..Plan::default()
            },
        }
    }

    pub(super) fn run(mut self) -> Plan {
        for finding in &self.survey.findings {
            self.consider(finding);
        }
        for finding in &self.survey.pinned {
            self.consider_release(finding);
        }
        self.supersede();
        self.plan.wake_at = self
            .plan
            .held
            .values()
            .filter_map(|hold| hold.until)
            .chain(self.plan.window.changes())
            .filter(|until| *until > self.context.now)
            .min();
        self.plan
    }

    fn consider(&mut self, finding: &Finding) {
        let (Some(arn), Some(secret)) = (&finding.arn, &finding.secret) else {
            return;
        };
        let history = History::of(arn, self.context.operations);
        let attempts = self.attempts(&history, secret);
        let decision = self.decide(finding, arn, secret, &history);
        self.record(arn, attempts, decision);
    }

    fn record(&mut self, arn: &Arn, attempts: Attempts, decision: Decision) {
        if attempts.count > 0 {
            self.plan.attempts.insert(arn.clone(), attempts);
        }
        match decision {
            Decision::Nothing => {}
            Decision::AtWork(key) => {
                self.plan.at_work.insert(arn.clone(), key);
            }
            Decision::AwaitingApproval(key) => {
                self.plan.at_work.insert(arn.clone(), key);
                let hold = Hold::open(BlockReason::AwaitingApproval);
                self.plan.held.insert(arn.clone(), hold);
            }
            Decision::Hold(hold) => {
                self.plan.held.insert(arn.clone(), hold);
            }
            Decision::Create(proposal) => self.plan.create.push(*proposal),
        }
    }

    fn attempts(&self, history: &History<'_>, secret: &Secret) -> Attempts {
        let policy = &self.context.own.policy;
        let window = policy.attempt_window(self.context.now);
        let count = history.attempts(secret, &window);
        let next = history
            .next_attempt(secret, policy.remediation.backoff, &window)
            .filter(|next| *next > self.context.now);
        Attempts {
            count,
            next: next.filter(|_| count > 0),
        }
    }

    fn decide(
        &self,
        finding: &Finding,
        arn: &Arn,
        secret: &Secret,
        history: &History<'_>,
    ) -> Decision {
        let Some(remedy) = self.remedy(finding, history) else {
            return Decision::Nothing;
        };
        let unfinished = history.unfinished();
        if let Some(operation) = unfinished.filter(|_| !self.steps_back(secret)) {
            let key = operation.key.clone();
            return if self.context.is_undecided(operation) {
                Decision::AwaitingApproval(key)
            } else {
                Decision::AtWork(key)
            };
        }
        let remedy = match remedy {
            Remedy::Act(action) => action,
            Remedy::Report => return Decision::Hold(Hold::open(BlockReason::ObserveOnly)),
        };
        let hold = self
            .forbidden(secret, remedy)
            .or_else(|| self.too_much())
            .or_else(|| self.spent(finding, secret, history))
            .or_else(|| self.too_early(finding, secret, history, remedy))
            .or_else(|| outside_window(self.plan.window))
            .or_else(|| self.crowded(secret, remedy));
        match hold {
            Some(hold) => Decision::Hold(hold),
            None => self
                .propose(finding, arn, remedy, history)
                .map_or(Decision::Nothing, |proposal| {
                    Decision::Create(Box::new(proposal))
                }),
        }
    }

    /// What the policy wants done about this kind of finding; `None` if nothing could be done.
    fn remedy(&self, finding: &Finding, history: &History<'_>) -> Option<Remedy> {
        let remediation = &self.context.own.policy.remediation;
        Some(match finding.ailment {
            Ailment::Untreatable => return None,
            Ailment::Stuck => match remediation.stuck {
                StuckRemedy::Report => Remedy::Report,
                StuckRemedy::RetryRotation => Remedy::Act(Action::RetryRotation),
                StuckRemedy::ClearPending => Remedy::Act(Action::ClearPending),
                StuckRemedy::ClearAndRotate => Remedy::Act(Action::ClearAndRotate),
                StuckRemedy::Recover => Remedy::Act(recovery(finding, history)),
            },
            Ailment::Overdue => match remediation.overdue {
                OverdueRemedy::Report => Remedy::Report,
                OverdueRemedy::Rotate => Remedy::Act(Action::Rotate),
            },
            Ailment::Deletion => match remediation.deletion {
                DeletionRemedy::Report => Remedy::Report,
                DeletionRemedy::RestoreSecret => Remedy::Act(Action::RestoreSecret),
            },
        })
    }

    /// Reasons that only people can take away.
    fn forbidden(&self, secret: &Secret, action: Action) -> Option<Hold> {
        let own = self.context.own;
        let hands_off = match action {
            Action::RestoreSecret => secret.belongs_to_others(),
            Action::RetryRotation
            | Action::Rotate
            | Action::ClearPending
            | Action::ClearAndRotate
            | Action::PromotePending
            | Action::RestorePending
            | Action::RevertToPrevious
            | Action::ReleasePins => secret.hands_off(),
        };
        let reason = match hands_off {
            Some(HandsOff::RotationDisabled) => Some(BlockReason::RotationDisabled),
            Some(_) => Some(BlockReason::Ineligible),
            None if own.policy.mode == Mode::Observe => Some(BlockReason::ObserveOnly),
            None if own.policy.suspension == Suspension::Suspended => Some(BlockReason::Suspended),
            None if may_act(&own.profile, action).is_err() => Some(BlockReason::ActionNotAllowed),
            None if owner(secret, self.context.claimants) != Some(&own.policy.key) => {
                Some(BlockReason::Conflict)
            }
            None if self.pinned_by_another_cluster(secret) => Some(BlockReason::Conflict),
            None => None,
        };
        reason.map(Hold::open)
    }

    /// Whether another policy takes care of the secret, although this one would: what is at work there is not its own.
    fn steps_back(&self, secret: &Secret) -> bool {
        let own = &self.context.own.policy;
        own.acts() && owner(secret, self.context.claimants).is_some_and(|owner| *owner != own.key)
    }

    fn pinned_by_another_cluster(&self, secret: &Secret) -> bool {
        let window = self.context.own.policy.remediation.attempt_window;
        pin::on(secret).any(|(_, _, pin)| {
            pin.cluster != *self.context.cluster && pin.is_within(window, self.context.now)
        })
    }

    /// Too much at once for a machine to be trusted with.
    fn too_much(&self) -> Option<Hold> {
        if self.survey.selected > self.context.own.policy.selector.max_secrets {
            return Some(Hold::open(BlockReason::SelectionTooLarge));
        }
        (self.breaker == Breaker::Open).then(|| Hold::open(BlockReason::CircuitBreakerOpen))
    }

    /// Budgets of this secret: attempts, back-off, and respect for what a person did.
    fn spent(&self, finding: &Finding, secret: &Secret, history: &History<'_>) -> Option<Hold> {
        let (policy, now) = (&self.context.own.policy, self.context.now);
        let window = policy.attempt_window(now);
        if let Some(until) = history.manual_hold(window.length, now) {
            return Some(Hold::until(BlockReason::ManualHold, until));
        }
        if history.attempts(secret, &window) >= policy.remediation.max_attempts {
            return Some(Hold {
                reason: BlockReason::AttemptsExhausted,
                until: history.budget_returns(secret, &window),
            });
        }
        if let Some(until) = history
            .restored_until(&window)
            .filter(|_| finding.ailment == Ailment::Deletion)
        {
            return Some(Hold::until(BlockReason::AttemptsExhausted, until));
        }
        let next = history
            .next_attempt(secret, policy.remediation.backoff, &window)
            .filter(|next| *next > now);
        next.map(|next| Hold::until(BlockReason::BackingOff, next))
            .or_else(|| self.failed_before(finding, history))
    }

    /// Operations that failed before they did anything count as no attempt, but they too must not follow one another at once.
    fn failed_before(&self, finding: &Finding, history: &History<'_>) -> Option<Hold> {
        let subject = finding.pending.as_ref().or(finding.current.as_ref())?;
        let failed: Vec<_> = history
            .about(&self.context.own.policy.uid, subject)
            .filter_map(failure)
            .collect();
        let (last, reason) = failed.iter().max_by_key(|(at, _)| *at)?;
        let remediation = &self.context.own.policy.remediation;
        let backoff = remediation.backoff;
        let (reason, pause) = match reason {
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
        (until > self.context.now).then(|| Hold::until(reason, until))
    }

    /// Acting on a stuck rotation needs quiet by AWS's own dates, whatever status remembers.
    fn too_early(
        &self,
        finding: &Finding,
        secret: &Secret,
        history: &History<'_>,
        action: Action,
    ) -> Option<Hold> {
        if finding.ailment != Ailment::Stuck {
            return None;
        }
        let now = self.context.now;
        let Some(quiet_since) = history.quiet_since(secret) else {
            return Some(Hold::open(BlockReason::RecentlyChanged));
        };
        let ripe = quiet_since.plus(self.context.own.policy.detection.stuck_after);
        if now < ripe {
            return Some(Hold::until(BlockReason::RecentlyChanged, ripe));
        }
        let retried_by_aws = action.clears() && finding.pending_value != PendingValue::Empty;
        let closes =
            rotation_window::closes_at(secret, quiet_since, now).filter(|_| retried_by_aws)?;
        Some(Hold::until(BlockReason::RotationWindowOpen, closes))
    }

    /// Places at work, counting what this plan creates.
    fn crowded(&self, secret: &Secret, action: Action) -> Option<Hold> {
        let own = self.context.own;
        let in_policy = self.context.unfinished_of_policy() + self.plan.create.len();
        let function = secret.function().filter(|_| action.rotates());
        let on_function = function.map_or(0, |function| {
            self.context.unfinished_on(function) + self.proposed_on(function)
        });
        let full = in_policy >= own.policy.remediation.max_concurrent
            || on_function >= own.profile.max_concurrent_per_function;
        full.then(|| Hold::open(BlockReason::ConcurrencyLimit))
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

    fn propose(
        &self,
        finding: &Finding,
        arn: &Arn,
        action: Action,
        history: &History<'_>,
    ) -> Option<Proposal> {
        let policy = &self.context.own.policy;
        let subject = finding.pending.as_ref().or(finding.current.as_ref())?;
        let taken: BTreeSet<_> = history
            .about(&policy.uid, subject)
            .map(|operation| &operation.key.name)
            .collect();
        // Counting alone would meet a taken name again once an older operation was deleted.
        let name = (taken.len()..=taken.len().saturating_mul(2))
            .filter_map(|before| naming::operation(policy, arn, subject, before.saturating_add(1)))
            .find(|name| !taken.contains(name))?;
        Some(Proposal {
            name,
            arn: arn.clone(),
            secret: finding.name.clone(),
            region: finding.region.clone(),
            action,
            expect: Expectation {
                current: finding.current.clone(),
                pending: finding.pending.clone(),
                deleted: finding.secret.as_ref().and_then(|secret| secret.deleted),
                ..Expectation::default()
            },
            reason: finding.message.clone(),
            approval: approval::required(
                approval::Approval::NotRequired,
                action,
                policy,
                &self.context.own.profile,
            ),
            confirm_after: policy.remediation.confirm_after,
        })
    }

    /// Pins that failed recoveries left are taken away once a rotation has succeeded since and all has long been well.
    fn consider_release(&mut self, finding: &Finding) {
        let (Some(arn), Some(secret)) = (&finding.arn, &finding.secret) else {
            return;
        };
        let history = History::of(arn, self.context.operations);
        let window = self.context.own.policy.remediation.attempt_window;
        let releasable = releasable(secret, self.context.cluster, window, self.context.now);
        if releasable.is_err() || history.unfinished().is_some() {
            return;
        }
        let held = self
            .forbidden(secret, Action::ReleasePins)
            .or_else(|| self.too_much())
            .or_else(|| self.spent(finding, secret, &history))
            .or_else(|| outside_window(self.plan.window));
        if let Some(hold) = held.or_else(|| self.crowded(secret, Action::ReleasePins)) {
            self.plan.held.insert(arn.clone(), hold);
            return;
        }
        let reason = "healthy for a whole attempt window since the recovery".to_owned();
        let proposal = self.propose(finding, arn, Action::ReleasePins, &history);
        self.plan
            .create
            .extend(proposal.map(|proposal| Proposal { reason, ..proposal }));
    }

    /// Operations that wait although what they were made for is gone.
    fn supersede(&mut self) {
        let own = &self.context.own.policy;
        let waiting = self.context.operations.iter().filter(|operation| {
            operation.policy.uid.as_ref() == Some(&own.uid)
                && operation.trigger == Trigger::Policy
                && !operation.is_finished()
                && !operation.has_started()
        });
        let gone = waiting.filter_map(|operation| {
            self.pointless(operation)
                .map(|why| (operation.key.clone(), why.to_owned()))
        });
        self.plan.supersede = gone.collect();
    }

    fn pointless(&self, operation: &Operation) -> Option<&'static str> {
        if self.context.own.policy.mode == Mode::Observe {
            return Some("the policy is in mode Observe now");
        }
        let arn = operation.arn.as_ref()?;
        let findings = self.survey.findings.iter().chain(&self.survey.pinned);
        let about = |finding: &&Finding| finding.arn.as_ref() == Some(arn);
        match findings.into_iter().find(about) {
            Some(finding) if finding.state == State::Unknown => None,
            Some(finding) => {
                (!still_wanted(operation, finding)).then_some("the secret is in another state now")
            }
            None => self
                .survey
                .complete
                .then_some("the secret needs it no longer"),
        }
    }
}

enum Remedy {
    Report,
    Act(Action),
}

impl Hold {
    /// Held back until something other than time changes.
    pub const fn open(reason: BlockReason) -> Self {
        Self {
            reason,
            until: None,
        }
    }

    const fn until(reason: BlockReason, until: AwsTime) -> Self {
        Self {
            reason,
            until: Some(until),
        }
    }
}

/// A version without a value cannot have reached the target: it is cleared. One with a value may be the only copy of the
/// live password, and running it again heals what clearing would break: that comes first, once.
fn recovery(finding: &Finding, history: &History<'_>) -> Action {
    let retried = finding
        .pending
        .as_ref()
        .is_some_and(|pending| history.has_retried(pending));
    match finding.pending_value {
        PendingValue::Empty => Action::ClearAndRotate,
        PendingValue::Present | PendingValue::Unknown | PendingValue::None if retried => {
            Action::ClearAndRotate
        }
        PendingValue::Present | PendingValue::Unknown | PendingValue::None => Action::RetryRotation,
    }
}

fn failure(operation: &Operation) -> Option<(AwsTime, Failure)> {
    match (&operation.outcome, operation.completed) {
        (Some(Outcome::Failed { reason, .. }), Some(at)) => Some((at, *reason)),
        (Some(Outcome::Failed { .. } | Outcome::Succeeded { .. }) | None, _) => None,
    }
}

fn still_wanted(operation: &Operation, finding: &Finding) -> bool {
    match operation.action {
        Action::RetryRotation | Action::ClearPending | Action::ClearAndRotate => {
            finding.ailment == Ailment::Stuck && finding.pending == operation.expect.pending
        }
        Action::Rotate => {
            finding.ailment == Ailment::Overdue && finding.current == operation.expect.current
        }
        Action::ReleasePins => {
            finding.state == State::Healthy && finding.current == operation.expect.current
        }
        Action::RestoreSecret => finding.ailment == Ailment::Deletion,
        Action::PromotePending | Action::RestorePending | Action::RevertToPrevious => false,
    }
}
