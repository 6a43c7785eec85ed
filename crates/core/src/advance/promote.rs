//! `PromotePending`: AWSCURRENT moves to the pending version.

use super::next::{Next, Request, Stop, failed, succeeded};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::journal::JournalEntry;
use crate::names::{StageLabel, VersionId};
use crate::operation::Failure;
use crate::secret::VersionListing;

impl Evaluation<'_> {
    /// `PromotePending`: pin, move AWSCURRENT, drop AWSPENDING. The pin stays: it tells that the version was not made by
    /// the rotation that its date suggests, and it undoes what somebody else does meanwhile.
    pub(super) fn promote(&self) -> Result<Next, Stop> {
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

    fn pin_before_promotion(&self, current: &VersionId, pending: &VersionId) -> Result<Next, Stop> {
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
    fn previous_is_expendable(&self, versions: &VersionListing) -> Result<(), Stop> {
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
    fn pinned_and_undisturbed(&self, pending: &VersionId, pin: &JournalEntry) -> Result<(), Stop> {
        let label = self.own_pin(pending)?;
        if self.secret.holder(&label) == Some(pending) {
            return self.undisturbed_since_pin(pending, &label, pin);
        }
        if !self.is_as_before() {
            return Err(self.withdraw().into());
        }
        match self.not_seen_yet(Step::Pin) {
            Some(wait) => Err(wait.into()),
            None => Err(self.send_pin(pending)?.into()),
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
}
