//! What was done to one secret before, by anybody, over all namespaces: budgets are counted from it.

use std::time::Duration;

use crate::approval::Answer;
use crate::clock::AwsTime;
use crate::identity::{Arn, ObjectKey, StageLabel, Uid, VersionId};
use crate::operation::{Action, Failure, JournalEntry, Operation, Outcome, Step, Trigger};
use crate::outcome::ErrorClass;
use crate::pin;
use crate::policy::{AttemptWindow, Backoff};
use crate::secret::Secret;

/// Another operation's intent without a result may still be on its way to AWS for this long.
const IN_FLIGHT: Duration = Duration::from_secs(30);

/// `LastChangedDate` of our own pin lies between its intent less this …
const PIN_EARLIEST: Duration = Duration::from_secs(5);

/// … and its intent plus this.
const PIN_LATEST: Duration = Duration::from_secs(15);

/// A pin's minute is rounded down, so a minute is allowed for.
const PIN_ROUNDING: Duration = Duration::from_mins(1);

/// Every known operation on one secret.
#[derive(Clone, Debug)]
pub struct History<'a> {
    operations: Vec<&'a Operation>,
}

impl<'a> History<'a> {
    /// Picks the operations on the secret.
    pub fn of(arn: &Arn, operations: &'a [Operation]) -> Self {
        Self {
            operations: operations
                .iter()
                .filter(|operation| operation.arn.as_ref() == Some(arn))
                .collect(),
        }
    }

