//! What every action has in common: who may go on at all, and what must be so before the first write.

use std::time::Duration;

use super::input::StepInput;
use super::next::{Next, Stop, failed, wait};
use crate::action::{Action, Step};
use crate::authorise::Authority;
use crate::block::BlockReason;
use crate::journal::Baseline;
use crate::names::{StageLabel, VersionId};
use crate::operation::{FUNCTION_AT_REST, Failure, Operation, Outcome, Trigger};
use crate::permit::{self, Bounds, Gate, Pause, Permit, PermitInput, Phase, permit};
use crate::pin;
use crate::policy::Policy;
use crate::rolled_back::RollbackStatus;
use crate::secret::{Exclusion, PendingValue, Secret, Seen};
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
    pub(super) fn admit(operation: &'a Operation, input: &'a StepInput<'a>) -> Result<Self, Stop> {
        let permit = permit(operation, &permit_input(input));
        let early_end = match permit {
            Permit::Go => None,
            Permit::EndAfterUnpin(outcome) => Some(outcome),
            Permit::End(outcome) => return Err(Next::Done(outcome).into()),
            Permit::Wait(pause) => return Err(waiting(input.look.at, pause).into()),
        };
        let Seen::Present(secret) = &input.look.secret else {
            let gone = failed(Failure::Gone, "the secret no longer exists");
            return Err(early_end.map_or(gone, |outcome| Next::Done(outcome).into()));
        };
        let not_authorised = |why: &str| failed(Failure::NotAuthorised, why);
        let (Some(policy), Ok(authority)) = (input.policy, &input.authority) else {
            return Err(not_authorised("nothing allows it"));
        };
        if !authority.covers(operation.action, &secret.arn) {
            return Err(not_authorised("the permission is for something else"));
        }
        if operation.arn.as_ref().is_some_and(|arn| *arn != secret.arn) {
            return Err(failed(
                Failure::Superseded,
                "the name belongs to another secret now",
            ));
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
        match (self.dispatch().unwrap_or_else(Next::from), behind) {
            (Next::Done(outcome), Some(behind)) if self.operation.has_started() => {
                let note = format!("; replicas are not in sync: {behind}");
                Next::Done(outcome.noted(&note))
            }
            (next, _) => next,
        }
    }

    /// Dispatches on the action.
    fn dispatch(&self) -> Result<Next, Stop> {
        if let Some(outcome) = &self.early_end {
            return Ok(self.end_unpinned(outcome));
        }
        if self.operation.action == Action::RestoreSecret {
            return self.restore_secret();
        }
        match self.secret.exclusion(self.operation.action) {
            Some(Exclusion::RotationDisabled) if self.rotation_was_switched() => {
                return Ok(self.stop_without_rotation());
            }
            Some(exclusion) => return Ok(self.stop_for_exclusion(exclusion)),
            None => {}
        }
        match self.operation.action {
            Action::PromotePending => self.promote(),
            Action::RestorePending => self.restore_pending(),
            Action::RevertToPrevious => self.revert(),
            Action::RestoreSecret => self.restore_secret(),
            Action::Rotate => self.rotate(),
            Action::RetryRotation => self.retry_rotation(),
            Action::ClearPending | Action::ClearAndRotate => self.clear(),
            Action::ReleasePins => self.release_pins(),
        }
    }

    /// What must be so before anything of an operation's is written.
    pub(super) fn before_first_write(&self) -> Result<(), Stop> {
        self.expectations()?;
        self.requested_by_a_person()?;
        self.at_rest_without_rotation()?;
        self.no_other_cluster()
    }

    /// Every version that the operation names is where the operation says.
    fn expectations(&self) -> Result<(), Stop> {
        let (expect, secret) = (&self.operation.expect, self.secret);
        let pins: Vec<_> = self.our_pins().map(|(holder, _, _)| holder).collect();
        let expectations = [
            (
                &expect.current,
                secret.current().into_iter().collect(),
                "AWSCURRENT is on another version than expected",
            ),
            (
                &expect.pending,
                secret.pending().into_iter().collect(),
                "AWSPENDING is not on the version expected",
            ),
            (
                &expect.previous,
                secret.previous().into_iter().collect(),
                "AWSPREVIOUS is not on the version expected",
            ),
            (
                &expect.pinned,
                pins,
                "the version expected carries no pin of this cluster",
            ),
        ];
        for (expected, holders, otherwise) in expectations {
            let expected = expected.as_ref();
            if expected.is_some_and(|expected| !holders.contains(&expected)) {
                return Err(failed(Failure::PreconditionFailed, otherwise));
            }
        }
        Ok(())
    }

    /// Only somebody who knows what the target accepts can ask for some actions.
    fn requested_by_a_person(&self) -> Result<(), Stop> {
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
    fn at_rest_without_rotation(&self) -> Result<(), Stop> {
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

    fn no_other_cluster(&self) -> Result<(), Stop> {
        if pin::is_foreign(self.secret, self.input.cluster, self.policy, self.now) {
            return Err(failed(
                Failure::PreconditionFailed,
                "another cluster is recovering this secret",
            ));
        }
        Ok(())
    }

    /// Windows, budgets and the breaker, asked again where a clear is sent again. Machines only.
    pub(super) fn gate(&self) -> Result<(), Stop> {
        let automatic = self.operation.trigger == Trigger::Policy;
        match permit::gate_pause(&self.input.gate).filter(|_| automatic) {
            Some(pause) => Err(waiting(self.now, pause).into()),
            None => Ok(()),
        }
    }

    /// A slot, taken again before a rotation where it was released meanwhile; windows and the breaker are past. Machines only.
    pub(super) fn slot(&self) -> Result<(), Stop> {
        match &self.input.gate {
            Gate::Blocked(block) if block.reason == BlockReason::ConcurrencyLimit => self.gate(),
            Gate::Blocked(_) | Gate::Open | Gate::Unknown => Ok(()),
        }
    }

    /// Nothing has happened for longer than a rotation function can run.
    pub(super) fn function_is_at_rest(&self) -> Result<(), Stop> {
        match self.input.history.quiet_since(self.secret) {
            Some(quiet) if self.now.since(quiet) >= FUNCTION_AT_REST => Ok(()),
            Some(quiet) => Err(failed(
                Failure::PreconditionFailed,
                format!(
                    "a rotation may be running: something happened at {quiet}; try again after {}",
                    quiet.plus(FUNCTION_AT_REST)
                ),
            )),
            None => Err(failed(
                Failure::PreconditionFailed,
                "AWS does not say when the secret changed last",
            )),
        }
    }

    /// No machine runs a version again, or rotates over it, that a person decided against. A person who names that very
    /// version may.
    pub(super) fn no_rolled_back_version(&self) -> Result<(), Stop> {
        if self.operation.trigger == Trigger::Manual {
            return Ok(());
        }
        let (action, versions) = (self.operation.action, self.input.look.versions.as_ref());
        let rollback = RollbackStatus::of(self.secret, versions);
        if rollback.permits(action) {
            return Ok(());
        }
        Err(match (rollback, versions) {
            (RollbackStatus::Unknown, None) => Next::LookAtVersions.into(),
            (RollbackStatus::Unknown, Some(_)) => failed(
                Failure::Refused,
                "AWS does not say when the pending version was made, so that nobody can tell whether it was rolled back",
            ),
            (RollbackStatus::RolledBack | RollbackStatus::NotRolledBack, _) => failed(
                Failure::Refused,
                format!(
                    "somebody moved AWSCURRENT back from the pending version, or set a value since it was made, and {action} \
                     would undo that; clear its label (ClearPending), or promote it (PromotePending) if the target accepts \
                     its value"
                ),
            ),
        })
    }

    /// Stuck by AWS's own dates: the pending version named is unfinished, and everything has been quiet for `stuckAfter`.
    pub(super) fn stuck(&self, pending: &VersionId) -> Result<AwsTime, Stop> {
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
    pub(super) fn expected_pending(&self) -> Result<&'a VersionId, Stop> {
        let missing = || {
            failed(
                Failure::PreconditionFailed,
                "expect.pendingVersionId is missing",
            )
        };
        self.operation.expect.pending.as_ref().ok_or_else(missing)
    }

    /// The version that AWSCURRENT is to be moved from.
    pub(super) fn expected_current(&self) -> Result<&'a VersionId, Stop> {
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
            pending_value: PendingValue::of(self.secret, self.input.look.versions.as_ref()),
            rotates: Some(self.secret.rotates()),
            function: self.secret.function().cloned(),
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
