//! `RevertToPrevious`: moves AWSCURRENT back to the previous version, because a person decided so.
//!
//! | Step | Precondition | Why it is safe | What undoes it |
//! |---|---|---|---|
//! | drop | AWSPENDING is on the current version, and no function can run | the version keeps AWSCURRENT | nothing: it was a leftover |
//! | revert | both versions are named, and nothing else has changed | AWS moves the label only from the version named, and AWSPREVIOUS with it | another `RevertToPrevious` |
//!
//! The drop comes first. Otherwise the version that loses AWSCURRENT would look like a stuck rotation, and the next recovery
//! would undo what the person decided.

use super::next::{Next, Request, Stop, failed, succeeded};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::names::{StageLabel, VersionId};
use crate::operation::Failure;
use crate::secret::LabelMap;

impl Evaluation<'_> {
    /// Decides the next step.
    pub(super) fn revert(&self) -> Result<Next, Stop> {
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
                "something else changed the secret; AWSCURRENT is not moved",
            ));
        }
        // Before the move, not after it: after it, this label would look like a rotation that is stuck.
        if self.secret.pending() == Some(current) {
            return Ok(self.drop_leftover(current));
        }
        // After the move was sent, a person's no changes nothing any more: the result must be known.
        if let Some(outcome) = self
            .denied_or_expired()
            .filter(|_| !self.intended(Step::Revert))
        {
            return Err(Next::Done(outcome).into());
        }
        if let Some(wait) = self.not_seen_yet(Step::Revert) {
            return Ok(wait);
        }
        Ok(self.send_move(Step::Revert, StageLabel::current(), current, previous))
    }

    /// Stops unless nothing can run that would move a label as well.
    fn may_revert(&self) -> Result<(), Stop> {
        self.before_first_write()?;
        if self.secret.pending().is_some() {
            self.function_is_at_rest()?;
        }
        Ok(())
    }

    /// Removes AWSPENDING from the version that is about to lose AWSCURRENT.
    fn drop_leftover(&self, current: &VersionId) -> Next {
        let request = Request::Detach {
            label: StageLabel::pending(),
            version: current.clone(),
        };
        self.not_seen_yet(Step::DropPending)
            .unwrap_or_else(|| self.send(Step::DropPending, Some(current), request))
    }

    /// Returns whether nothing but our own drop of AWSPENDING has changed since the first look.
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
}

/// Returns the labels as they are once AWSPENDING is gone.
fn without_pending(mut labels: LabelMap) -> LabelMap {
    for held in labels.values_mut() {
        held.remove(&StageLabel::pending());
    }
    labels.retain(|_, held| !held.is_empty());
    labels
}
