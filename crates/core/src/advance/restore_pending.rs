//! `RestorePending`: moves AWSPENDING back to a version that we pinned, which undoes a clear.
//!
//! | Step | Precondition | Why it is safe | What undoes it |
//! |---|---|---|---|
//! | pin | another version holds AWSPENDING, it is named, and no function can run | a pin changes no version that anyone reads | unpin |
//! | restore | the holder is pinned, or surely has no value; only the pin has changed | AWS moves the label only from the version named, or attaches it if no version holds it | `ClearPending` |

use super::next::{Next, Request, Stop, failed, succeeded};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::journal::JournalEntry;
use crate::names::{StageLabel, VersionId};
use crate::operation::Failure;

impl Evaluation<'_> {
    /// Decides the next step. A version that holds AWSPENDING now is pinned first.
    pub(super) fn restore_pending(&self) -> Result<Next, Stop> {
        let pinned = self.expected_pinned()?;
        // Success needs an intent of this operation: someone else may have put the label back.
        if self.intended(Step::RestorePending) && self.secret.pending() == Some(pinned) {
            return Ok(succeeded(
                "AWSPENDING is back on the pinned version; now retry the rotation, or promote the version if the target \
                 accepts its value",
            ));
        }
        if self.operation.journal.is_empty() {
            self.may_restore(pinned)?;
            // The baseline must show whether the holder has a value: an empty one is not pinned.
            if let Some(holder) = self.secret.unfinished() {
                if self.input.look.versions.is_none() {
                    return Ok(Next::LookAtVersions);
                }
                self.room_for_a_pin()?;
                return self.send_pin(holder);
            }
        }
        // Someone else put it back. This comes after the success above, which needs an intent of this operation.
        if self.secret.pending() == Some(pinned) {
            return Ok(self.withdraw());
        }
        if let Some(pin) = self.operation.journal.entry(Step::Pin) {
            self.holder_is_safe(pin)?;
            if self.was_refused_at_every_try(Step::RestorePending) {
                return Ok(self.withdraw());
            }
        } else if self.secret.unfinished().is_some()
            || self.intended(Step::RestorePending) && !self.is_as_before()
        {
            return Ok(self.withdraw());
        }
        // AWS confirmed the move, and reads lag: the label would look as if it had never moved.
        if let Some(wait) = self.not_seen_yet(Step::RestorePending) {
            return Ok(wait);
        }
        Ok(self.send_restore(pinned))
    }

    /// Stops unless the named version is pinned and may take AWSPENDING.
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

    /// Stops unless the version that loses AWSPENDING is pinned, or surely has no value, and nothing else has changed.
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

    /// Sends the move, or attaches the label if no version holds it.
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

    /// Returns the version that the operation names to get AWSPENDING back.
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