    /// How many attempts fall into the window: operations that meant to clear or rotate, or dated pins on the secret,
    /// whichever are more. Pins count so that deleting every operation resets nothing.
    ///
    /// Of a secret that was not looked at only the operations are known.
    pub fn attempts<'s>(
        &self,
        secret: impl Into<Option<&'s Secret>>,
        window: &AttemptWindow,
    ) -> usize {
        let journaled = self.attempt_times().filter(|at| window.contains(*at));
        let pinned = secret
            .into()
            .map_or(0, |secret| pin_minutes(secret, window));
        journaled.count().max(pinned)
    }

    /// When the last attempt was made.
    pub fn last_attempt<'s>(&self, secret: impl Into<Option<&'s Secret>>) -> Option<AwsTime> {
        let pins = secret.into().into_iter().flat_map(pin::on);
        let pinned = pins.map(|(_, _, pin)| pin.time());
        self.attempt_times().chain(pinned).max()
    }

    /// When the next automatic attempt may begin, given how many there were. Also where a person asked to count anew, two
    /// rotations never follow one another within a step of the back-off.
    pub fn next_attempt<'s>(
        &self,
        secret: impl Into<Option<&'s Secret>>,
        backoff: Backoff,
        window: &AttemptWindow,
    ) -> Option<AwsTime> {
        let secret = secret.into();
        let attempts = self.attempts(secret, window).max(1);
        self.last_attempt(secret)
            .map(|last| last.plus(backoff.after(attempts)))
    }

    /// When an attempt leaves the window, so that one more is allowed.
    pub fn budget_returns<'s>(
        &self,
        secret: impl Into<Option<&'s Secret>>,
        window: &AttemptWindow,
    ) -> Option<AwsTime> {
        let pins = secret.into().into_iter().flat_map(pin::on);
        let pinned = pins.map(|(_, _, pin)| pin.time().plus(PIN_ROUNDING));
        self.attempt_times()
            .chain(pinned)
            .filter(|at| window.contains(*at))
            .min()
            .map(|oldest| oldest.plus(window.length))
    }

    /// When something other than our own pinning and unpinning last changed the secret, for reports. AWS's
    /// `LastChangedDate`, unless a journal shows that a pin of ours moved it: then what it was before. `None` if AWS names
    /// no date.
    pub fn last_foreign_change(&self, secret: &Secret) -> Option<AwsTime> {
        let mut changed = secret.last_changed?;
        // One pin may follow another: each step goes further back, and there are no more steps than operations.
        for _ in &self.operations {
            let earlier = self
                .operations
                .iter()
                .filter_map(|own| before(own, changed));
            match earlier.filter(|earlier| *earlier < changed).min() {
                Some(earlier) => changed = earlier,
                None => break,
            }
        }
        Some(changed)
    }

    /// When a recovery took AWSPENDING away without the rotation that was to follow: a `ClearAndRotate` cleared, AWS accepted
    /// no rotation, and nobody has done anything to the secret since. A `ClearPending` asked for no rotation.
    pub fn unfinished_recovery(&self, secret: &Secret) -> Option<AwsTime> {
        let cleared = self.operations.iter().filter_map(|own| {
            let clear = own.journal.entry(Step::Clear)?;
            clear.may_have_applied().then_some((clear.intent, *own))
        });
        let (at, last) = cleared.max_by_key(|(at, own)| (*at, own.created, own.uid.clone()))?;
        let unmoved = last
            .baseline
            .as_ref()
            .is_some_and(|before| before.holder(&StageLabel::current()) == secret.current());
        let left = last.action == Action::ClearAndRotate
            && secret.unfinished().is_none()
            && unmoved
            && secret.last_rotated.is_none_or(|rotated| rotated <= at)
            && !self.operations.iter().any(|one| has_moved(one, at));
        left.then_some(at)
    }

    /// When an operation of ours asked for the rotation that made this version.
    pub fn started(&self, version: &VersionId) -> Option<AwsTime> {
        let made = |own: &&Operation| own.request_token().as_ref() == Some(version);
        let makers = self.operations.iter().copied().filter(made);
        makers
            .filter_map(|own| own.journal.entry(Step::Rotate))
            .map(|rotate| rotate.intent)
            .min()
    }

    /// When an operation of ours last meant to change more than a pin.
    pub fn last_write(&self) -> Option<AwsTime> {
        let writes = self.operations.iter();
        writes.filter_map(|operation| disturbance(operation)).max()
    }

    /// Since when nothing has happened to the secret: AWS's `LastChangedDate`, or our last write other than pinning and
    /// unpinning if that is later. `None` if AWS names no date: then nothing is known to be quiet.
    pub fn quiet_since(&self, secret: &Secret) -> Option<AwsTime> {
        let changed = secret.last_changed?;
        Some(
            self.operations
                .iter()
                .filter_map(|operation| disturbance(operation))
                .fold(changed, AwsTime::max),
        )
    }

    /// The same for a secret that changed at `changed`, leaving out what `own` did itself.
    pub fn quiet_since_change(&self, changed: AwsTime, own: &Operation) -> AwsTime {
        let others = self.operations.iter().filter(|other| other.uid != own.uid);
        others
            .filter_map(|other| disturbance(other))
            .fold(changed, AwsTime::max)
    }

    /// Until when automatic operations hold back because a person's operation wrote, or a person denied an operation.
    pub fn manual_hold(&self, window: Duration, now: AwsTime) -> Option<AwsTime> {
        let by_hand = |operation: &&Operation| operation.trigger == Trigger::Manual;
        let operations = || self.operations.iter().copied();
        let wrote = operations()
            .filter(by_hand)
            .filter_map(|operation| operation.journal.last_intent(&Step::ALL));
        let last = wrote.chain(operations().filter_map(denial)).max()?;
        (now.since(last) < window).then(|| last.plus(window))
    }

    /// Until when no machine calls a deletion off again, because one was called off within the window.
    pub fn restored_until(&self, window: &AttemptWindow) -> Option<AwsTime> {
        let restored = self
            .operations
            .iter()
            .filter_map(|operation| operation.journal.last_intent(&[Step::RestoreSecret]));
        let last = restored.max()?;
        window.contains(last).then(|| last.plus(window.length))
    }

    /// An unfinished operation, if there is one: that which has begun, else the oldest.
    pub fn unfinished(&self) -> Option<&'a Operation> {
        let unfinished = self.operations.iter().filter(|one| !one.is_finished());
        let order = |one: &&&Operation| (!one.has_started(), one.created, one.uid.clone());
        unfinished.min_by_key(order).copied()
    }

    /// Whether AWS was asked to run this pending version again, and heard it, in a finished operation.
    pub fn has_retried(&self, version: &VersionId) -> bool {
        self.operations.iter().any(|operation| {
            operation.action == Action::RetryRotation
                && operation.is_finished()
                && operation.expect.pending.as_ref() == Some(version)
                && operation.journal.entry(Step::Rotate).is_some_and(heard)
        })
    }

    /// The finished and unfinished operations of a policy that were about this version.
    pub fn about(&self, policy: &Uid, version: &VersionId) -> impl Iterator<Item = &'a Operation> {
        self.operations.iter().copied().filter(move |operation| {
            operation.policy.uid.as_ref() == Some(policy) && subject(operation) == Some(version)
        })
    }

    /// The automatic operations about this version that were made for a policy of this name. One that was created again is
    /// another policy, but what failed a moment ago fails for it as well.
    pub fn made_for(
        &self,
        policy: &ObjectKey,
        version: &VersionId,
    ) -> impl Iterator<Item = &'a Operation> {
        self.operations.iter().copied().filter(move |operation| {
            operation.trigger == Trigger::Policy
                && operation.key.namespace == policy.namespace
                && operation.policy.name == policy.name
                && subject(operation) == Some(version)
        })
    }

    /// The operation that goes first where two want to write to one secret.
    ///
    /// One that has a result goes first, then one whose intent may still be on its way, then the older one.
    pub fn rival(&self, own: &Operation, now: AwsTime) -> Option<&'a Operation> {
        self.operations.iter().copied().find(|other| {
            other.uid != own.uid
                && other.has_started()
                && !other.is_finished()
                && goes_first(other, own, now)
        })
    }

    fn attempt_times(&self) -> impl Iterator<Item = AwsTime> {
        self.operations
            .iter()
            .filter_map(|operation| attempt_time(operation))
    }
}

