//! Operations that wait although what they were made for is gone.

use super::planner::Planner;
use crate::action::Action;
use crate::operation::{Operation, Trigger};
use crate::policy::{DeletionRemedy, Mode, OverdueRemedy, StuckRemedy};
use crate::rolled_back::RollbackStatus;
use crate::secret::Secret;
use crate::survey::{Finding, RemedyKind, State};

impl Planner<'_> {
    /// Notes them down.
    pub(super) fn supersede(&mut self) {
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
                seen.then_some("the secret needs it no longer")
            }
        }
    }

    fn no_longer_wanted(&self, operation: &Operation, finding: &Finding) -> Option<&'static str> {
        if !still_wanted(operation, finding) {
            return Some("the secret is in another state now");
        }
        let secret = finding.secret.as_ref()?;
        if self.is_of_another(operation, finding, secret) {
            return Some("another policy takes care of the secret now");
        }
        if finding.ailment == RemedyKind::RolledBack {
            return self.undoes_a_decision(operation.action);
        }
        (!self.asks_for(operation.action)).then_some("the policy asks for something else now")
    }

    fn is_of_another(&self, operation: &Operation, finding: &Finding, secret: &Secret) -> bool {
        if operation.action == Action::ReleasePins {
            let owner = self.releaser(secret);
            return owner.is_some_and(|owner| *owner != self.context.own.policy.key);
        }
        let history = self.context.history(&secret.arn);
        self.steps_back(finding, secret, &history)
    }

    /// The version that it is about was rolled back: what remains is to take the label away, where the policy clears at all.
    fn undoes_a_decision(&self, action: Action) -> Option<&'static str> {
        if !RollbackStatus::RolledBack.admits(action) {
            return Some("the pending version was rolled back");
        }
        let clears = match self.context.own.policy.remediation.stuck {
            StuckRemedy::ClearPending | StuckRemedy::ClearAndRotate | StuckRemedy::Recover => true,
            StuckRemedy::Report | StuckRemedy::RetryRotation => false,
        };
        (action.clears() && !clears).then_some("the policy asks for something else now")
    }

    /// Whether the policy may still mean this action. `Recover` means either, depending on what is known of the version.
    const fn asks_for(&self, action: Action) -> bool {
        let remediation = &self.context.own.policy.remediation;
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
                finding.ailment,
                RemedyKind::Stuck | RemedyKind::RolledBack | RemedyKind::Unlisted
            );
            stuck && finding.pending == operation.expect.pending
        }
        Action::Rotate => {
            finding.ailment == RemedyKind::Overdue && finding.current == operation.expect.current
        }
        Action::ReleasePins => {
            finding.state == State::Healthy && finding.current == operation.expect.current
        }
        Action::RestoreSecret => finding.ailment == RemedyKind::Deletion,
        Action::PromotePending | Action::RestorePending | Action::RevertToPrevious => false,
    }
}
