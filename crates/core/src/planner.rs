//! Makes the plan: decides about each finding of a survey in turn.

mod blockers;
mod gate;
mod slots;
mod supersede;

use std::collections::BTreeSet;

pub use self::gate::gate;
use self::gate::{outside_window, region_gate, trips};
use crate::action::Action;
use crate::approval::Approval;
use crate::block::{Block, BlockReason};
use crate::consent;
use crate::history::History;
use crate::names::{Arn, ObjectKey, Region};
use crate::operation::{Expectation, Operation, Trigger};
use crate::operation_name;
use crate::pin;
use crate::plan::{Attempts, Breaker, Plan, PlanInput, Proposal};
use crate::policy::{DeletionRemedy, OverdueRemedy, Remediation, StuckRemedy};
use crate::rolled_back;
use crate::secret::PendingValue;
use crate::secret::Secret;
use crate::survey::{Finding, RemedyKind, Survey};

/// Plans what to do about the survey. It creates nothing itself, and records for every finding why nothing is done.
pub fn plan(survey: &Survey, input: &PlanInput<'_>) -> Plan {
    Planner::new(survey, input).run()
}

/// A plan in the making. What it proposes already counts against the concurrency limits.
struct Planner<'a> {
    survey: &'a Survey,
    input: &'a PlanInput<'a>,
    plan: Plan,
}

/// What to do about one finding.
enum Decision {
    Nothing,
    /// An operation is in progress, or waits for something.
    InProgress(ObjectKey, Option<Block>),
    Block(Block),
    Create(Box<Proposal>),
}

impl<'a> Planner<'a> {
    fn new(survey: &'a Survey, input: &'a PlanInput<'a>) -> Self {
        let own = input.own;
        let regions = survey.regions.iter();
        let breaker = if survey.regions.values().any(|region| trips(region, own)) {
            Breaker::Open
        } else {
            Breaker::Closed
        };
        Self {
            survey,
            input,
            plan: Plan {
                breaker,
                regions: regions
                    .map(|(region, seen)| (region.clone(), region_gate(seen, own)))
                    .collect(),
                window: input.own.policy.remediation.windows.at(input.now),
                ..Plan::default()
            },
        }
    }

    fn run(mut self) -> Plan {
        for finding in &self.survey.findings {
            self.consider(finding);
        }
        for finding in &self.survey.pinned {
            self.consider_release(finding);
        }
        self.supersede();
        self.plan.wake_at = self
            .plan
            .blocked
            .values()
            .filter_map(|block| block.until)
            .chain(self.plan.window.changes())
            .filter(|until| *until > self.input.now)
            .min();
        self.plan
    }

