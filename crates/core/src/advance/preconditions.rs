//! What every action has in common: who may go on at all, and what must be so before the first write.

use std::time::Duration;

use super::{Next, Phase, StepInput, Wait};
use crate::action::{Action, Step};
use crate::authorise::Authority;
use crate::block::BlockReason;
use crate::journal::Baseline;
use crate::names::{StageLabel, VersionId};
use crate::operation::{Failure, Operation, Outcome, Trigger};
use crate::permit::{self, Bounds, Gate, Pause, Permit, PermitInput, permit};
use crate::pin::{self, Pin};
use crate::policy::Policy;
use crate::secret::PendingValue;
use crate::secret::{Exclusion, LabelMap, Secret, Seen};
use crate::stability;
use crate::time::AwsTime;

/// How often a wait that no date ends is looked at again.
const POLL: Duration = Duration::from_secs(15);

/// The same while a person is waited for: what they decide is noticed at once.
const APPROVAL_POLL: Duration = Duration::from_secs(45);

/// One operation beside one look at its secret, found fit to be judged further.
pub(super) struct Evaluation<'a> {
    pub(super) operation: &'a Operation,
    pub(super) input: &'a StepInput<'a>,
    pub(super) policy: &'a Policy,
    pub(super) authority: &'a Authority,
    pub(super) secret: &'a Secret,
    pub(super) now: AwsTime,
    /// How it ends once its pin is taken back, if a person said no or its time is over.
    early_end: Option<Outcome>,
}

impl<'a> Evaluation<'a> {
    /// What the store says comes first: it also ends what is about a secret that no longer exists.
    pub(super) fn admit(
        operation: &'a Operation,
        input: &'a StepInput<'a>,
    ) -> Result<Self, Box<Next>> {
        let permit = permit(operation, &permit_input(input));
        let early_end = match permit {
            Permit::Go => None,
            Permit::EndAfterUnpin(outcome) => Some(outcome),
            Permit::End(outcome) => return Err(Box::new(Next::Done(outcome))),
            Permit::Wait(pause) => return Err(Box::new(waiting(input.look.at, pause))),
        };
        let Seen::Present(secret) = &input.look.secret else {
            let gone = failed(Failure::Gone, "the secret no longer exists");
            return Err(Box::new(early_end.map_or(gone, Next::Done)));
        };
        let not_authorised = |why: &str| Box::new(failed(Failure::NotAuthorised, why));
        let (Some(policy), Ok(authority)) = (input.policy, &input.authority) else {
            return Err(not_authorised("nothing allows it"));
        };
        if !authority.covers(operation.action, &secret.arn) {
            return Err(not_authorised("the permission is for something else"));
        }
        if operation.arn.as_ref().is_some_and(|arn| *arn != secret.arn) {
            return Err(Box::new(failed(
                Failure::Superseded,
                "the name belongs to another secret now",
            )));
        }
        Ok(Self {
            operation,
            input,
            policy,
            authority,
            secret,
            now: input.look.at,
            early_end,
        })
    }

    /// What comes next, and of an end also which replicas do not show it.
    pub(super) fn next(&self) -> Next {
        let behind = self.secret.behind();
        match (self.dispatched(), behind) {
            (Next::Done(outcome), Some(behind)) if self.operation.has_started() => {
                let note = format!("; replicas are not in sync: {behind}");
                Next::Done(outcome.noted(&note))
            }
            (next, _) => next,
        }
    }

    /// Dispatches on the action.
    fn dispatched(&self) -> Next {
        if let Some(outcome) = &self.early_end {
            return self.end_unpinned(outcome);
        }
        if self.operation.action == Action::RestoreSecret {
            return self.restore_secret();
        }
        match self.secret.exclusion(self.operation.action) {
            Some(Exclusion::RotationDisabled) if self.rotation_was_switched() => {
                return self.stop_without_rotation();
            }
            Some(exclusion) => return self.stop_for_exclusion(exclusion),
            None => {}
        }
        match self.operation.action {
            Action::PromotePending => self.promote(),
            Action::RestorePending => self.restore_pending(),
            Action::RevertToPrevious => self.revert(),
            Action::RestoreSecret => self.restore_secret(),
            Action::Rotate => self.rotate(),
            Action::RetryRotation => self.retry(),
            Action::ClearPending | Action::ClearAndRotate => self.clear(),
            Action::ReleasePins => self.release(),
        }
    }

