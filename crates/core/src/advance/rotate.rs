//! `Rotate`: a rotation of a secret at rest, and of one that was just cleared, until it has come through.

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

/// Looks at a running rotation are never closer together …
const SHORTEST_POLL: Duration = Duration::from_secs(2);

/// … nor further apart than this.
const LONGEST_POLL: Duration = Duration::from_mins(5);

impl Evaluation<'_> {
    /// `Rotate`: a secret at rest, then the same as after a clear.
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

    /// From the request to the new current version, by token.
    pub(super) fn rotation(&self) -> Result<Next, Stop> {
        let token = self.token()?;
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
            Some(_) if !self.current_is_unmoved() => Err(failed(
                Failure::Superseded,
                "another version became AWSCURRENT",
            )),
            Some(entry) => self.rotate_again(&token, entry),
        }
    }

    /// The same at the step that follows a clear, where only the first look still shows the version.
    fn not_over_a_rolled_back_version(&self) -> Result<(), Stop> {
        let before = self.operation.baseline.as_ref();
        let previous = before.and_then(|before| before.holder(&StageLabel::previous()));
        let was_rolled_back =
            previous.is_some() && previous == self.operation.expect.pending.as_ref();
        if was_rolled_back && self.operation.trigger == Trigger::Policy {
            return Err(failed(
                Failure::Refused,
                "the version that was cleared had been rolled back, and no rotation follows that nobody asked for",
            ));
        }
        Ok(())
    }

    /// Somebody else's rotation, unless it is the version that we have just cleared: reads lag.
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

    /// The token is on no label. It is sent again only if it certainly never arrived.
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
        if !entry.is_unanswered() || self.now.since(entry.intent) < READ_LAG {
            return self.send_rotate();
        }
        match &self.input.look.versions {
            None => Ok(Next::LookAtVersions),
            Some(versions) if versions.lists(token) => Err(failed(
                Failure::RotationDidNotFinish,
                "the rotation began, but its version carries no label any more",
            )),
            Some(_) => self.send_rotate(),
        }
    }

    pub(super) fn send_rotate(&self) -> Result<Next, Stop> {
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

    /// The rotation function is at work, for at most `stuckAfter`.
    pub(super) fn verify(&self, started: AwsTime) -> Result<Next, Stop> {
        if self.now.since(started) <= self.policy.detection.stuck_after {
            return Ok(self.watch(started));
        }
        Err(failed(
            Failure::RotationDidNotFinish,
            format!("the rotation requested at {started} did not finish"),
        ))
    }

    /// Looks again, slower and slower.
    fn watch(&self, started: AwsTime) -> Next {
        let pause = (self.now.since(started) / 4).clamp(SHORTEST_POLL, LONGEST_POLL);
        self.pause(
            pause,
            Phase::Verifying,
            format!("the rotation requested at {started} is under way"),
        )
    }

    /// Whether the rotation that this operation started, or ran again, has come through.
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

    /// Whether the version holds AWSCURRENT, or AWSPREVIOUS after it, and did not at the first look: a change is proved by a
    /// difference, never by a state that was there before.
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

    fn token(&self) -> Result<VersionId, Stop> {
        self.operation
            .request_token()
            .ok_or_else(|| failed(Failure::Refused, "no request token can be derived"))
    }

    /// After a success: every pin of this cluster goes, one compare-and-swap each.
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