    fn consider(&mut self, finding: &Finding) {
        let (Some(arn), Some(secret)) = (&finding.arn, &finding.secret) else {
            if let Some(arn) = &finding.arn {
                self.plan
                    .blocked
                    .extend(self.unseen(finding).map(|block| (arn.clone(), block)));
            }
            return;
        };
        let history = self.input.history(arn);
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
            Decision::InProgress(key, block) => {
                self.plan.in_progress.insert(arn.clone(), key);
                self.plan
                    .blocked
                    .extend(block.map(|block| (arn.clone(), block)));
            }
            Decision::Block(block) => {
                self.plan.blocked.insert(arn.clone(), block);
            }
            Decision::Create(proposal) => self.plan.create.push(*proposal),
        }
    }

    fn attempts(&self, history: &History<'_>, secret: &Secret) -> Attempts {
        let policy = &self.input.own.policy;
        let window = policy.attempt_window(self.input.now);
        let count = history.attempts(secret, &window);
        let next = history
            .next_attempt(secret, policy.remediation.backoff, &window)
            .filter(|next| *next > self.input.now);
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
        let unfinished = history.unfinished(|one| self.prevents_another(one));
        let is_own = |_: &&Operation| !self.belongs_to_another_policy(finding, secret, history);
        if let Some(operation) = unfinished.filter(is_own) {
            return Decision::InProgress(
                operation.key.clone(),
                self.blocker_of(operation, &finding.region),
            );
        }
        let remediation = &self.input.own.policy.remediation;
        let remedy = match self.remedy(remediation, finding, history) {
            Some(Remedy::Act(action)) => action,
            Some(Remedy::Report) => {
                return Decision::Block(Block::indefinite(BlockReason::ObserveOnly));
            }
            Some(Remedy::LeaveAsDecided) => {
                return Decision::Block(Block::indefinite(BlockReason::ManualHold));
            }
            // Nothing is planned before the versions are known. If they may not be read, that is reported.
            None if finding.remedy_kind == RemedyKind::Unlisted => {
                return self
                    .unseen(finding)
                    .map_or(Decision::Nothing, Decision::Block);
            }
            None => return Decision::Nothing,
        };
        let owner = self.owner(finding, secret, history);
        // The order decides which reason is reported: first what only people can remove, then what was not seen, then what
        // time ends. Concurrency comes last, so that only an operation that nothing else blocks takes a slot.
        let block = self
            .not_permitted(secret, remedy, owner)
            .or_else(|| self.unseen(finding))
            .or_else(|| self.no_room_for_pin(secret, remedy))
            .or_else(|| self.blocked_in(&finding.region))
            .or_else(|| {
                let spent = self.attempt_budget(finding, secret, history);
                let early = self.not_quiet_yet(finding, secret, history, remedy);
                Block::latest([spent, early]).map(|block| self.or_outside_window_at_its_end(block))
            })
            .or_else(|| outside_window(self.plan.window))
            .or_else(|| self.concurrency_limit(secret, remedy));
        match block {
            Some(block) => Decision::Block(block),
            None => self
                .propose(finding, arn, remedy, history)
                .map_or(Decision::Nothing, |proposal| {
                    Decision::Create(Box::new(proposal))
                }),
        }
    }

    /// Replaces a block whose end lies outside every maintenance window: the attempt then waits for a window, and the
    /// status shows that from the beginning.
    fn or_outside_window_at_its_end(&self, block: Block) -> Block {
        let windows = &self.input.own.policy.remediation.windows;
        let then = block.until.map(|until| windows.at(until));
        then.and_then(outside_window).unwrap_or(block)
    }

    /// Returns whether an unfinished operation prevents another one of the policy: an automatic operation of its own,
    /// or any operation in progress.
    fn prevents_another(&self, operation: &Operation) -> bool {
        let is_own = operation.policy.uid.as_ref() == Some(&self.input.own.policy.uid);
        is_own && operation.trigger == Trigger::Policy || self.input.is_in_progress(operation)
    }

    /// Returns what prevents an operation from starting.
    fn blocker_of(&self, operation: &Operation, region: &Region) -> Option<Block> {
        if self.input.is_undecided(operation) {
            return Some(Block::indefinite(BlockReason::AwaitingApproval));
        }
        let is_own = operation.policy.uid.as_ref() == Some(&self.input.own.policy.uid);
        if operation.has_started() || operation.trigger == Trigger::Manual || !is_own {
            return None;
        }
        self.blocked_in(region)
            .or_else(|| outside_window(self.plan.window))
    }

    /// Returns the remedy of a policy for this kind of finding. `None` = no remedy exists for it.
    fn remedy(
        &self,
        remediation: &Remediation,
        finding: &Finding,
        history: &History<'_>,
    ) -> Option<Remedy> {
        Some(match finding.remedy_kind {
            RemedyKind::None | RemedyKind::Unlisted => return None,
            RemedyKind::Stuck => self
                .recovery(remediation, finding, history)
                .map_or(Remedy::Report, Remedy::Act),
            RemedyKind::RolledBack => match self.recovery(remediation, finding, history) {
                None => Remedy::Report,
                Some(action) => rolled_back::permitted_instead(action)
                    .map_or(Remedy::LeaveAsDecided, Remedy::Act),
            },
            RemedyKind::Overdue => match remediation.overdue {
                OverdueRemedy::Report => Remedy::Report,
                OverdueRemedy::Rotate => Remedy::Act(Action::Rotate),
            },
            RemedyKind::Deletion => match remediation.deletion {
                DeletionRemedy::Report => Remedy::Report,
                DeletionRemedy::RestoreSecret => Remedy::Act(Action::RestoreSecret),
            },
        })
    }

    /// Returns the action that a policy chooses for a version without progress. `None` = report only.
    fn recovery(
        &self,
        remediation: &Remediation,
        finding: &Finding,
        history: &History<'_>,
    ) -> Option<Action> {
        match remediation.stuck {
            StuckRemedy::Report => None,
            StuckRemedy::RetryRotation => Some(Action::RetryRotation),
            StuckRemedy::ClearPending => Some(Action::ClearPending),
            StuckRemedy::ClearAndRotate => Some(Action::ClearAndRotate),
            // A retry needs no pin. It is the only action left where no pin has room.
            StuckRemedy::Recover if self.has_no_room_for_a_pin(finding) => {
                Some(Action::RetryRotation)
            }
            StuckRemedy::Recover => Some(recover(finding, history)),
        }
    }

    fn has_no_room_for_a_pin(&self, finding: &Finding) -> bool {
        let secret = finding.secret.as_ref();
        finding.remedy_kind == RemedyKind::Stuck
            && secret.is_some_and(|secret| pin::check_room(secret, self.input.cluster).is_err())
    }

    fn propose(
        &self,
        finding: &Finding,
        arn: &Arn,
        action: Action,
        history: &History<'_>,
    ) -> Option<Proposal> {
        let policy = &self.input.own.policy;
        let version = finding.pending.as_ref().or(finding.current.as_ref())?;
        let taken: BTreeSet<_> = history
            .about(&policy.uid, version)
            .map(|operation| &operation.key.name)
            .collect();
        // The count alone could lead to a name that exists, once an older operation was deleted.
        let name = (taken.len()..=taken.len().saturating_mul(2))
            .filter_map(|before| {
                operation_name::automatic(policy, arn, version, before.saturating_add(1))
            })
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
            approval: consent::required(
                Approval::NotRequired,
                action,
                policy,
                &self.input.own.profile,
            ),
            confirm_after: policy.remediation.confirm_after,
        })
    }

    /// Proposes to remove the pins of failed recoveries, once a rotation has succeeded since and the secret has been
    /// healthy for an attempt window.
    fn consider_release(&mut self, finding: &Finding) {
        let (Some(arn), Some(secret)) = (&finding.arn, &finding.secret) else {
            return;
        };
        let history = self.input.history(arn);
        let window = self.input.own.policy.remediation.attempt_window;
        let releasable = pin::releasable(secret, self.input.cluster, window, self.input.now);
        if releasable.is_err()
            || history
                .unfinished(|one| self.prevents_another(one))
                .is_some()
        {
            return;
        }
        let block = self
            .not_permitted(secret, Action::ReleasePins, self.releaser(secret))
            .or_else(|| self.unseen(finding))
            .or_else(|| self.blocked_in(&finding.region))
            .or_else(|| self.attempt_budget(finding, secret, &history))
            .or_else(|| outside_window(self.plan.window));
        if let Some(block) = block.or_else(|| self.concurrency_limit(secret, Action::ReleasePins)) {
            self.plan.blocked.insert(arn.clone(), block);
            return;
        }
        let reason = "healthy for a whole attempt window since the recovery".to_owned();
        let proposal = self.propose(finding, arn, Action::ReleasePins, &history);
        self.plan
            .create
            .extend(proposal.map(|proposal| Proposal { reason, ..proposal }));
    }
}

