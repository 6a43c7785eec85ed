//! `RestorePending`: AWSPENDING goes back to a version that we pinned.

use super::next::{Next, Request, Stop, failed, succeeded};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::journal::JournalEntry;
use crate::names::{StageLabel, VersionId};
use crate::operation::Failure;

impl Evaluation<'_> {
    /// `RestorePending`: AWSPENDING goes back to a version that we pinned. A version that holds it now is pinned first.
    pub(super) fn restore_pending(&self) -> Result<Next, Stop> {
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

    fn may_restore(&self, pinned: &VersionId) -> Result<(), Stop> {
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
    fn holder_is_safe(&self, pin: &JournalEntry) -> Result<(), Stop> {
        let holder = self.expected_pending()?;
        if self.intended(Step::Unpin) || self.secret.unfinished() != Some(holder) {
            return Err(self.withdraw().into());
        }
        let label = self.own_pin(holder)?;
        if self.secret.holder(&label) == Some(holder) {
            return self.undisturbed_since_pin(holder, &label, pin);
        }
        if self.is_as_before() {
            return self.surely_empty(holder, pin);
        }
        Err(self.withdraw().into())
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

    fn expected_pinned(&self) -> Result<&VersionId, Stop> {
        let missing = || {
            failed(
                Failure::PreconditionFailed,
                "expect.pinnedVersionId is missing",
            )
        };
        self.operation.expect.pinned.as_ref().ok_or_else(missing)
    }
}
