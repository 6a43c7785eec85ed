//! Labels that a person has moved: `PromotePending`, `RestorePending`, `RevertToPrevious`.

use super::preconditions::{Evaluation, failed, succeeded};
use super::{Next, Request};
use crate::action::Step;
use crate::journal::JournalEntry;
use crate::names::{StageLabel, VersionId};
use crate::operation::{FUNCTION_AT_REST, Failure};
use crate::secret::{LabelMap, VersionListing};

impl Evaluation<'_> {
    /// `PromotePending`: pin, move AWSCURRENT, drop AWSPENDING. The pin stays: it tells that the version was not made by
    /// the rotation that its date suggests, and it undoes what somebody else does meanwhile.
    pub(super) fn promote(&self) -> Next {
        self.try_promote().unwrap_or_else(|next| next)
    }

    fn try_promote(&self) -> Result<Next, Next> {
        let (current, pending) = (self.expected_current()?, self.expected_pending()?);
        if self.intended(Step::Promote) && self.secret.current() == Some(pending) {
            return Ok(self.drop_pending(pending));
        }
        let Some(pin) = self.operation.journal.entry(Step::Pin) else {
            return self.pin_before_promotion(current, pending);
        };
        if self.intended(Step::Unpin)
            || self.secret.unfinished() != Some(pending)
            || self.secret.current() != Some(current)
        {
            return Ok(self.withdraw());
        }
        self.pinned_and_undisturbed(pending, pin)?;
        if self.gave_up_for_sure(Step::Promote) {
            return Ok(self.withdraw());
        }
        if let Some(wait) = self.not_seen_yet(Step::Promote) {
            return Ok(wait);
        }
        Ok(self.send_move(Step::Promote, StageLabel::current(), current, pending))
    }

    fn pin_before_promotion(&self, current: &VersionId, pending: &VersionId) -> Result<Next, Next> {
        self.before_first_write()?;
        if current == pending {
            return Err(failed(
                Failure::PreconditionFailed,
                "the pending version is the current one already",
            ));
        }
        self.function_is_at_rest()?;
        let Some(versions) = &self.input.look.versions else {
            return Ok(Next::LookAtVersions);
        };
        if !versions.lists(pending) {
            return Err(failed(
                Failure::PreconditionFailed,
                "AWS lists no value for the pending version, and a version without one must not become current",
            ));
        }
        self.previous_is_expendable(versions)?;
        self.room_for_a_pin()?;
        self.send_pin(pending)
    }

    /// AWS moves AWSPREVIOUS along with AWSCURRENT, and the version that held it loses its last label. That is safe only
    /// where a rotation made the current version: it proved that the target accepts the current value, so that nothing
    /// works with the previous one any more.
    fn previous_is_expendable(&self, versions: &VersionListing) -> Result<(), Next> {
        let Some(previous) = self.secret.previous() else {
            return Ok(());
        };
        let has_other_labels = self.secret.labels_of(previous).count() > 1;
        let history = &self.input.history;
        if has_other_labels || !history.is_current_unproven(self.secret, versions) {
            return Ok(());
        }
        let arn = &self.secret.arn;
        Err(failed(
            Failure::PreconditionFailed,
            format!(
                "AWSCURRENT was moved by a request, not by a rotation, so version {previous} with AWSPREVIOUS may hold the \
                 password that works, and this promotion would remove its last label: label it first (aws secretsmanager \
                 update-secret-version-stage --secret-id {arn} --version-stage keep --move-to-version-id {previous}), \
                 or rotate"
            ),
        ))
    }

    /// A version with a value can be pinned; where the pin is not seen, nothing is promoted.
    fn pinned_and_undisturbed(&self, pending: &VersionId, pin: &JournalEntry) -> Result<(), Next> {
        let label = self.own_pin(pending)?;
        if self.secret.holder(&label) == Some(pending) {
            return self.undisturbed_since_pin(pending, &label, pin);
        }
        if !self.is_as_before() {
            return Err(self.withdraw());
        }
        match self.not_seen_yet(Step::Pin) {
            Some(wait) => Err(wait),
            None => Err(self.send_pin(pending)?),
        }
    }

    /// AWS drops AWSPENDING from a version that has become current, or leaves it there, which harms nothing.
    fn drop_pending(&self, promoted: &VersionId) -> Next {
        let done = "AWSCURRENT is on the version that was pending; the target was not touched: \
                    see that it accepts this value, and rotate when it does";
        let own = self.own_pin(promoted).ok();
        let is_pinned = own.is_some_and(|label| self.secret.holder(&label) == Some(promoted));
        // Unpinned, the version would be lost if somebody moved AWSCURRENT back in this moment.
        if self.secret.pending() != Some(promoted) || !is_pinned {
            return succeeded(done);
        }
        let request = Request::Detach {
            label: StageLabel::pending(),
            version: promoted.clone(),
        };
        match self.send(Step::DropPending, Some(promoted), request) {
            Next::Done(_) => succeeded(format!("{done}; AWSPENDING could not be dropped from it")),
            next @ (Next::Write(_) | Next::Wait(_) | Next::LookAtVersions) => next,
        }
    }

    /// `RestorePending`: AWSPENDING goes back to a version that we pinned. A version that holds it now is pinned first.
    pub(super) fn restore_pending(&self) -> Next {
        self.try_restore_pending().unwrap_or_else(|next| next)
    }

    fn try_restore_pending(&self) -> Result<Next, Next> {
        let pinned = self.expected_pinned()?;
        if self.intended(Step::RestorePending) && self.secret.pending() == Some(pinned) {
            return Ok(succeeded(
                "AWSPENDING is back on the pinned version; now retry the rotation, or promote the version if the target \
                 accepts its value",
            ));
        }
        if self.operation.journal.is_empty() {
            self.may_restore(pinned)?;
            if let Some(holder) = self.secret.unfinished() {
                if self.input.look.versions.is_none() {
                    return Ok(Next::LookAtVersions);
                }
                self.room_for_a_pin()?;
                return self.send_pin(holder);
            }
        }
        if self.secret.pending() == Some(pinned) {
            return Ok(self.withdraw());
        }
        if let Some(pin) = self.operation.journal.entry(Step::Pin) {
            self.holder_is_safe(pin)?;
            if self.gave_up_for_sure(Step::RestorePending) {
                return Ok(self.withdraw());
            }
        } else if self.secret.unfinished().is_some()
            || self.intended(Step::RestorePending) && !self.is_as_before()
        {
            return Ok(self.withdraw());
        }
        if let Some(wait) = self.not_seen_yet(Step::RestorePending) {
            return Ok(wait);
        }
        Ok(self.send_restore(pinned))
    }

    fn may_restore(&self, pinned: &VersionId) -> Result<(), Next> {
        self.before_first_write()?;
        let unfit = |why: &str| Err(failed(Failure::PreconditionFailed, why));
        if self.secret.current() == Some(pinned) {
            return unfit("the pinned version is the current one");
        }
        let Some(holder) = self.secret.pending() else {
            return Ok(());
        };
        if holder == pinned {
            return unfit("AWSPENDING is on the pinned version already");
        }
        if self.operation.expect.pending.is_none() {
            return unfit("write expect.pendingVersionId: a version holds AWSPENDING now");
        }
        self.function_is_at_rest()
    }

    /// The version that loses AWSPENDING is pinned, or surely empty, and nothing else has happened.
    fn holder_is_safe(&self, pin: &JournalEntry) -> Result<(), Next> {
        let holder = self.expected_pending()?;
        if self.intended(Step::Unpin) || self.secret.unfinished() != Some(holder) {
            return Err(self.withdraw());
        }
        let label = self.own_pin(holder)?;
        if self.secret.holder(&label) == Some(holder) {
            return self.undisturbed_since_pin(holder, &label, pin);
        }
        if self.is_as_before() {
            return self.surely_empty(holder, pin);
        }
        Err(self.withdraw())
    }

    fn send_restore(&self, pinned: &VersionId) -> Next {
        match self.secret.pending() {
            Some(holder) => {
                self.send_move(Step::RestorePending, StageLabel::pending(), holder, pinned)
            }
            None => self.send(
                Step::RestorePending,
                Some(pinned),
                Request::Attach {
                    label: StageLabel::pending(),
                    version: pinned.clone(),
                },
            ),
        }
    }

    fn expected_pinned(&self) -> Result<&VersionId, Next> {
        let missing = || {
            failed(
                Failure::PreconditionFailed,
                "expect.pinnedVersionId is missing",
            )
        };
        self.operation.expect.pinned.as_ref().ok_or_else(missing)
    }

    /// `RevertToPrevious`: AWSPENDING is dropped from the current version first, if it is there, then AWSCURRENT moves.
    ///
    /// ```text
    /// step  request                               it is safe because                        undone by
    /// drop  AWSPENDING off the current version    that version holds AWSCURRENT             nothing: it was a leftover
    /// move  AWSCURRENT, from current to previous  both are named, and no function can run   another RevertToPrevious
    /// ```
    /// The drop comes first: otherwise the version that loses AWSCURRENT would look like a rotation that is stuck, and the
    /// next recovery would undo what the person decided. AWS moves AWSPREVIOUS to the version that loses AWSCURRENT.
    pub(super) fn revert(&self) -> Next {
        self.try_revert().unwrap_or_else(|next| next)
    }

    fn try_revert(&self) -> Result<Next, Next> {
        let current = self.expected_current()?;
        let Some(previous) = self.operation.expect.previous.as_ref() else {
            return Err(failed(
                Failure::PreconditionFailed,
                "expect.previousVersionId is missing",
            ));
        };
        if current == previous {
            return Err(failed(
                Failure::PreconditionFailed,
                "the previous version is the current one already",
            ));
        }
        if self.operation.journal.is_empty() {
            self.may_revert()?;
        } else if self.intended(Step::Revert) && self.secret.current() == Some(previous) {
            return Ok(succeeded(
                "AWSCURRENT is on the version that was previous; the password at the target does not move with it: set it \
                 back there if it was changed, or rotate",
            ));
        } else if !self.is_as_before_the_revert() || self.secret.current() != Some(current) {
            return Err(failed(
                Failure::Superseded,
                "the secret changed by itself; AWSCURRENT is not moved",
            ));
        }
        if self.secret.pending() == Some(current) {
            return Ok(self.drop_leftover(current));
        }
        if let Some(outcome) = self.called_off().filter(|_| !self.intended(Step::Revert)) {
            return Err(Next::Done(outcome));
        }
        if let Some(wait) = self.not_seen_yet(Step::Revert) {
            return Ok(wait);
        }
        Ok(self.send_move(Step::Revert, StageLabel::current(), current, previous))
    }

    fn may_revert(&self) -> Result<(), Next> {
        self.before_first_write()?;
        if self.secret.pending().is_some() {
            self.function_is_at_rest()?;
        }
        Ok(())
    }

    fn drop_leftover(&self, current: &VersionId) -> Next {
        let request = Request::Detach {
            label: StageLabel::pending(),
            version: current.clone(),
        };
        self.not_seen_yet(Step::DropPending)
            .unwrap_or_else(|| self.send(Step::DropPending, Some(current), request))
    }

    /// Whether nothing has changed since the first look but that AWSPENDING was dropped by us.
    fn is_as_before_the_revert(&self) -> bool {
        let Some(drop) = self.operation.journal.entry(Step::DropPending) else {
            return self.is_as_before();
        };
        let Some(before) = &self.operation.baseline else {
            return false;
        };
        let changed = self.secret.last_changed;
        let dated =
            changed == before.last_changed || changed.is_some_and(|changed| drop.explains(changed));
        let dropped = without_pending(before.labels.clone());
        let labels = &self.secret.labels;
        dated && (*labels == before.labels || *labels == dropped)
    }

    /// Nothing has happened for longer than a rotation function can run.
    pub(super) fn function_is_at_rest(&self) -> Result<(), Next> {
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

    fn send_move(&self, step: Step, label: StageLabel, from: &VersionId, to: &VersionId) -> Next {
        self.send(
            step,
            Some(to),
            Request::Move {
                label,
                from: from.clone(),
                to: to.clone(),
            },
        )
    }
}

fn without_pending(mut labels: LabelMap) -> LabelMap {
    for held in labels.values_mut() {
        held.remove(&StageLabel::pending());
    }
    labels.retain(|_, held| !held.is_empty());
    labels
}