/// The remedy of a policy for a finding.
pub(super) enum Remedy {
    Report,
    Act(Action),
    /// The action that the policy chooses would undo the decision of a person.
    LeaveAsDecided,
}

impl Remedy {
    /// Returns the action, if the remedy is one.
    pub(super) const fn action(self) -> Option<Action> {
        match self {
            Self::Act(action) => Some(action),
            Self::Report | Self::LeaveAsDecided => None,
        }
    }
}

/// Chooses the action for remedy `Recover`. A version without a value cannot have reached the target, so it is cleared.
/// A version with a value may be the only copy of the live password, and a retry can repair what a clear would break:
/// so it is retried first, once. A version that was rolled back is never retried.
fn recover(finding: &Finding, history: &History<'_>) -> Action {
    let retried = finding
        .pending
        .as_ref()
        .is_some_and(|pending| history.has_retried(pending));
    let is_over = retried || finding.remedy_kind == RemedyKind::RolledBack;
    match finding.pending_value {
        PendingValue::Empty => Action::ClearAndRotate,
        PendingValue::Present | PendingValue::Unknown | PendingValue::None if is_over => {
            Action::ClearAndRotate
        }
        PendingValue::Present | PendingValue::Unknown | PendingValue::None => Action::RetryRotation,
    }
}
