//! Starting a rotation, running a pending one again, and seeing it through.

use std::time::Duration;

use super::preconditions::{Evaluation, failed, succeeded};
use super::retry::READ_LAG;
use super::{Next, Phase, Request};
use crate::action::Step;
use crate::aws_error::ErrorClass;
use crate::journal::JournalEntry;
use crate::names::{StageLabel, VersionId};
use crate::operation::{Failure, Trigger};
use crate::rolled_back::RollbackStatus;
use crate::time::AwsTime;

/// Looks at a running rotation are never closer together …
const SHORTEST_POLL: Duration = Duration::from_secs(2);

/// … nor further apart than this.
const LONGEST_POLL: Duration = Duration::from_mins(5);

impl Evaluation<'_> {
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
        if was_received(entry) {
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

    /// The same at the step that follows a clear, where only the first look still shows the version.
    fn not_over_a_rolled_back_version(&self) -> Result<(), Next> {
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

    /// No machine runs a version again, or rotates over it, that a person decided against. A person who names that very
    /// version may.
    pub(super) fn no_rolled_back_version(&self) -> Result<(), Next> {
        if self.operation.trigger == Trigger::Manual {
            return Ok(());
        }
        let (action, versions) = (self.operation.action, self.input.look.versions.as_ref());
        let rollback = RollbackStatus::of(self.secret, versions);
        if rollback.permits(action) {
            return Ok(());
        }
        Err(match (rollback, versions) {
            (RollbackStatus::Unknown, None) => Next::LookAtVersions,
            (RollbackStatus::Unknown, Some(_)) => failed(
                Failure::Refused,
                "AWS does not say when the pending version was made, so that nobody can tell whether it was rolled back",
            ),
            (RollbackStatus::RolledBack | RollbackStatus::NotRolledBack, _) => failed(
                Failure::Refused,
                format!(
                    "somebody moved AWSCURRENT back from the pending version, or set a value since it was made, and {action} \
                     would undo that; clear its label (ClearPending), or promote it (PromotePending) if the target accepts \
                     its value"
                ),
            ),
        })
    }

    /// From the request to the new current version, by token.
    pub(super) fn rotation(&self) -> Next {
        self.try_rotation().unwrap_or_else(|next| next)
    }

    fn try_rotation(&self) -> Result<Next, Next> {
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

    /// Somebody else's rotation, unless it is the version that we have just cleared: reads lag.
    fn another_pending(
        &self,
        pending: &VersionId,
        rotate: Option<&JournalEntry>,
    ) -> Result<Next, Next> {
        let cleared = self.operation.expect.pending.as_ref() == Some(pending);
        match rotate.filter(|entry| cleared && self.now.since(entry.intent) < READ_LAG) {
            Some(entry) => Ok(self.watch(entry.intent)),
            None => Err(failed(Failure::Superseded, "another rotation has begun")),
        }
    }

    /// The token is on no label. It is sent again only if it certainly never arrived.
    fn rotate_again(&self, token: &VersionId, entry: &JournalEntry) -> Result<Next, Next> {
        if entry.is_applied() {
            let lagging = self.now.since(entry.intent) < READ_LAG;
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

    fn send_rotate(&self) -> Result<Next, Next> {
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
            .filter(|_| self.operation.action == crate::action::Action::RetryRotation);
        let made = self.operation.request_token();
        self.intended(Step::Rotate)
            && [retried, made.as_ref()]
                .into_iter()
                .flatten()
                .any(|version| self.has_succeeded(version))
    }

    /// Whether the version holds AWSCURRENT, or AWSPREVIOUS after it, and did not at the first look: a change is proved by a
    /// difference, never by a state that was there before.
    fn has_succeeded(&self, version: &VersionId) -> bool {
        let Some(before) = &self.operation.baseline else {
            return false;
        };
        [StageLabel::current(), StageLabel::previous()]
            .iter()
            .any(|label| {
                self.secret.holder(label) == Some(version) && before.holder(label) != Some(version)
            })
    }

    fn token(&self) -> Result<VersionId, Next> {
        self.operation
            .request_token()
            .ok_or_else(|| failed(Failure::Refused, "no request token can be derived"))
    }
}

/// Whether AWS has surely received the request: it said yes, or that the pending rotation will be reattempted.
fn was_received(entry: &JournalEntry) -> bool {
    entry.is_applied() || entry.refusal() == Some(ErrorClass::RotationPending)
}

impl Evaluation<'_> {
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