fn attempt_time(operation: &Operation) -> Option<AwsTime> {
    operation.journal.last_intent(&[Step::Clear, Step::Rotate])
}

/// The version that an operation is about.
fn subject(operation: &Operation) -> Option<&VersionId> {
    let expect = &operation.expect;
    expect.pending.as_ref().or(expect.current.as_ref())
}

/// When a person denied the operation, if it ended so.
fn denial(operation: &Operation) -> Option<AwsTime> {
    let rejected = matches!(
        operation.outcome,
        Some(Outcome::Failed {
            reason: Failure::Rejected,
            ..
        })
    );
    let decision = operation.decision.as_ref().filter(|_| rejected)?;
    operation
        .completed
        .filter(|_| decision.answer == Answer::Deny)
}

/// When the secret had changed before the operation's pin or unpin changed it at `changed`, if it did.
fn before(operation: &Operation, changed: AwsTime) -> Option<AwsTime> {
    let is_ours = [Step::Pin, Step::Unpin]
        .into_iter()
        .filter_map(|step| operation.journal.entry(step))
        .any(|entry| {
            (entry.intent.minus(PIN_EARLIEST)..=entry.intent.plus(PIN_LATEST)).contains(&changed)
        });
    let last = operation
        .baseline
        .as_ref()
        .filter(|_| is_ours)?
        .last_changed?;
    Some(disturbance(operation).map_or(last, |write| last.max(write)))
}

/// Whether AWS accepted anything of the operation's but pins after `at`.
fn has_moved(operation: &Operation, at: AwsTime) -> bool {
    operation.journal.0.iter().any(|entry| {
        !matches!(entry.step, Step::Pin | Step::Unpin) && entry.is_applied() && entry.intent > at
    })
}

/// When an operation last meant to change more than a pin.
fn disturbance(operation: &Operation) -> Option<AwsTime> {
    let steps: Vec<_> = Step::ALL
        .into_iter()
        .filter(|step| !matches!(step, Step::Pin | Step::Unpin))
        .collect();
    operation.journal.last_intent(&steps)
}

fn heard(entry: &JournalEntry) -> bool {
    entry.is_applied() || entry.refusal() == Some(ErrorClass::RotationPending)
}

fn goes_first(other: &Operation, own: &Operation, now: AwsTime) -> bool {
    let wrote = |operation: &Operation| {
        operation
            .journal
            .0
            .iter()
            .any(|entry| entry.result.is_some())
    };
    let in_flight = other
        .journal
        .last_intent(&Step::ALL)
        .is_some_and(|at| now.since(at) < IN_FLIGHT);
    let older = (other.created, &other.uid) < (own.created, &own.uid);
    match (wrote(other), wrote(own)) {
        (true, false) => true,
        (false, true) => false,
        (true, true) => older,
        (false, false) => older || in_flight,
    }
}

fn pin_minutes(secret: &Secret, window: &AttemptWindow) -> usize {
    let minutes = pin::on(secret)
        .filter(|(_, _, pin)| window.contains(pin.time().plus(PIN_ROUNDING)))
        .map(|(_, _, pin)| pin.minute);
    minutes.collect::<std::collections::BTreeSet<_>>().len()
}