    /// A person said no, or its time is over: the pin is taken back, if that is possible.
    fn end_unpinned(&self, outcome: &Outcome) -> Next {
        if self.secret.exclusion(self.operation.action).is_some() {
            return Next::Done(outcome.clone());
        }
        self.not_seen_yet(Step::Pin)
            .filter(|_| !self.is_pinned())
            .unwrap_or_else(|| self.withdraw())
    }

    /// Nothing more is written to such a secret. A rotation of ours that has come through is a success all the same.
    fn stop_for_exclusion(&self, exclusion: Exclusion) -> Next {
        if self.has_rotated() {
            return succeeded(
                "rotated; pins stay, because nothing may be written to the secret now",
            );
        }
        failed(Failure::Refused, exclusion.message())
    }

    /// Somebody switched rotation off while the operation was under way: what has come through is a success, a pin that
    /// protects nothing is taken back, and nothing else is written.
    fn stop_without_rotation(&self) -> Next {
        if self.has_rotated() {
            return self.stop_for_exclusion(Exclusion::RotationDisabled);
        }
        self.withdraw()
    }

    /// Whether rotation is on now and was off at the first look, or the other way round.
    pub(super) fn rotation_was_switched(&self) -> bool {
        let before = self.operation.baseline.as_ref();
        before
            .and_then(|before| before.rotates)
            .is_some_and(|rotated| rotated != self.secret.rotates())
    }

    /// What must be so before anything of an operation's is written.
    pub(super) fn before_first_write(&self) -> Result<(), Next> {
        self.expectations()?;
        self.requested_by_a_person()?;
        self.at_rest_without_rotation()?;
        self.no_other_cluster()
    }

    /// Why an operation that has not yet moved a label must end: its time is over, or a person said no.
    pub(super) fn called_off(&self) -> Option<Outcome> {
        let input = self.input;
        permit::rejected_or_expired(self.operation, &input.consent, input.server_now)
    }

    fn expectations(&self) -> Result<(), Next> {
        let expect = &self.operation.expect;
        if expect
            .current
            .as_ref()
            .is_some_and(|version| self.secret.current() != Some(version))
        {
            return Err(failed(
                Failure::PreconditionFailed,
                "AWSCURRENT is on another version than expected",
            ));
        }
        if expect
            .pending
            .as_ref()
            .is_some_and(|version| self.secret.pending() != Some(version))
        {
            return Err(failed(
                Failure::PreconditionFailed,
                "AWSPENDING is not on the version expected",
            ));
        }
        if expect
            .previous
            .as_ref()
            .is_some_and(|version| self.secret.previous() != Some(version))
        {
            return Err(failed(
                Failure::PreconditionFailed,
                "AWSPREVIOUS is not on the version expected",
            ));
        }
        if expect
            .pinned
            .as_ref()
            .is_some_and(|version| !self.our_pins().any(|(holder, _, _)| holder == version))
        {
            return Err(failed(
                Failure::PreconditionFailed,
                "the version expected carries no pin of this cluster",
            ));
        }
        Ok(())
    }

    /// Only somebody who knows what the target accepts can ask for some actions.
    fn requested_by_a_person(&self) -> Result<(), Next> {
        let action = self.operation.action;
        if action.is_manual_only() && self.operation.trigger == Trigger::Policy {
            return Err(failed(
                Failure::Refused,
                format!("{action} is for people only"),
            ));
        }
        Ok(())
    }

    /// Where rotation is off only people act, and not while a function may still run: switching rotation off stops none.
    fn at_rest_without_rotation(&self) -> Result<(), Next> {
        let action = self.operation.action;
        if self.secret.rotates() || action == Action::RestoreSecret {
            return Ok(());
        }
        if self.operation.trigger == Trigger::Policy {
            let message = format!("rotation is off, and there {action} is for people only");
            return Err(failed(Failure::Refused, message));
        }
        self.function_is_at_rest()
    }

