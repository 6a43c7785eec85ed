//! Removing pins.

use super::judge::{Judge, failed, succeeded};
use super::{Next, Request};
use crate::identity::{StageLabel, VersionId};
use crate::operation::{Failure, Step};
use crate::plan::releasable;

impl Judge<'_> {
    /// `ReleasePins`: a secret that has long been well needs no undo any more.
    pub(super) fn release(&self) -> Next {
        self.try_release().unwrap_or_else(|next| next)
    }

    fn try_release(&self) -> Result<Next, Next> {
        if !self.intended(Step::Unpin) {
            self.before_first_write()?;
            let window = self.policy.remediation.attempt_window;
            releasable(self.secret, self.facts.cluster, window, self.now)
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

    /// Removes one pin. Each is a write of its own under one journal entry, so a pin that went well starts the count anew.
    pub(super) fn send_unpin(&self, holder: &VersionId, label: &StageLabel) -> Next {
        let request = Request::Detach {
            label: label.clone(),
            version: holder.clone(),
        };
        let previous = self.operation.journal.entry(Step::Unpin);
        let went_well = previous
            .is_some_and(|entry| entry.is_applied() && entry.version.as_ref() != Some(holder));
        if went_well {
            self.send_anew(Step::Unpin, Some(holder), request)
        } else {
            self.send(Step::Unpin, Some(holder), request)
        }
    }
}
