//! `ClearPending` and `ClearAndRotate` up to the cleared label: pin, settle, clear.

use super::preconditions::{Evaluation, failed, succeeded};
use super::{Next, Phase, Request};
use crate::action::{Action, Step};
use crate::aws_error::ErrorClass;
use crate::journal::JournalEntry;
use crate::names::{StageLabel, VersionId};
use crate::operation::Failure;
use crate::pin;
use crate::rotation_window;
use crate::secret::PendingValue;
use crate::time::AwsTime;

impl Evaluation<'_> {
    pub(super) fn clear(&self) -> Next {
        self.try_clear().unwrap_or_else(|next| next)
    }

    fn try_clear(&self) -> Result<Next, Next> {
        let pending = self.expected_pending()?;
        if self.intended(Step::Rotate) {
            return Ok(self.rotation());
        }
        if self.intended(Step::Unpin) {
            return Ok(self.withdraw());
        }
        let Some(pin) = self.operation.journal.entry(Step::Pin) else {
            return self.pin(pending);
        };
        let labelled = self.secret.pending() == Some(pending);
        if self.intended(Step::Clear) && !labelled {
            return self.cleared(pending);
        }
        self.settle(pending, pin)
    }

    /// Before the first write: the rotation is stuck, AWS has given up on it, and there is room for a pin.
    ///
    /// Where other metadata never rests, AWS's dates cannot show that nothing runs; a version that has no value is cleared
    /// all the same once labels and versions have long been seen to rest.
    fn pin(&self, pending: &VersionId) -> Result<Next, Next> {
        self.before_first_write()?;
        let stuck = self.stuck(pending);
        let may_go_by_labels = self.secret.unfinished() == Some(pending)
            && self.secret.last_changed.is_some()
            && self.labels_are_stable();
        if !may_go_by_labels {
            stuck.clone()?;
        }
        if self.input.look.versions.is_none() {
            return Ok(Next::LookAtVersions);
        }
        self.no_rolled_back_version()?;
        if self.baseline_now().pending_value != PendingValue::Empty {
            self.aws_has_given_up(stuck?)?;
        }
        self.room_for_a_pin()?;
        self.send_pin(pending)
    }

    pub(super) fn room_for_a_pin(&self) -> Result<(), Next> {
        match pin::room(self.secret, self.input.cluster) {
            Ok(()) => Ok(()),
            Err(full) => Err(failed(Failure::PinExhausted, full.to_string())),
        }
    }

    pub(super) fn send_pin(&self, pending: &VersionId) -> Result<Next, Next> {
        let label = self.own_pin(pending)?;
        Ok(self.send(
            Step::Pin,
            Some(pending),
            Request::Attach {
                label,
                version: pending.clone(),
            },
        ))
    }

    /// A pending version with a value may be run again by AWS while AWS's own rotation window is open. Where rotation is
    /// off there is no such window.
    fn aws_has_given_up(&self, quiet_since: AwsTime) -> Result<(), Next> {
        if !self.secret.rotates() {
            return Ok(());
        }
        match rotation_window::closes_at(self.secret, quiet_since, self.now) {
            Some(closes) => {
                let message =
                    format!("RotationWindowOpen: AWS may still retry by itself until {closes}");
                Err(self.wait_until(closes, Phase::AwaitingWindow, message))
            }
            None => Ok(()),
        }
    }

    /// Between pin and clear: nothing but our own pin may have changed, for `confirmAfter`.
    fn settle(&self, pending: &VersionId, pin: &JournalEntry) -> Result<Next, Next> {
        if self.secret.unfinished() != Some(pending) {
            return Err(self.withdraw());
        }
        let label = self.own_pin(pending)?;
        if self.gave_up_for_sure(Step::Clear) {
            return Err(self.withdraw());
        }
        if self.goes_by_labels(pin) {
            return self.settle_by_labels(pending, &label, pin);
        }
        if self.secret.holder(&label) == Some(pending) {
            self.undisturbed_since_pin(pending, &label, pin)?;
            let changed = self.secret.last_changed.unwrap_or(self.now);
            return self.confirm(pending, changed.max(pin.intent));
        }
        if self.is_as_before() {
            return self.unpinned(pending, pin);
        }
        Err(self.withdraw())
    }

    /// Whether the pin was set although the last change was young: then the dates say nothing, and labels and versions all.
    fn goes_by_labels(&self, pin: &JournalEntry) -> bool {
        let first = pin.first_try();
        first
            .foreign_change
            .is_some_and(|changed| first.intent.since(changed) < self.policy.detection.stuck_after)
    }

    /// The same as [`Self::settle`] while other metadata keeps changing: no label and no version may have changed, and the
    /// version must still have no value right before the clear.
    fn settle_by_labels(
        &self,
        pending: &VersionId,
        label: &StageLabel,
        pin: &JournalEntry,
    ) -> Result<Next, Next> {
        let before = self.operation.baseline.as_ref();
        let was_empty = before.is_some_and(|before| before.pending_value == PendingValue::Empty);
        let is_pinned = self.secret.holder(label) == Some(pending);
        let labels_kept = if is_pinned {
            self.secret.labels == self.baseline_with_pin(pending, label)
        } else {
            before.is_some_and(|before| before.labels == self.secret.labels)
        };
        if !was_empty || !labels_kept {
            return Err(self.withdraw());
        }
        if !is_pinned {
            self.surely_empty(pending, pin)?;
        }
        let earliest = pin.intent.plus(self.operation.confirm_after);
        if self.now >= earliest {
            self.versions_are_kept(pending, pin)?;
        }
        self.confirm(pending, pin.intent)
    }

    /// No version has got a value since the pin was first meant, and the pending one has none.
    fn versions_are_kept(&self, pending: &VersionId, pin: &JournalEntry) -> Result<(), Next> {
        let Some(versions) = &self.input.look.versions else {
            return Err(Next::LookAtVersions);
        };
        let since = pin.first_try().intent;
        let is_new = |created: &Option<AwsTime>| created.is_none_or(|created| created >= since);
        if versions.lists(pending) || versions.created.values().any(is_new) {
            return Err(self.withdraw());
        }
        Ok(())
    }

    /// The pin is there, and nothing but the pin has happened since the first look.
    ///
    /// A date that did not move at all is the strongest evidence: AWS does not document that a label moves it.
    pub(super) fn undisturbed_since_pin(
        &self,
        pending: &VersionId,
        label: &StageLabel,
        pin: &JournalEntry,
    ) -> Result<(), Next> {
        let changed = self.secret.last_changed;
        let before = self.operation.baseline.as_ref();
        let unmoved =
            changed.is_some() && before.is_some_and(|before| before.last_changed == changed);
        let only_pin = unmoved || changed.is_some_and(|changed| pin.explains(changed));
        let labels_kept = self.secret.labels == self.baseline_with_pin(pending, label);
        if only_pin && labels_kept {
            Ok(())
        } else {
            Err(self.withdraw())
        }
    }

    /// Whether an operation of the same minute has left the very pin that this one sets: then nothing moves when it is set.
    fn pinned_before(&self, version: &VersionId, label: &StageLabel) -> bool {
        let before = self.operation.baseline.as_ref();
        before.is_some_and(|before| before.holder(label) == Some(version))
    }

    /// The second look, `confirmAfter` after the first: gates still open, AWS still not retrying.
    fn confirm(&self, pending: &VersionId, since: AwsTime) -> Result<Next, Next> {
        let earliest = since.plus(self.operation.confirm_after);
        if self.now < earliest {
            return Ok(self.wait_until(
                earliest,
                Phase::Settling,
                format!("pinned; AWSPENDING is removed after {earliest} if nothing else changes"),
            ));
        }
        if self.called_off().is_some() {
            return Err(self.withdraw());
        }
        self.gate()?;
        let before = self.operation.baseline.as_ref();
        if before.is_some_and(|before| before.pending_value != PendingValue::Empty) {
            let history = &self.input.history;
            let quiet = history.quiet_since_before(self.secret, self.operation);
            self.aws_has_given_up(quiet.unwrap_or(self.now))?;
        }
        if let Some(wait) = self.not_seen_yet(Step::Clear) {
            return Ok(wait);
        }
        Ok(self.send(
            Step::Clear,
            Some(pending),
            Request::Detach {
                label: StageLabel::pending(),
                version: pending.clone(),
            },
        ))
    }

    /// The pin is not there. Only a version without a value, which AWS does not let us label, is cleared all the same.
    fn unpinned(&self, pending: &VersionId, pin: &JournalEntry) -> Result<Next, Next> {
        self.surely_empty(pending, pin)?;
        self.confirm(pending, pin.intent)
    }

    /// Two complete lists of versions, `confirmAfter` apart, omit the version, and AWS does not let us label it.
    pub(super) fn surely_empty(&self, pending: &VersionId, pin: &JournalEntry) -> Result<(), Next> {
        if let Some(wait) = self.not_seen_yet(Step::Pin) {
            return Err(wait);
        }
        let was_empty = self
            .operation
            .baseline
            .as_ref()
            .is_some_and(|before| before.pending_value == PendingValue::Empty);
        let cannot_be_labelled =
            matches!(pin.refusal(), Some(ErrorClass::Mismatch | ErrorClass::Gone));
        if !(was_empty && cannot_be_labelled) {
            return Err(self.send_pin(pending)?);
        }
        let earliest = pin.intent.plus(self.operation.confirm_after);
        if self.now < earliest {
            let message = format!(
                "AWS does not let the version be pinned; whether it has a value is looked at again at {earliest}"
            );
            return Err(self.wait_until(earliest, Phase::Settling, message));
        }
        match &self.input.look.versions {
            None => Err(Next::LookAtVersions),
            Some(versions) if versions.lists(pending) => Err(self.send_pin(pending)?),
            Some(_) => Ok(()),
        }
    }

    /// AWSPENDING is no longer on the version: by our clear, or by somebody else's doing.
    fn cleared(&self, pending: &VersionId) -> Result<Next, Next> {
        if self.secret.current() == Some(pending) {
            return Err(self.withdraw());
        }
        if !self.may_have_cleared() {
            return Err(failed(
                Failure::Superseded,
                "somebody else removed AWSPENDING",
            ));
        }
        if !self.current_is_unmoved() {
            return Err(failed(
                Failure::Superseded,
                "another version became AWSCURRENT",
            ));
        }
        match self.operation.action {
            Action::ClearAndRotate => Ok(self.rotation()),
            Action::ClearPending
            | Action::RetryRotation
            | Action::Rotate
            | Action::PromotePending
            | Action::RestorePending
            | Action::RevertToPrevious
            | Action::RestoreSecret
            | Action::ReleasePins => match self.secret.unfinished() {
                Some(_) => Err(failed(Failure::Superseded, "another rotation has begun")),
                None => Ok(succeeded(
                    "AWSPENDING was removed; the version stays pinned so that this can be undone",
                )),
            },
        }
    }

    /// Whether a clear of ours was applied, or may still be.
    fn may_have_cleared(&self) -> bool {
        self.may_have_applied(Step::Clear)
    }

    /// Whether a label other than a pin may have been moved by us, or may still be.
    fn may_have_acted(&self) -> bool {
        [Step::Clear, Step::Promote, Step::RestorePending]
            .into_iter()
            .any(|step| self.may_have_applied(step))
    }

    fn may_have_applied(&self, step: Step) -> bool {
        let entry = self.operation.journal.entry(step);
        entry.is_some_and(JournalEntry::may_have_applied)
    }

    /// Whether a step is tried no more, and AWS certainly refused each try of it.
    pub(super) fn gave_up_for_sure(&self, step: Step) -> bool {
        self.intended(step) && !self.may_have_applied(step) && self.gave_up(step).is_some()
    }

    /// Why an operation ends that takes its pin back.
    fn withdrawal(&self) -> Next {
        let refused = [Step::Clear, Step::Promote, Step::RestorePending]
            .into_iter()
            .filter(|step| self.gave_up_for_sure(*step))
            .find_map(|step| self.gave_up(step));
        if let Some(refused) = refused {
            return refused;
        }
        if let Some(outcome) = self.called_off().filter(|_| !self.may_have_acted()) {
            return Next::Done(outcome);
        }
        failed(
            Failure::Superseded,
            match (self.rotation_was_switched(), self.secret.rotates()) {
                (true, true) => "rotation was switched on meanwhile, so nothing more is done",
                (true, false) if self.may_have_acted() => {
                    "rotation was switched off meanwhile, so nothing more is done; pins stay for undo"
                }
                (true, false) => "rotation was switched off meanwhile, so nothing more is done",
                (false, _) => "the secret changed by itself; nothing but a pin was changed",
            },
        )
    }

    /// The world moved on before we acted, or AWS refused what we were to do: our own pin is taken back, and nothing else is
    /// touched. Where a request of ours may still arrive, the pin is all that would keep the version, and it stays.
    pub(super) fn withdraw(&self) -> Next {
        let superseded = || self.withdrawal();
        let own = self
            .operation
            .expect
            .pending
            .as_ref()
            .and_then(|pending| self.own_pin(pending).ok());
        let Some(label) = own else {
            return superseded();
        };
        let Some(holder) = self.secret.holder(&label) else {
            return superseded();
        };
        if self.pinned_before(holder, &label) {
            return superseded();
        }
        if self.may_have_acted() && self.secret.current() != Some(holder) {
            if self.rotation_was_switched() {
                return superseded();
            }
            return failed(
                Failure::Superseded,
                "the secret changed by itself while a label was being moved; the pin stays so that this can be undone",
            );
        }
        let is_disturbed = self.secret.labels != self.baseline_with_pin(holder, &label);
        let request = Request::Detach {
            label,
            version: holder.clone(),
        };
        match self.send(Step::Unpin, Some(holder), request) {
            Next::Done(_) => superseded(),
            // What moved a label within seconds of our pin shows the date of the pin, and counts all the same.
            Next::Write(mut write) if is_disturbed => {
                write.intent.foreign_change = self.secret.last_changed;
                Next::Write(write)
            }
            next @ (Next::Write(_) | Next::Wait(_) | Next::LookAtVersions) => next,
        }
    }
}
