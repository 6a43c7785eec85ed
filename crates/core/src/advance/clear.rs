//! `ClearPending` and `ClearAndRotate` up to the cleared label: pin, settle, clear.

use super::next::{Next, Request, Stop, failed, succeeded};
use super::preconditions::Evaluation;
use crate::action::{Action, Step};
use crate::journal::JournalEntry;
use crate::names::{StageLabel, VersionId};
use crate::operation::Failure;
use crate::permit::Phase;
use crate::rotation_window;
use crate::secret::PendingValue;
use crate::time::AwsTime;

impl Evaluation<'_> {
    /// `ClearPending` and `ClearAndRotate`.
    pub(super) fn clear(&self) -> Result<Next, Stop> {
        let pending = self.expected_pending()?;
        if self.intended(Step::Rotate) {
            return self.rotation();
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
    fn pin(&self, pending: &VersionId) -> Result<Next, Stop> {
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

    /// A pending version with a value may be run again by AWS while AWS's own rotation window is open. Where rotation is
    /// off there is no such window.
    fn aws_has_given_up(&self, quiet_since: AwsTime) -> Result<(), Stop> {
        if !self.secret.rotates() {
            return Ok(());
        }
        match rotation_window::closes_at(self.secret, quiet_since, self.now) {
            Some(closes) => {
                let message =
                    format!("RotationWindowOpen: AWS may still retry by itself until {closes}");
                Err(self
                    .wait_until(closes, Phase::AwaitingWindow, message)
                    .into())
            }
            None => Ok(()),
        }
    }

    /// Between pin and clear: nothing but our own pin may have changed, for `confirmAfter`.
    fn settle(&self, pending: &VersionId, pin: &JournalEntry) -> Result<Next, Stop> {
        if self.secret.unfinished() != Some(pending) {
            return Err(self.withdraw().into());
        }
        let label = self.own_pin(pending)?;
        if self.gave_up_for_sure(Step::Clear) {
            return Err(self.withdraw().into());
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
        Err(self.withdraw().into())
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
    ) -> Result<Next, Stop> {
        let before = self.operation.baseline.as_ref();
        let was_empty = before.is_some_and(|before| before.pending_value == PendingValue::Empty);
        let is_pinned = self.secret.holder(label) == Some(pending);
        let labels_kept = if is_pinned {
            self.secret.labels == self.baseline_with_pin(pending, label)
        } else {
            before.is_some_and(|before| before.labels == self.secret.labels)
        };
        if !was_empty || !labels_kept {
            return Err(self.withdraw().into());
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
    fn versions_are_kept(&self, pending: &VersionId, pin: &JournalEntry) -> Result<(), Stop> {
        let Some(versions) = &self.input.look.versions else {
            return Err(Next::LookAtVersions.into());
        };
        let since = pin.first_try().intent;
        let is_new = |created: &Option<AwsTime>| created.is_none_or(|created| created >= since);
        if versions.lists(pending) || versions.created.values().any(is_new) {
            return Err(self.withdraw().into());
        }
        Ok(())
    }

    /// The second look, `confirmAfter` after the first: gates still open, AWS still not retrying.
    fn confirm(&self, pending: &VersionId, since: AwsTime) -> Result<Next, Stop> {
        let earliest = since.plus(self.operation.confirm_after);
        if self.now < earliest {
            return Ok(self.wait_until(
                earliest,
                Phase::Settling,
                format!("pinned; AWSPENDING is removed after {earliest} if nothing else changes"),
            ));
        }
        if self.called_off().is_some() {
            return Err(self.withdraw().into());
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
    fn unpinned(&self, pending: &VersionId, pin: &JournalEntry) -> Result<Next, Stop> {
        self.surely_empty(pending, pin)?;
        self.confirm(pending, pin.intent)
    }

    /// AWSPENDING is no longer on the version: by our clear, or by somebody else's doing.
    fn cleared(&self, pending: &VersionId) -> Result<Next, Stop> {
        if self.secret.current() == Some(pending) {
            return Err(self.withdraw().into());
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
            Action::ClearAndRotate => self.rotation(),
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
}
