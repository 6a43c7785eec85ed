//! The way back: how an operation ends that cannot continue, and what it removes before it ends.

use super::next::{Next, Request, failed, succeeded};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::journal::JournalEntry;
use crate::operation::{Failure, Outcome};
use crate::permit;
use crate::secret::Exclusion;

impl Evaluation<'_> {
    /// Ends an operation that a person denied or that expired, after its pin is removed if that is possible.
    pub(super) fn end_unpinned(&self, outcome: &Outcome) -> Next {
        if self.secret.exclusion(self.operation.action).is_some() {
            return Next::Done(outcome.clone());
        }
        // A pin that AWS confirmed may appear only at the next look: without the wait, it would be left behind.
        self.not_seen_yet(Step::Pin)
            .filter(|_| !self.is_pinned())
            .unwrap_or_else(|| self.withdraw())
    }

    /// Ends without another write to a secret that is off limits. If the operation's rotation succeeded, it is a success.
    pub(super) fn stop_for_exclusion(&self, exclusion: Exclusion) -> Next {
        if self.has_rotated() {
            return succeeded(
                "rotated; pins stay, because nothing may be written to the secret now",
            );
        }
        failed(Failure::Refused, exclusion.message()).into()
    }

    /// Ends because someone switched rotation off meanwhile. A rotation that succeeded is a success, and a pin that protects
    /// nothing is removed; nothing else is written.
    pub(super) fn stop_without_rotation(&self) -> Next {
        if self.has_rotated() {
            return self.stop_for_exclusion(Exclusion::RotationDisabled);
        }
        self.withdraw()
    }

    /// Returns whether rotation was switched on or off since the first look.
    pub(super) fn rotation_was_switched(&self) -> bool {
        let before = self.operation.baseline.as_ref();
        before
            .and_then(|before| before.rotates)
            .is_some_and(|rotated| rotated != self.secret.rotates())
    }

    /// Returns how an operation ends that has not moved a label yet, if a person denied it or it expired.
    pub(super) fn denied_or_expired(&self) -> Option<Outcome> {
        let input = self.input;
        permit::rejected_or_expired(self.operation, &input.consent, input.server_now)
    }

    /// Ends because the secret changed before we acted, or because AWS refused our request. Only our own pin is removed.
    ///
    /// If a request of this operation may still arrive, only the pin would keep the version, so the pin stays.
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
        // The label was there at the first look: it belongs to another operation of the same minute.
        if self.pinned_before(holder, &label) {
            return superseded();
        }
        // A clear of this operation may still arrive and remove the last other label of the version, so its pin stays.
        if self.may_have_acted() && self.secret.current() != Some(holder) {
            if self.rotation_was_switched() {
                return superseded();
            }
            return failed(
                Failure::Superseded,
                "something else changed the secret while a label was being moved; the pin stays so that this can be undone",
            )
            .into();
        }
        let is_disturbed = self.secret.labels != self.baseline_with_pin(holder, &label);
        let request = Request::Detach {
            label,
            version: holder.clone(),
        };
        match self.send(Step::Unpin, Some(holder), request) {
            Next::Done(_) => superseded(),
            // A change of labels within seconds of our pin has a date that the pin explains. It still counts as a change.
            Next::Write(write) if is_disturbed => {
                Next::Write(write.noting_change(self.secret.last_changed))
            }
            next @ (Next::Write(_) | Next::Wait(_) | Next::LookAtVersions) => next,
        }
    }

    /// Returns why an operation ends that has removed its pin. A refusal by AWS says more than the change that it caused.
    fn withdrawal(&self) -> Next {
        let refused = [Step::Clear, Step::Promote, Step::RestorePending]
            .into_iter()
            .filter(|step| self.was_refused_at_every_try(*step))
            .find_map(|step| self.gave_up(step));
        if let Some(refused) = refused {
            return refused;
        }
        // A person's no explains the end only if nothing but a pin was changed.
        if let Some(outcome) = self.denied_or_expired().filter(|_| !self.may_have_acted()) {
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
                (false, _) => "something else changed the secret; the operation changed only a pin",
            },
        )
        .into()
    }

    /// Returns whether a step is tried no more, and AWS certainly refused every try.
    pub(super) fn was_refused_at_every_try(&self, step: Step) -> bool {
        self.intended(step) && !self.may_have_applied(step) && self.gave_up(step).is_some()
    }

    /// Returns whether AWS may have applied a request of the step.
    pub(super) fn may_have_applied(&self, step: Step) -> bool {
        let entry = self.operation.journal.entry(step);
        entry.is_some_and(JournalEntry::may_have_applied)
    }

    /// Returns whether we may have moved a label other than a pin.
    fn may_have_acted(&self) -> bool {
        [Step::Clear, Step::Promote, Step::RestorePending]
            .into_iter()
            .any(|step| self.may_have_applied(step))
    }
}
