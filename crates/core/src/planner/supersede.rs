//! Waiting operations whose reason no longer exists.

use super::Planner;
use crate::action::Action;
use crate::operation::{Operation, Trigger};
use crate::policy::{DeletionRemedy, Mode, OverdueRemedy, StuckRemedy};
use crate::rolled_back::RollbackStatus;
use crate::secret::Secret;
use crate::survey::{Finding, RemedyKind, State};

impl Planner<'_> {
    /// Records the operations of this policy that have not started and whose reason no longer exists.
    pub(super) fn supersede(&mut self) {
        let own = &self.input.own.policy;
        let unfinished = self.input.operations.of_policy(&own.key);
        let waiting = unfinished.filter(|operation| {
            operation.policy.uid.as_ref() == Some(&own.uid)
                && operation.trigger == Trigger::Policy
                && !operation.has_started()
        });
        let gone = waiting.filter_map(|operation| {
            self.obsolete_because(operation)
                .map(|why| (operation.key.clone(), why.to_owned()))
        });
        self.plan.supersede = gone.collect();
    }

    fn obsolete_because(&self, operation: &Operation) -> Option<&'static str> {
        if self.input.own.policy.mode == Mode::Observe {
            return Some("the policy is now in mode Observe");
        }
        let arn = operation.arn.as_ref()?;
        let findings = self.survey.findings.iter().chain(&self.survey.pinned);
        let about = |finding: &&Finding| finding.arn.as_ref() == Some(arn);
        match findings.into_iter().find(about) {
            Some(finding)
                if finding.state == State::Unknown
                    || finding.unseen_since.is_some()
                    || finding.unreadable.is_some() =>
            {
                None
            }
            Some(finding) => self.no_longer_wanted(operation, finding),
            None => {
                let region = self.survey.regions.get(arn.region());
                let seen = region.is_some_and(|region| region.complete);
                seen.then_some("the secret no longer needs it")
            }
        }
    }

    fn no_longer_wanted(&self, operation: &Operation, finding: &Finding) -> Option<&'static str> {
        if !still_wanted(operation, finding) {
            return Some("the secret is now in another state");
        }
        let secret = finding.secret.as_ref()?;
        if self.belongs_to_another(operation, finding, secret) {
            return Some("another policy now owns the secret");
        }
        if finding.remedy_kind == RemedyKind::RolledBack {
            return self.undoes_rollback(operation.action);
        }
        (!self.asks_for(operation.action)).then_some("the policy now chooses another remedy")
    }

    fn belongs_to_another(
        &self,
        operation: &Operation,
        finding: &Finding,
        secret: &Secret,
    ) -> bool {
        if operation.action == Action::ReleasePins {
            let owner = self.releaser(secret);
            return owner.is_some_and(|owner| *owner != self.input.own.policy.key);
        }
        let history = self.input.history(&secret.arn);
        self.belongs_to_another_policy(finding, secret, &history)
    }

    /// Returns why an operation about a rolled-back version is obsolete. The only remedy left is to remove the label,
    /// if the policy clears at all.
    fn undoes_rollback(&self, action: Action) -> Option<&'static str> {
        if !RollbackStatus::RolledBack.permits(action) {
            return Some("the pending version was rolled back");
        }
        let clears = match self.input.own.policy.remediation.stuck {
            StuckRemedy::ClearPending | StuckRemedy::ClearAndRotate | StuckRemedy::Recover => true,
            StuckRemedy::Report | StuckRemedy::RetryRotation => false,
        };
        (action.clears() && !clears).then_some("the policy now chooses another remedy")
    }

    /// Returns whether the policy may still choose this action. `Recover` can choose either, depending on what is known
    /// of the version.
    const fn asks_for(&self, action: Action) -> bool {
        let remediation = &self.input.own.policy.remediation;
        match action {
            Action::RetryRotation => matches!(
                remediation.stuck,
                StuckRemedy::RetryRotation | StuckRemedy::Recover
            ),
            Action::ClearAndRotate => matches!(
                remediation.stuck,
                StuckRemedy::ClearAndRotate | StuckRemedy::Recover
            ),
            Action::ClearPending => matches!(remediation.stuck, StuckRemedy::ClearPending),
            Action::Rotate => matches!(remediation.overdue, OverdueRemedy::Rotate),
            Action::RestoreSecret => matches!(remediation.deletion, DeletionRemedy::RestoreSecret),
            Action::PromotePending
            | Action::RestorePending
            | Action::RevertToPrevious
            | Action::ReleasePins => true,
        }
    }
}

fn still_wanted(operation: &Operation, finding: &Finding) -> bool {
    match operation.action {
        Action::RetryRotation | Action::ClearPending | Action::ClearAndRotate => {
            let stuck = matches!(
                finding.remedy_kind,
                RemedyKind::Stuck | RemedyKind::RolledBack | RemedyKind::Unlisted
            );
            stuck && finding.pending == operation.expect.pending
        }
        Action::Rotate => {
            finding.remedy_kind == RemedyKind::Overdue
                && finding.current == operation.expect.current
        }
        Action::ReleasePins => {
            finding.state == State::Healthy && finding.current == operation.expect.current
        }
        Action::RestoreSecret => finding.remedy_kind == RemedyKind::Deletion,
        Action::PromotePending | Action::RestorePending | Action::RevertToPrevious => false,
    }
}