    fn no_other_cluster(&self) -> Result<(), Next> {
        let window = self.policy.remediation.attempt_window;
        let foreign = pin::on(self.secret).any(|(_, _, pin)| {
            pin.cluster != *self.input.cluster && pin.is_within(window, self.now)
        });
        if foreign {
            return Err(failed(
                Failure::PreconditionFailed,
                "another cluster is recovering this secret",
            ));
        }
        Ok(())
    }

    /// Windows, budgets and the breaker, asked again where a clear is sent again. Machines only.
    pub(super) fn gate(&self) -> Result<(), Next> {
        let automatic = self.operation.trigger == Trigger::Policy;
        match permit::gate_pause(&self.input.gate).filter(|_| automatic) {
            Some(pause) => Err(waiting(self.now, pause)),
            None => Ok(()),
        }
    }

    /// A slot, taken again before a rotation where it was released meanwhile; windows and the breaker are past. Machines only.
    pub(super) fn slot(&self) -> Result<(), Next> {
        match &self.input.gate {
            Gate::Blocked(block) if block.reason == BlockReason::ConcurrencyLimit => self.gate(),
            Gate::Blocked(_) | Gate::Open | Gate::Unknown => Ok(()),
        }
    }

    /// Stuck by AWS's own dates: the pending version named is unfinished, and everything has been quiet for `stuckAfter`.
    pub(super) fn stuck(&self, pending: &VersionId) -> Result<AwsTime, Next> {
        if self.secret.unfinished() != Some(pending) {
            return Err(failed(
                Failure::PreconditionFailed,
                "the version expected is not an unfinished AWSPENDING",
            ));
        }
        let Some(quiet_since) = self.input.history.quiet_since(self.secret) else {
            return Err(failed(
                Failure::PreconditionFailed,
                "AWS does not say when the secret changed last",
            ));
        };
        if self.now.since(quiet_since) < self.policy.detection.stuck_after {
            return Err(failed(
                Failure::PreconditionFailed,
                self.not_quiet(quiet_since),
            ));
        }
        Ok(quiet_since)
    }

    fn not_quiet(&self, quiet_since: AwsTime) -> String {
        if self.labels_are_stable() {
            let stuck_after = self.policy.detection.stuck_after;
            let quiet = quiet_since.plus(stuck_after);
            return format!(
                "labels and versions rest, but something else about the secret keeps changing, last at {quiet_since}, so \
                 that a rotation that runs would not be noticed; find in CloudTrail what writes tags or settings of the \
                 secret, stop it, and try again after {quiet}"
            );
        }
        format!("the rotation is not stuck: something happened at {quiet_since}")
    }

    /// Whether labels and versions were seen unchanged for so long that only other metadata can be what keeps changing,
    /// and nothing that we did ourselves is young.
    pub(super) fn labels_are_stable(&self) -> bool {
        let since = self.input.unchanged_since;
        let stuck_after = self.policy.detection.stuck_after;
        let clearable =
            since.and_then(|since| stability::clearable_from(since, PendingValue::Empty));
        clearable.is_some_and(|from| self.now >= from)
            && self
                .input
                .history
                .last_write()
                .is_none_or(|at| self.now.since(at) >= stuck_after)
    }

