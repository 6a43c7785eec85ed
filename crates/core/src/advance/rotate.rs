//! `Rotate`: requests a rotation, and verifies it until the new version is current. `ClearAndRotate` continues here.
//!
//! | Step | Precondition | Why it is safe | What undoes it |
//! |---|---|---|---|
//! | rotate | no rotation is unfinished, and no person decided against the version that was cleared | the token is the same at each try, so AWS starts one rotation at most | `RevertToPrevious` |
//! | verify | the token holds AWSPENDING | nothing is sent | |
//! | unpin | the token holds AWSCURRENT and did not at the first look | the value that works is current | nothing: the pins protect nothing any more |

use std::time::Duration;

use super::next::{Next, Request, Stop, failed, succeeded};
use super::preconditions::Evaluation;
use super::retry::READ_LAG;
use crate::action::{Action, Step};
use crate::journal::JournalEntry;
use crate::names::{StageLabel, VersionId};
use crate::operation::{Failure, Trigger};
use crate::permit::Phase;
use crate::time::AwsTime;

/// Shortest time between two looks at a running rotation.
const SHORTEST_POLL: Duration = Duration::from_secs(2);

/// Longest time between two looks at a running rotation.
const LONGEST_POLL: Duration = Duration::from_mins(5);

impl Evaluation<'_> {
    /// Decides the next step of an operation that begins with the rotation.
    pub(super) fn rotate(&self) -> Result<Next, Stop> {
        if !self.intended(Step::Rotate) {
            self.before_first_write()?;
            if self.secret.unfinished().is_some() {
                return Err(failed(
                    Failure::PreconditionFailed,
                    "a rotation is not finished; AWS would refuse another one",
                ));
            }
        }
        self.rotation()
    }

    /// Decides the next step from the request to the new current version.
    ///
    /// The token identifies the rotation of this operation: it is the ID of the version that AWS creates.
    pub(super) fn rotation(&self) -> Result<Next, Stop> {
        let token = self.token()?;
        // Success first: a function that was fast leaves nothing else of the rotation to see.
        if self.intended(Step::Rotate) && self.has_succeeded(&token) {
            return Ok(self.unpin_all("rotated"));
        }
        let entry = self.operation.journal.entry(Step::Rotate);
        match self.secret.unfinished() {
            Some(pending) if *pending == token => {
                return self.verify(entry.map_or(self.now, |entry| entry.intent));
            }
            Some(pending) => return self.another_pending(pending, entry),
            None => {}
        }
        // A label other than AWSPENDING and AWSCURRENT: the version was made, so the request must not be sent again.
        if self.secret.is_labelled(&token) {
            return Err(failed(
                Failure::RotationDidNotFinish,
                "the new version lost AWSPENDING without becoming current",
            ));
        }
        match entry {
            None => {
                self.not_over_a_rolled_back_version()?;
                self.send_rotate()
            }
            // Before a retry: the rotation that AWS would start now would replace a value that someone has just set.
            Some(_) if !self.current_is_unmoved() => Err(failed(
                Failure::Superseded,
                "another version became AWSCURRENT",
            )),
            Some(entry) => self.rotate_again(&token, entry),
        }
    }

    /// Stops a rotation by a machine over a version that a person rolled back. After the clear only the first look shows it.
    fn not_over_a_rolled_back_version(&self) -> Result<(), Stop> {
        let before = self.operation.baseline.as_ref();
        let previous = before.and_then(|before| before.holder(&StageLabel::previous()));
        let was_rolled_back =
            previous.is_some() && previous == self.operation.expect.pending.as_ref();
        if was_rolled_back && self.operation.trigger == Trigger::Policy {
            return Err(failed(
                Failure::Refused,
                "the version that was cleared had been rolled back, and no automatic rotation follows",
            ));
        }
        Ok(())
    }

    /// Stops for a rotation that someone else started. A read that lags may still show the version that was just cleared.
    fn another_pending(
        &self,
        pending: &VersionId,
        rotate: Option<&JournalEntry>,
    ) -> Result<Next, Stop> {
        let cleared = self.operation.expect.pending.as_ref() == Some(pending);
        match rotate.filter(|entry| cleared && self.now.since(entry.intent) < READ_LAG) {
            Some(entry) => Ok(self.watch(entry.intent)),
            None => Err(failed(Failure::Superseded, "another rotation has begun")),
        }
    }

    /// Sends the request again if it certainly never arrived. No version with the token carries a label.
    fn rotate_again(&self, token: &VersionId, entry: &JournalEntry) -> Result<Next, Stop> {
        if entry.is_applied() {
            let lagging = self.now.since(entry.intent) < READ_LAG;
            return if lagging {
                Ok(self.watch(entry.intent))
            } else {
                Err(failed(
                    Failure::RotationDidNotFinish,
                    "AWS accepted the rotation, but its version carries no label",
                ))
            };
        }
        // Refused for certain, or so recent that the list of versions may lag as well: `send` spaces the tries.
        if !entry.is_unanswered() || self.now.since(entry.intent) < READ_LAG {
            return self.send_rotate();
        }
        // No answer came: only the list of versions shows whether AWS made the version.
        match &self.input.look.versions {
            None => Ok(Next::LookAtVersions),
            Some(versions) if versions.lists(token) => Err(failed(
                Failure::RotationDidNotFinish,
                "the rotation began, but its version no longer has a label",
            )),
            Some(_) => self.send_rotate(),
        }
    }

    /// Sends the request, once a concurrency slot is free.
    pub(super) fn send_rotate(&self) -> Result<Next, Stop> {
        // A clear may have released the slot while it settled, so it is taken again.
        self.slot()?;
        let token = self.token()?;
        Ok(self.send(
            Step::Rotate,
            Some(&token),
            Request::Rotate {
                token: token.clone(),
            },
        ))
    }

    /// Waits for the rotation function, for `stuckAfter` at most.
    pub(super) fn verify(&self, started: AwsTime) -> Result<Next, Stop> {
        if self.now.since(started) <= self.policy.detection.stuck_after {
            return Ok(self.watch(started));
        }
        Err(failed(
            Failure::RotationDidNotFinish,
            format!("the rotation requested at {started} did not finish"),
        ))
    }

    /// Waits for the next look, longer each time.
    fn watch(&self, started: AwsTime) -> Next {
        let pause = (self.now.since(started) / 4).clamp(SHORTEST_POLL, LONGEST_POLL);
        self.pause(
            pause,
            Phase::Verifying,
            format!("the rotation requested at {started} is in progress"),
        )
    }

    /// Returns whether the rotation that this operation started, or ran again, has succeeded.
    pub(super) fn has_rotated(&self) -> bool {
        let retried = self
            .operation
            .expect
            .pending
            .as_ref()
            .filter(|_| self.operation.action == Action::RetryRotation);
        let made = self.operation.request_token();
        self.intended(Step::Rotate)
            && [retried, made.as_ref()]
                .into_iter()
                .flatten()
                .any(|version| self.has_succeeded(version))
    }

    /// Returns whether the version became AWSCURRENT since the first look, also if AWSPREVIOUS has replaced that label since.
    ///
    /// A difference proves a change. A state that was already there at the first look proves nothing.
    pub(super) fn has_succeeded(&self, version: &VersionId) -> bool {
        let Some(before) = &self.operation.baseline else {
            return false;
        };
        [StageLabel::current(), StageLabel::previous()]
            .iter()
            .any(|label| {
                self.secret.holder(label) == Some(version) && before.holder(label) != Some(version)
            })
    }

    /// Returns the request token, which is also the ID of the new version.
    fn token(&self) -> Result<VersionId, Stop> {
        self.operation
            .request_token()
            .ok_or_else(|| failed(Failure::Refused, "no request token can be derived"))
    }

    /// Removes every pin of this cluster after a success, one request each.
    pub(super) fn unpin_all(&self, message: &str) -> Next {
        let Some((holder, label, _)) = self.our_pins().next() else {
            return succeeded(message);
        };
        match self.send_unpin(holder, label) {
            Next::Done(_) => succeeded(format!("{message}; some pins could not be removed")),
            next @ (Next::Write(_) | Next::Wait(_) | Next::LookAtVersions) => next,
        }
    }
}
