//! `RetryRotation`: requests a rotation while one is pending, so that AWS runs the pending version again.
//!
//! | Step | Precondition | Why it is safe | What undoes it |
//! |---|---|---|---|
//! | rotate | the rotation has been quiet for `stuckAfter`, and no one rolled the version back | AWS starts no new rotation while one is pending, and moves no label | nothing: no label moves |
//! | verify | AWS received the request | nothing is sent | |
//! | unpin | the version holds AWSCURRENT and did not at the first look | the value that works is current | nothing: the pins protect nothing any more |

use super::next::{Next, Stop, failed};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::names::StageLabel;
use crate::operation::Failure;

impl Evaluation<'_> {
    /// Decides the next step.
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
        // AWS answers a retry with an error that says that it runs the pending version: that is success, not refusal.
        if entry.was_received() {
            return self.verify(entry.intent);
        }
        // Again, because a person may have moved AWSCURRENT back since the first try.
        self.no_rolled_back_version()?;
        self.send_rotate()
    }

    /// Returns the message of a success, which says so if the version had been current before.
    fn success_message(&self) -> &'static str {
        let pending = self.operation.expect.pending.as_ref();
        let before = self.operation.baseline.as_ref();
        let previous = before.and_then(|before| before.holder(&StageLabel::previous()));
        if previous.is_some() && previous == pending {
            return "the pending version became AWSCURRENT; it was current before, and someone had moved AWSCURRENT back";
        }
        "the pending version became AWSCURRENT"
    }
}
