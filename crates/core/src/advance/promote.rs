//! `PromotePending`: moves AWSCURRENT to the pending version, because a person knows that the target accepts it.
//!
//! | Step | Precondition | Why it is safe | What undoes it |
//! |---|---|---|---|
//! | pin | both versions are named, the pending one has a value, no function can run, and the version with AWSPREVIOUS can lose its label | a pin changes no version that anyone reads | unpin |
//! | promote | the pin is seen, and only it has changed | AWS moves the label only from the version named | `RevertToPrevious` |
//! | drop | the version holds AWSCURRENT and its pin | it keeps two labels | nothing: it was a leftover |
//!
//! The pin stays. It shows that no rotation made this version current, whatever the dates suggest, and it keeps the version if
//! someone moves AWSCURRENT meanwhile.

use super::next::{Next, Request, Stop, failed, succeeded};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::journal::JournalEntry;
use crate::names::{StageLabel, VersionId};
use crate::operation::Failure;
use crate::secret::VersionListing;

impl Evaluation<'_> {
    /// Decides the next step.
    pub(super) fn promote(&self) -> Result<Next, Stop> {
        let (current, pending) = (self.expected_current()?, self.expected_pending()?);
        // Success needs an intent of this operation: a version that was current already proves nothing.
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
        // Before the retries: a change by someone else ends the operation, however often it was tried.
        self.pinned_and_undisturbed(pending, pin)?;
        if self.was_refused_at_every_try(Step::Promote) {
            return Ok(self.withdraw());
        }
        // AWS confirmed the move: a second one would find AWSCURRENT elsewhere and be refused.
        if let Some(wait) = self.not_seen_yet(Step::Promote) {
            return Ok(wait);
        }
        Ok(self.send_move(Step::Promote, StageLabel::current(), current, pending))
    }

    /// Sends the pin, if everything that a promotion needs is true.
    fn pin_before_promotion(&self, current: &VersionId, pending: &VersionId) -> Result<Next, Stop> {
        self.before_first_write()?;
        if current == pending {
            return Err(failed(
                Failure::PreconditionFailed,
                "the pending version is the current one already",
            ));
        }
        // A function that still runs would finish a rotation that the promotion has just decided.
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
        // Before the pin: a refusal must leave no label behind.
        self.previous_is_expendable(versions)?;
        self.room_for_a_pin()?;
        self.send_pin(pending)
    }

    /// Stops if the version with AWSPREVIOUS may hold the live password and would lose its last label.
    ///
    /// AWS moves AWSPREVIOUS along with AWSCURRENT. That is safe if a rotation made the current version: it proved that the
    /// target accepts the current value, so no client needs the previous one.
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

    /// Stops until the pin is seen, and if anything else has changed. A version with a value can always be pinned.
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

    /// Removes AWSPENDING from the promoted version, if AWS left it there. A failure to do so does no harm.
    fn drop_pending(&self, promoted: &VersionId) -> Next {
        let done = "AWSCURRENT is on the version that was pending; the target was not touched: \
                    make sure that it accepts this value, then rotate";
        let own = self.own_pin(promoted).ok();
        let is_pinned = own.is_some_and(|label| self.secret.holder(&label) == Some(promoted));
        // Without a pin, the version would lose its last label if someone moved AWSCURRENT back at this moment.
        if self.secret.pending() != Some(promoted) || !is_pinned {
            return succeeded(done);
        }
        let request = Request::Detach {
            label: StageLabel::pending(),
            version: promoted.clone(),
        };
        match self.send(Step::DropPending, Some(promoted), request) {
            Next::Done(_) => succeeded(format!("{done}; AWSPENDING could not be removed from it")),
            next @ (Next::Write(_) | Next::Wait(_) | Next::LookAtVersions) => next,
        }
    }
}