    /// The version that the operation is to clear or to run again.
    pub(super) fn expected_pending(&self) -> Result<&'a VersionId, Next> {
        let missing = || {
            failed(
                Failure::PreconditionFailed,
                "expect.pendingVersionId is missing",
            )
        };
        self.operation.expect.pending.as_ref().ok_or_else(missing)
    }

    /// The version that AWSCURRENT is to be moved from.
    pub(super) fn expected_current(&self) -> Result<&'a VersionId, Next> {
        let missing = || {
            failed(
                Failure::PreconditionFailed,
                "expect.currentVersionId is missing",
            )
        };
        self.operation.expect.current.as_ref().ok_or_else(missing)
    }

    /// What this look saw, to be kept with the first intent.
    pub(super) fn baseline_now(&self) -> Baseline {
        Baseline {
            labels: self.secret.labels.clone(),
            last_changed: self.secret.last_changed,
            pending_value: self.pending_value(),
            rotates: Some(self.secret.rotates()),
            function: self.secret.function().cloned(),
        }
    }

    fn pending_value(&self) -> PendingValue {
        match (self.secret.unfinished(), &self.input.look.versions) {
            (None, _) => PendingValue::None,
            (Some(_), None) => PendingValue::Unknown,
            (Some(pending), Some(versions)) if versions.lists(pending) => PendingValue::Present,
            (Some(_), Some(_)) => PendingValue::Empty,
        }
    }

    /// Whether nothing has changed since the first look.
    pub(super) fn is_as_before(&self) -> bool {
        let before = self.operation.baseline.as_ref();
        before.is_some_and(|before| {
            before.labels == self.secret.labels && before.last_changed == self.secret.last_changed
        })
    }

    /// Whether AWSCURRENT is where it was at the first look.
    pub(super) fn current_is_unmoved(&self) -> bool {
        let before = self
            .operation
            .baseline
            .as_ref()
            .and_then(|baseline| baseline.holder(&StageLabel::current()));
        before.is_some() && before == self.secret.current()
    }

    /// The labels of the first look, with our own pin where it belongs.
    pub(super) fn baseline_with_pin(&self, pinned: &VersionId, label: &StageLabel) -> LabelMap {
        let mut labels = self
            .operation
            .baseline
            .as_ref()
            .map(|baseline| baseline.labels.clone())
            .unwrap_or_default();
        labels
            .entry(pinned.clone())
            .or_default()
            .insert(label.clone());
        labels
    }

    /// This operation's own pin on a version.
    pub(super) fn own_pin(&self, version: &VersionId) -> Result<StageLabel, Next> {
        let label = self.operation.pin(self.input.cluster, version).label();
        label.map_err(|_| failed(Failure::Refused, "the version id is too long for a pin"))
    }

    /// Whether this operation's own pin is seen on the version that it is to set it on.
    fn is_pinned(&self) -> bool {
        let pending = self.operation.expect.pending.as_ref();
        let own = pending.and_then(|pending| self.own_pin(pending).ok());
        own.is_some_and(|label| self.secret.holder(&label).is_some())
    }

    /// Our cluster's pins, each with the version that carries it.
    pub(super) fn our_pins(&self) -> impl Iterator<Item = (&'a VersionId, &'a StageLabel, Pin)> {
        let cluster = self.input.cluster;
        pin::on(self.secret).filter(move |(_, _, pin)| pin.cluster == *cluster)
    }

    pub(super) fn pause(&self, pause: Duration, phase: Phase, message: impl Into<String>) -> Next {
        wait(self.now, self.now.plus(pause), phase, message)
    }

    pub(super) fn wait_until(
        &self,
        until: AwsTime,
        phase: Phase,
        message: impl Into<String>,
    ) -> Next {
        wait(self.now, until, phase, message)
    }

    /// Whether a step was ever intended.
    pub(super) fn intended(&self, step: Step) -> bool {
        self.operation.journal.entry(step).is_some()
    }
}

pub(super) fn failed(reason: Failure, message: impl Into<String>) -> Next {
    Next::Done(Outcome::Failed {
        reason,
        message: message.into(),
    })
}

pub(super) fn succeeded(message: impl Into<String>) -> Next {
    Next::Done(Outcome::Succeeded {
        message: message.into(),
    })
}

fn permit_input<'a>(input: &'a StepInput<'a>) -> PermitInput<'a> {
    let bounds = match input.policy {
        Some(policy) => Bounds::Within {
            policy,
            authority: input.authority.as_ref().map(drop),
            consent: &input.consent,
            gate: &input.gate,
        },
        None => Bounds::PolicyGone,
    };
    PermitInput {
        bounds,
        history: &input.history,
        secret: match &input.look.secret {
            Seen::Present(secret) => Some(secret),
            Seen::Absent => None,
        },
        server_now: input.server_now,
        now: input.look.at,
    }
}

/// What no date ends is looked at again after a while.
fn waiting(now: AwsTime, pause: Pause) -> Next {
    let poll = if pause.phase == Phase::AwaitingApproval {
        APPROVAL_POLL
    } else {
        POLL
    };
    let until = pause.until.unwrap_or_else(|| now.plus(poll));
    wait(now, until, pause.phase, pause.message)
}

fn wait(now: AwsTime, until: AwsTime, phase: Phase, message: impl Into<String>) -> Next {
    Next::Wait(Wait {
        pause: until.since(now),
        until,
        phase,
        message: message.into(),
    })
}
