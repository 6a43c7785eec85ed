//! What all actions share: whether an operation may continue, and what must be true before its first write.
//!
//! The order matters throughout: what ends an operation comes before what makes it wait, and what needs no call to AWS comes
//! before what needs one.

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

/// How long to wait if no date shows when the wait ends.
const POLL: Duration = Duration::from_secs(15);

/// How long to wait for the decision of a person. A decision wakes the operation at once, so this is a fallback.
const APPROVAL_POLL: Duration = Duration::from_secs(45);

/// One operation together with one look at its secret. It exists only if policy, profile and namespace permit the operation.
pub(super) struct Evaluation<'a> {
    pub(super) operation: &'a Operation,
    pub(super) input: &'a StepInput<'a>,
    pub(super) policy: &'a Policy,
    pub(super) authority: &'a Authority,
    pub(super) secret: &'a Secret,
    pub(super) now: AwsTime,
    /// How it ends once its pin is removed, if a person denied it or it expired.
    early_end: Option<Outcome>,
}

impl<'a> Evaluation<'a> {
    /// Admits an operation, or returns the wait or the end that stands in its way.
    ///
    /// What Kubernetes says comes first: it also ends operations on secrets that no longer exist.
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
            return Err(not_authorised(
                "neither the policy nor the profile allows it",
            ));
        };
        // Against a mix-up within the process: the permission must be for this very action and secret.
        if !authority.covers(operation.action, &secret.arn) {
            return Err(not_authorised(
                "the permission is for another action or another secret",
            ));
        }
        if operation.arn.as_ref().is_some_and(|arn| *arn != secret.arn) {
            return Err(failed(
                Failure::Superseded,
                "another secret has this name now",
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

    /// Decides the next step. The message of an end names replicas that are not in sync.
    pub(super) fn next(&self) -> Next {
        let behind = self.secret.lagging_replicas();
        match (self.dispatch().unwrap_or_else(Next::from), behind) {
            (Next::Done(outcome), Some(behind)) if self.operation.has_started() => {
                let note = format!("; replicas are not in sync: {behind}");
                Next::Done(outcome.noted(&note))
            }
            (next, _) => next,
        }
    }

    /// Dispatches on the action, after what applies to all of them.
    fn dispatch(&self) -> Result<Next, Stop> {
        if let Some(outcome) = &self.early_end {
            return Ok(self.end_unpinned(outcome));
        }
        // Before the exclusions: a scheduled deletion is one, and this is the action that cancels it.
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

    /// Stops unless everything is true that any first write needs.
    pub(super) fn before_first_write(&self) -> Result<(), Stop> {
        self.expectations()?;
        self.requested_by_a_person()?;
        self.at_rest_without_rotation()?;
        self.no_other_cluster()
    }

    /// Stops unless every version that the operation names is where the operation says.
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

    /// Stops a machine that requests an action for which one must know what the target accepts.
    fn requested_by_a_person(&self) -> Result<(), Stop> {
        let action = self.operation.action;
        if action.is_manual_only() && self.operation.trigger == Trigger::Policy {
            return Err(failed(
                Failure::Refused,
                format!("only a person may request {action}"),
            ));
        }
        Ok(())
    }

    /// Stops machines if rotation is off, and people while a function may still run: to switch rotation off stops no function.
    fn at_rest_without_rotation(&self) -> Result<(), Stop> {
        let action = self.operation.action;
        if self.secret.rotates() || action == Action::RestoreSecret {
            return Ok(());
        }
        if self.operation.trigger == Trigger::Policy {
            let message = format!("only a person may request {action} while rotation is off");
            return Err(failed(Failure::Refused, message));
        }
        self.function_is_at_rest()
    }

    /// Stops if another cluster is recovering the secret.
    fn no_other_cluster(&self) -> Result<(), Stop> {
        if pin::is_foreign(self.secret, self.input.cluster, self.policy, self.now) {
            return Err(failed(
                Failure::PreconditionFailed,
                "another cluster is recovering this secret",
            ));
        }
        Ok(())
    }

    /// Waits for windows, budgets and the breaker. They are checked again before each clear, and bind machines only.
    pub(super) fn gate(&self) -> Result<(), Stop> {
        let automatic = self.operation.trigger == Trigger::Policy;
        match permit::gate_pause(&self.input.gate).filter(|_| automatic) {
            Some(pause) => Err(waiting(self.now, pause).into()),
            None => Ok(()),
        }
    }

    /// Waits for a concurrency slot before a rotation: it may have been released after the clear. Windows and the breaker no
    /// longer count, because an operation must not be left incomplete. It limits automatic operations only.
    pub(super) fn slot(&self) -> Result<(), Stop> {
        match &self.input.gate {
            Gate::Blocked(block) if block.reason == BlockReason::ConcurrencyLimit => self.gate(),
            Gate::Blocked(_) | Gate::Open | Gate::Unknown => Ok(()),
        }
    }

    /// Stops unless nothing has changed for longer than a rotation function can run.
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
                "AWS does not report when the secret was last changed",
            )),
        }
    }

    /// Stops a machine that would run a version again, or rotate over it, although a person decided against it. A person who
    /// names that version may.
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
                "AWS does not report when the pending version was created, so it may have been rolled back",
            ),
            (RollbackStatus::RolledBack | RollbackStatus::NotRolledBack, _) => failed(
                Failure::Refused,
                format!(
                    "someone moved AWSCURRENT back from the pending version, or set a value since it was created, and \
                     {action} would undo that; clear its label (ClearPending), or promote it (PromotePending) if the target accepts \
                     its value"
                ),
            ),
        })
    }

    /// Returns since when the secret has been quiet, or stops unless the named version is stuck by the dates of AWS.
    pub(super) fn stuck(&self, pending: &VersionId) -> Result<AwsTime, Stop> {
        if self.secret.unfinished() != Some(pending) {
            return Err(failed(
                Failure::PreconditionFailed,
                "the expected version is not the pending version of an unfinished rotation",
            ));
        }
        let Some(quiet_since) = self.input.history.quiet_since(self.secret) else {
            return Err(failed(
                Failure::PreconditionFailed,
                "AWS does not report when the secret was last changed",
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

    /// Returns why a secret that changed recently is not stuck.
    fn not_quiet(&self, quiet_since: AwsTime) -> String {
        if self.labels_are_stable() {
            let stuck_after = self.policy.detection.stuck_after;
            let quiet = quiet_since.plus(stuck_after);
            return format!(
                "labels and versions do not change, but something else about the secret does, last at {quiet_since}, so a \
                 running rotation would go unnoticed; find in CloudTrail what writes tags or settings of the secret, stop \
                 it, and try again after {quiet}"
            );
        }
        format!("the rotation is not stuck: something happened at {quiet_since}")
    }

    /// Returns whether labels and versions have been unchanged for so long that only other metadata can keep changing, and
    /// our own last write is not recent either.
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

    /// Returns the pending version that the operation names.
    pub(super) fn expected_pending(&self) -> Result<&'a VersionId, Stop> {
        let missing = || {
            failed(
                Failure::PreconditionFailed,
                "expect.pendingVersionId is missing",
            )
        };
        self.operation.expect.pending.as_ref().ok_or_else(missing)
    }

    /// Returns the current version that the operation names.
    pub(super) fn expected_current(&self) -> Result<&'a VersionId, Stop> {
        let missing = || {
            failed(
                Failure::PreconditionFailed,
                "expect.currentVersionId is missing",
            )
        };
        self.operation.expect.current.as_ref().ok_or_else(missing)
    }

    /// Returns what this look saw, to be stored with the first intent.
    pub(super) fn baseline_now(&self) -> Baseline {
        Baseline {
            labels: self.secret.labels.clone(),
            last_changed: self.secret.last_changed,
            pending_value: PendingValue::of(self.secret, self.input.look.versions.as_ref()),
            rotates: Some(self.secret.rotates()),
            function: self.secret.function().cloned(),
        }
    }

    /// Returns whether nothing has changed since the first look.
    pub(super) fn is_as_before(&self) -> bool {
        let before = self.operation.baseline.as_ref();
        before.is_some_and(|before| {
            before.labels == self.secret.labels && before.last_changed == self.secret.last_changed
        })
    }

    /// Returns whether AWSCURRENT is on the same version as at the first look.
    pub(super) fn current_is_unmoved(&self) -> bool {
        let before = self
            .operation
            .baseline
            .as_ref()
            .and_then(|baseline| baseline.holder(&StageLabel::current()));
        before.is_some() && before == self.secret.current()
    }

    /// Waits for a while.
    pub(super) fn pause(&self, pause: Duration, phase: Phase, message: impl Into<String>) -> Next {
        wait(self.now, self.now.plus(pause), phase, message)
    }

    /// Waits until an AWS time.
    pub(super) fn wait_until(
        &self,
        until: AwsTime,
        phase: Phase,
        message: impl Into<String>,
    ) -> Next {
        wait(self.now, until, phase, message)
    }

    /// Returns whether the journal has an intent of the step.
    pub(super) fn intended(&self, step: Step) -> bool {
        self.operation.journal.entry(step).is_some()
    }
}

/// Returns what [`permit`] judges by, as this step read it.
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

/// Waits for a pause to end: until its date, or for a while if it has none.
fn waiting(now: AwsTime, pause: Pause) -> Next {
    let poll = if pause.phase == Phase::AwaitingApproval {
        APPROVAL_POLL
    } else {
        POLL
    };
    let until = pause.until.unwrap_or_else(|| now.plus(poll));
    wait(now, until, pause.phase, pause.message)
}
