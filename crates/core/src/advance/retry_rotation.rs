//! `RetryRotation`: AWS is asked for a rotation while one is pending, and runs that one again.

use super::next::{Next, Stop, failed};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::names::StageLabel;
use crate::operation::Failure;

impl Evaluation<'_> {
    /// `RetryRotation`: AWS is asked for a rotation while one is pending, and runs that one again.
    pub(super) fn retry_rotation(&self) -> Result<Next, Stop> {
        let pending = self.expected_pending()?;
        let Some(entry) = self.operation.journal.entry(Step::Rotate) else {
            self.before_first_write()?;
            self.stuck(pending)?;
            self.no_rolled_back_version()?;
            return self.send_rotate();
        };
        if self.has_succeeded(pending) {
            return Ok(self.unpin_all(self.success_message()));
        }
        if self.secret.unfinished() != Some(pending) {
            return Err(failed(
                Failure::Superseded,
                "the pending version lost AWSPENDING without becoming current",
            ));
        }
        if entry.was_received() {
            return self.verify(entry.intent);
        }
        self.no_rolled_back_version()?;
        self.send_rotate()
    }

    fn success_message(&self) -> &'static str {
        let pending = self.operation.expect.pending.as_ref();
        let before = self.operation.baseline.as_ref();
        let previous = before.and_then(|before| before.holder(&StageLabel::previous()));
        if previous.is_some() && previous == pending {
            return "the pending version became AWSCURRENT; it had been so before, and somebody had moved AWSCURRENT back";
        }
        "the pending version became AWSCURRENT"
    }
}
