//! `ClearPending` and `ClearAndRotate`: removes AWSPENDING from a stale version.
//!
//! | Step | Precondition | Why it is safe | What undoes it |
//! |---|---|---|---|
//! | pin | the rotation has been quiet for `stuckAfter`, AWS no longer retries it, no one rolled the version back, and there is room for a label | a pin changes no version that anyone reads | unpin |
//! | settle | only the pin has changed since the first look, for `confirmAfter` | a second look shows that no rotation is running | unpin |
//! | clear | gates are still open, and the pin is seen, or the version surely has no value | AWS removes the label only from the version named; the pin keeps the value | `RestorePending` |
//! | rotate | `ClearAndRotate` only: see [`rotate`](super::rotate) | | `RestorePending`, until the rotation succeeds |
//!
//! Anything else that changes meanwhile ends the operation as `Superseded`, and its pin is removed.

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
    /// Decides the next step. The journal is read backward: the latest step that was begun is the one that continues.
    pub(super) fn clear(&self) -> Result<Next, Stop> {
        let pending = self.expected_pending()?;
        // Once a rotation was requested, the old version no longer matters.
        if self.intended(Step::Rotate) {
            return self.rotation();
        }
        // A withdrawal that has begun is completed, even if the secret looks as before again.
        if self.intended(Step::Unpin) {
            return Ok(self.withdraw());
        }
        let Some(pin) = self.operation.journal.entry(Step::Pin) else {
            return self.pin(pending);
        };
        // The clear may have been applied although its answer was lost, so the label decides, not the journal.
        let labelled = self.secret.pending() == Some(pending);
        if self.intended(Step::Clear) && !labelled {
            return self.cleared(pending);
        }
        self.settle(pending, pin)
    }

    /// Sends the pin, if the rotation is stuck, AWS has given up on it, and there is room for a label.
    ///
    /// If other metadata keeps changing, the dates of AWS cannot show that nothing runs. A version without a value is then
    /// cleared once its labels and versions have been unchanged for a day.
    fn pin(&self, pending: &VersionId) -> Result<Next, Stop> {
        self.before_first_write()?;
        let stuck = self.stuck(pending);
        let may_go_by_labels = self.secret.unfinished() == Some(pending)
            && self.secret.last_changed.is_some()
            && self.labels_are_stable();
        // Before the list of versions: a secret that is not stuck must not cost a second call.
        if !may_go_by_labels {
            stuck.clone()?;
        }
        if self.input.look.versions.is_none() {
            return Ok(Next::LookAtVersions);
        }
        // Needs the list of versions: only their dates show whether a person passed the pending version over.
        self.no_rolled_back_version()?;
        // Labels alone are enough for an empty version only: AWS may run one with a value again, so its dates count too.
        if self.baseline_now().pending_value != PendingValue::Empty {
            self.aws_has_given_up(stuck?)?;
        }
        self.room_for_a_pin()?;
        self.send_pin(pending)
    }

    /// Stops while the rotation window of AWS is open, in which AWS may run a pending version with a value again. A secret
    /// without rotation has no such window.
    fn aws_has_given_up(&self, quiet_since: AwsTime) -> Result<(), Stop> {
        if !self.secret.rotates() {
            return Ok(());
        }
        match rotation_window::closes_at(self.secret, quiet_since, self.now) {
            Some(closes) => {
                let message =
                    format!("RotationWindowOpen: AWS may still retry the rotation until {closes}");
                Err(self
                    .wait_until(closes, Phase::AwaitingWindow, message)
                    .into())
            }
            None => Ok(()),
        }
    }

    /// Continues between pin and clear, where only our own pin may change for `confirmAfter`.
    fn settle(&self, pending: &VersionId, pin: &JournalEntry) -> Result<Next, Stop> {
        if self.secret.unfinished() != Some(pending) {
            return Err(self.withdraw().into());
        }
        let label = self.own_pin(pending)?;
        // Only if AWS refused every try: a clear that may still arrive needs its pin.
        if self.was_refused_at_every_try(Step::Clear) {
            return Err(self.withdraw().into());
        }
        if self.goes_by_labels(pin) {
            return self.settle_by_labels(pending, &label, pin);
        }
        if self.secret.holder(&label) == Some(pending) {
            self.undisturbed_since_pin(pending, &label, pin)?;
            // From the later of both: the intent is written before the request, and AWS dates the change itself.
            let changed = self.secret.last_changed.unwrap_or(self.now);
            return self.confirm(pending, changed.max(pin.intent));
        }
        // No pin, and nothing else has changed either: the pin was refused, or its answer was lost.
        if self.is_as_before() {
            return self.unpinned(pending, pin);
        }
        Err(self.withdraw().into())
    }

    /// Returns whether the pin was set although the last change was recent: then only labels and versions count, not dates.
    fn goes_by_labels(&self, pin: &JournalEntry) -> bool {
        let first = pin.first_try();
        first
            .foreign_change
            .is_some_and(|changed| first.intent.since(changed) < self.policy.detection.stuck_after)
    }

    /// Continues like [`Self::settle`] while other metadata keeps changing: no label and no version may change, and the
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
        // Right before the clear and not earlier: the list costs a call, and a value may appear until then.
        let earliest = pin.intent.plus(self.operation.confirm_after);
        if self.now >= earliest {
            self.versions_are_kept(pending, pin)?;
        }
        self.confirm(pending, pin.intent)
    }

    /// Stops if a version received a value since the first try of the pin, or if the pending version has one.
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

    /// Sends the clear, at the earliest `confirmAfter` after `since`, if gates are open and AWS does not retry.
    fn confirm(&self, pending: &VersionId, since: AwsTime) -> Result<Next, Stop> {
        let earliest = since.plus(self.operation.confirm_after);
        if self.now < earliest {
            return Ok(self.wait_until(
                earliest,
                Phase::Settling,
                format!("pinned; AWSPENDING is removed after {earliest} if nothing else changes"),
            ));
        }
        // A person's no comes before the gates: it ends what they would only keep waiting.
        if self.denied_or_expired().is_some() {
            return Err(self.withdraw().into());
        }
        self.gate()?;
        let before = self.operation.baseline.as_ref();
        if before.is_some_and(|before| before.pending_value != PendingValue::Empty) {
            // Without our own pin: it moved the date, but says nothing about the rotation.
            let history = &self.input.history;
            let quiet = history.quiet_since_before(self.secret, self.operation);
            self.aws_has_given_up(quiet.unwrap_or(self.now))?;
        }
        // AWS confirmed the clear: sending it again would meet a label that is gone.
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

    /// Continues without a visible pin: only a version without a value, which AWS refuses to label, is cleared without one.
    fn unpinned(&self, pending: &VersionId, pin: &JournalEntry) -> Result<Next, Stop> {
        self.surely_empty(pending, pin)?;
        self.confirm(pending, pin.intent)
    }

    /// Continues after AWSPENDING left the version, by our clear or by a change of someone else.
    fn cleared(&self, pending: &VersionId) -> Result<Next, Stop> {
        // It became current: the rotation finished after all, so there is nothing to protect or to undo.
        if self.secret.current() == Some(pending) {
            return Err(self.withdraw().into());
        }
        if !self.may_have_cleared() {
            return Err(failed(
                Failure::Superseded,
                "someone else removed AWSPENDING",
            ));
        }
        // Someone set a value or finished a rotation meanwhile: another rotation would undo that.
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

    /// Returns whether our clear was applied, or may still be.
    fn may_have_cleared(&self) -> bool {
        self.may_have_applied(Step::Clear)
    }
}
