//! `ReleasePins`: removes our pins from a secret that no longer needs them.
//!
//! | Step | Precondition | Why it is safe | What undoes it |
//! |---|---|---|---|
//! | unpin each | no rotation is pending, one succeeded after the newest pin, and nothing changed for `attemptWindow` | the value that works is current | nothing: there is nothing left to undo |
//! | unpin a named version | a person names it, and its pin is not the newest | the newest pin is what undoes the last clear, and it stays | nothing |

use super::next::{Next, Request, Stop, failed, succeeded};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::names::{StageLabel, VersionId};
use crate::operation::{Failure, Trigger};
use crate::pin;

impl Evaluation<'_> {
    /// Decides the next step. A person may name a version whose older pins are removed before the secret is healthy.
    pub(super) fn release_pins(&self) -> Result<Next, Stop> {
        let named = self.operation.expect.pinned.as_ref();
        let named = named.filter(|_| self.operation.trigger == Trigger::Manual);
        match named {
            Some(version) => self.release_of(version),
            None => self.release_all(),
        }
    }

    fn release_of(&self, version: &VersionId) -> Result<Next, Stop> {
        let begun = self.intended(Step::Unpin);
        if !begun {
            self.before_first_write()?;
        }
        // The newest of all pins of the secret, on whichever version it is: it is what undoes the last clear.
        let newest = self.our_pins().map(|(_, _, pin)| pin.minute).max();
        let mut older = self.our_pins().filter(|(holder, _, pin)| {
            *holder == version && newest.is_some_and(|newest| pin.minute < newest)
        });
        match older.next() {
            Some((holder, label, _)) => Ok(self.send_unpin(holder, label)),
            None if begun => Ok(succeeded(
                "the older pins of the version are gone; the newest pin of the secret stays",
            )),
            None => Err(failed(
                Failure::PreconditionFailed,
                "the version carries the newest pin of the secret, which undoes the last clear and is released only when a \
                 rotation has succeeded since; name an older one",
            )),
        }
    }

    fn release_all(&self) -> Result<Next, Stop> {
        if !self.intended(Step::Unpin) {
            self.before_first_write()?;
            let window = self.policy.remediation.attempt_window;
            pin::releasable(self.secret, self.input.cluster, window, self.now)
                .map_err(|why| failed(Failure::PreconditionFailed, why))?;
        }
        if self.secret.unfinished().is_some()
            || self.intended(Step::Unpin) && !self.current_is_unmoved()
        {
            return Err(failed(
                Failure::Superseded,
                "the secret changed meanwhile; the remaining pins stay",
            ));
        }
        let Some((holder, label, _)) = self.our_pins().next() else {
            return Ok(succeeded("no pin is left"));
        };
        Ok(self.send_unpin(holder, label))
    }

    /// Removes one pin. Each is a write of its own under one journal entry, so each removal restarts the count of tries.
    pub(super) fn send_unpin(&self, holder: &VersionId, label: &StageLabel) -> Next {
        let request = Request::Detach {
            label: label.clone(),
            version: holder.clone(),
        };
        let previous = self.operation.journal.entry(Step::Unpin);
        let went_well = previous
            .is_some_and(|entry| entry.is_applied() && entry.version.as_ref() != Some(holder));
        if went_well {
            self.send_next(Step::Unpin, Some(holder), request)
        } else {
            self.send(Step::Unpin, Some(holder), request)
        }
    }
}
