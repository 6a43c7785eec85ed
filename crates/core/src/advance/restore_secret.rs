//! `RestoreSecret`: cancels a scheduled deletion.
//!
//! | Step | Precondition | Why it is safe | What undoes it |
//! |---|---|---|---|
//! | restore | the secret is scheduled for deletion at the date that the operation names | AWS removes the date and changes nothing else | DeleteSecret, by a person |

use super::next::{Next, Request, Stop, failed, succeeded};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::operation::Failure;

impl Evaluation<'_> {
    /// Decides the next step.
    pub(super) fn restore_secret(&self) -> Result<Next, Stop> {
        if let Some(foreign) = self.secret.foreign_owner() {
            return Err(failed(Failure::Refused, foreign.message()));
        }
        let intended = self.intended(Step::RestoreSecret);
        if self.secret.deleted.is_none() && intended {
            return Ok(succeeded(
                "the secret is no longer scheduled for deletion; its labels are as they were",
            ));
        }
        if !intended {
            self.before_first_write()?;
        }
        match (self.secret.deleted, self.operation.expect.deleted) {
            (_, None) => {
                return Err(failed(
                    Failure::PreconditionFailed,
                    "expect.deletedTime is missing",
                ));
            }
            (None, _) => {
                return Err(failed(
                    Failure::PreconditionFailed,
                    "the secret is not scheduled for deletion",
                ));
            }
            (Some(seen), Some(expected))
                if seen.timestamp().as_second() == expected.timestamp().as_second() => {}
            (Some(seen), Some(_)) => {
                let reason = if intended {
                    Failure::Superseded
                } else {
                    Failure::PreconditionFailed
                };
                return Err(failed(
                    reason,
                    format!(
                        "the secret is scheduled for deletion again: its DeletedDate is {seen}"
                    ),
                ));
            }
        }
        if let Some(wait) = self.not_seen_yet(Step::RestoreSecret) {
            return Ok(wait);
        }
        Ok(self.send(Step::RestoreSecret, None, Request::RestoreSecret))
    }
}
