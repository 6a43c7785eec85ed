//! The way back: how an operation ends that cannot go on, and what it takes back before.

use super::next::{Next, Request, failed, succeeded};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::journal::JournalEntry;
use crate::operation::{Failure, Outcome};
use crate::permit;
use crate::secret::Exclusion;

impl Evaluation<'_> {
    /// A person said no, or its time is over: the pin is taken back, if that is possible.
    pub(super) fn end_unpinned(&self, outcome: &Outcome) -> Next {
        if self.secret.exclusion(self.operation.action).is_some() {
            return Next::Done(outcome.clone());
        }
        self.not_seen_yet(Step::Pin)
            .filter(|_| !self.is_pinned())
            .unwrap_or_else(|| self.withdraw())
    }

    /// Nothing more is written to such a secret. A rotation of ours that has come through is a success all the same.
    pub(super) fn stop_for_exclusion(&self, exclusion: Exclusion) -> Next {
        if self.has_rotated() {
            return succeeded(
                "rotated; pins stay, because nothing may be written to the secret now",
            );
        }
        failed(Failure::Refused, exclusion.message()).into()
    }

    /// Somebody switched rotation off while the operation was under way: what has come through is a success, a pin that
    /// protects nothing is taken back, and nothing else is written.
    pub(super) fn stop_without_rotation(&self) -> Next {
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

    /// Why an operation that has not yet moved a label must end: its time is over, or a person said no.
    pub(super) fn called_off(&self) -> Option<Outcome> {
        let input = self.input;
        permit::rejected_or_expired(self.operation, &input.consent, input.server_now)
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
            // What moved a label within seconds of our pin shows the date of the pin, and counts all the same.
            Next::Write(write) if is_disturbed => {
                Next::Write(write.noting_change(self.secret.last_changed))
            }
            next @ (Next::Write(_) | Next::Wait(_) | Next::LookAtVersions) => next,
        }
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
        .into()
    }

    /// Whether a step is tried no more, and AWS certainly refused each try of it.
    pub(super) fn gave_up_for_sure(&self, step: Step) -> bool {
        self.intended(step) && !self.may_have_applied(step) && self.gave_up(step).is_some()
    }

    pub(super) fn may_have_applied(&self, step: Step) -> bool {
        let entry = self.operation.journal.entry(step);
        entry.is_some_and(JournalEntry::may_have_applied)
    }

    /// Whether a label other than a pin may have been moved by us, or may still be.
    fn may_have_acted(&self) -> bool {
        [Step::Clear, Step::Promote, Step::RestorePending]
            .into_iter()
            .any(|step| self.may_have_applied(step))
    }
}
