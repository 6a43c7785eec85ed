//! Starting a rotation, running a pending one again, and seeing it through.

use std::time::Duration;

use super::judge::{Judge, failed, succeeded};
use super::sending::LAG;
use super::{Next, Phase, Request};
use crate::clock::AwsTime;
use crate::identity::{StageLabel, VersionId};
use crate::operation::{Failure, JournalEntry, Step};
use crate::outcome::ErrorClass;

/// Looks at a running rotation are never closer together …
const SHORTEST_POLL: Duration = Duration::from_secs(2);

/// … nor further apart than this.
const LONGEST_POLL: Duration = Duration::from_mins(5);

impl Judge<'_> {
    /// `Rotate`: a secret at rest, then the same as after a clear.
    pub(super) fn rotate(&self) -> Next {
        self.try_rotate().unwrap_or_else(|next| next)
    }

    fn try_rotate(&self) -> Result<Next, Next> {
        if !self.intended(Step::Rotate) {
            self.before_first_write()?;
            if self.secret.unfinished().is_some() {
                return Err(failed(
                    Failure::PreconditionFailed,
                    "a rotation is not finished; AWS would refuse another one",
                ));
            }
        }
        Ok(self.rotation())
    }

    /// `RetryRotation`: AWS is asked for a rotation while one is pending, and runs that one again.
    pub(super) fn retry(&self) -> Next {
        self.try_retry().unwrap_or_else(|next| next)
    }

    fn try_retry(&self) -> Result<Next, Next> {
        let pending = self.expected_pending()?;
        let Some(entry) = self.operation.journal.entry(Step::Rotate) else {
            self.before_first_write()?;
            self.stuck(pending)?;
            return self.send_rotate();
        };
        if self.has_come_through(pending) {
            return Ok(self.unpin_all("the pending version became AWSCURRENT"));
        }
        if self.secret.unfinished() != Some(pending) {
            return Err(failed(
                Failure::Superseded,
                "the pending version lost AWSPENDING without becoming current",
            ));
        }
        if heard(entry) {
            self.verify(entry.intent)
        } else {
            self.send_rotate()
        }
    }

    /// From the request to the new current version, by token.
    pub(super) fn rotation(&self) -> Next {
        self.try_rotation().unwrap_or_else(|next| next)
    }

    fn try_rotation(&self) -> Result<Next, Next> {
        let token = self.token()?;
        if self.intended(Step::Rotate) && self.has_come_through(&token) {
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
            None => self.send_rotate(),
            Some(_) if !self.current_is_unmoved() => Err(failed(
                Failure::Superseded,
                "another version became AWSCURRENT",
            )),
            Some(entry) => self.rotate_again(&token, entry),
        }
    }

    /// Somebody else's rotation, unless it is the version that we have just cleared: reads lag.
    fn another_pending(
        &self,
        pending: &VersionId,
        rotate: Option<&JournalEntry>,
    ) -> Result<Next, Next> {
        let cleared = self.operation.expect.pending.as_ref() == Some(pending);
        match rotate.filter(|entry| cleared && self.now.since(entry.intent) < LAG) {
            Some(entry) => Ok(self.watch(entry.intent)),
            None => Err(failed(Failure::Superseded, "another rotation has begun")),
        }
    }

    /// The token is on no label. It is sent again only if it certainly never arrived.
    fn rotate_again(&self, token: &VersionId, entry: &JournalEntry) -> Result<Next, Next> {
        if entry.is_applied() {
            let lagging = self.now.since(entry.intent) < LAG;
            let gone = failed(
                Failure::RotationDidNotFinish,
                "AWS accepted the rotation, but its version carries no label",
            );
            return Ok(if lagging {
                self.watch(entry.intent)
            } else {
                gone
            });
        }
        if !entry.is_unanswered() || self.now.since(entry.intent) < LAG {
            return self.send_rotate();
        }
        match &self.facts.look.versions {
            None => Ok(Next::LookAtVersions),
            Some(versions) if versions.lists(token) => Err(failed(
                Failure::RotationDidNotFinish,
                "the rotation began, but its version carries no label any more",
            )),
            Some(_) => self.send_rotate(),
        }
    }

    fn send_rotate(&self) -> Result<Next, Next> {
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
    fn verify(&self, started: AwsTime) -> Result<Next, Next> {
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
            .filter(|_| self.operation.action == crate::operation::Action::RetryRotation);
        let made = self.operation.request_token();
        self.intended(Step::Rotate)
            && [retried, made.as_ref()]
                .into_iter()
                .flatten()
                .any(|version| self.has_come_through(version))
    }

    fn has_come_through(&self, version: &VersionId) -> bool {
        [StageLabel::current(), StageLabel::previous()]
            .iter()
            .any(|label| self.secret.holder(label) == Some(version))
    }

    fn token(&self) -> Result<VersionId, Next> {
        self.operation
            .request_token()
            .ok_or_else(|| failed(Failure::Refused, "no request token can be derived"))
    }
}

/// Whether AWS has surely received the request: it said yes, or that the pending rotation will be reattempted.
fn heard(entry: &JournalEntry) -> bool {
    entry.is_applied() || entry.refusal() == Some(ErrorClass::RotationPending)
}

impl Judge<'_> {
    /// After a success: every pin of this cluster goes, one compare-and-swap each.
    fn unpin_all(&self, message: &str) -> Next {
        let Some((holder, label, _)) = self.our_pins().next() else {
            return succeeded(message);
        };
        match self.send_unpin(holder, label) {
            Next::Done(_) => succeeded(format!("{message}; some pins could not be removed")),
            next @ (Next::Write(_) | Next::Wait(_) | Next::LookAtVersions) => next,
        }
    }
}
