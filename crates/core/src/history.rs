//! What was done to one secret before, by anyone, in all namespaces. Budgets are counted from it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::action::{Action, Step};
use crate::approval::Answer;
use crate::authorise::{Tenant, may_use, under_ceiling};
use crate::block::{Block, BlockReason};
use crate::journal::JournalEntry;
use crate::names::{Arn, ObjectKey, StageLabel, Uid, VersionId};
use crate::operation::{Failure, Operation, Outcome, Trigger};
use crate::pin;
use crate::policy::{AttemptWindow, Backoff, Policy};
use crate::profile::Profile;
use crate::secret::{Secret, VersionListing};
use crate::time::AwsTime;

/// For this long, an intent of another operation without a result may still be in flight to AWS.
const IN_FLIGHT: Duration = Duration::from_secs(30);

/// A pin's minute is rounded down, so one more minute is allowed.
const PIN_ROUNDING: Duration = Duration::from_mins(1);

/// All known operations on one secret.
#[derive(Clone, Debug)]
pub struct History<'a> {
    operations: Vec<&'a Operation>,
    /// The operations whose journals are trusted to show that a change was the controller's own pinning.
    trusted: Vec<&'a Operation>,
    /// The operations that may not act now, such as those of suspended policies.
    idle: Vec<&'a Uid>,
}

impl<'a> History<'a> {
    /// Selects the operations on the secret. No journal among them is trusted yet: every change counts as a foreign
    /// change.
    pub fn of(arn: &Arn, operations: impl IntoIterator<Item = &'a Operation>) -> Self {
        Self {
            operations: operations
                .into_iter()
                .filter(|operation| operation.arn.as_ref() == Some(arn))
                .collect(),
            trusted: Vec::new(),
            idle: Vec::new(),
        }
    }

    /// Excludes operations that may not act now from the rivals: they block no one, unless a request of theirs may
    /// still be in flight.
    #[must_use]
    pub fn without_idle(self, may_act: impl Fn(&Operation) -> bool) -> Self {
        let unfinished = self.operations.iter().filter(|one| !one.is_finished());
        let idle = unfinished
            .filter(|one| !may_act(one))
            .map(|one| &one.uid)
            .collect();
        Self { idle, ..self }
    }

    /// Trusts the journals in the namespaces of those tenants that may act on the secret through this profile.
    ///
    /// Anyone who can write the status of an operation in some other namespace could make a running rotation look old.
    /// A namespace that may act on the secret anyway gains nothing by it. The policy of an operation may be gone: a
    /// policy that was deleted and created again must not mistake its own pin for a foreign change.
    #[must_use]
    pub fn trusting<'t>(
        mut self,
        profile: &Profile,
        tenants: impl IntoIterator<Item = &'t Tenant>,
    ) -> Self {
        let admitted = tenants
            .into_iter()
            .filter(|tenant| may_use(tenant, profile).is_ok());
        let namespaces: BTreeSet<_> = admitted.map(|tenant| &tenant.namespace).collect();
        let operations = self.operations.iter().copied();
        self.trusted = operations
            .filter(|operation| {
                let namespace = &operation.key.namespace;
                let name = operation.arn.as_ref().map(Arn::secret_name);
                namespaces.contains(namespace)
                    && name.is_some_and(|name| under_ceiling(namespace, profile, &name).is_ok())
            })
            .collect();
        self
    }

    /// Returns the number of attempts in the window: operations that intended to clear or rotate, or dated pins on the
    /// secret, whichever number is greater. Pins count so that the deletion of every operation resets nothing.
    ///
    /// Without a look at the secret, only operations count.
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

    /// Returns when the last attempt was made.
    pub fn last_attempt<'s>(&self, secret: impl Into<Option<&'s Secret>>) -> Option<AwsTime> {
        let pins = secret.into().into_iter().flat_map(pin::on);
        let pinned = pins.map(|(_, _, pin)| pin.time());
        self.attempt_times().chain(pinned).max()
    }

    /// Returns when the next automatic attempt may start, given the number of attempts so far. Even if a person
    /// requested to start the count again, two rotations are at least one step of the back-off apart.
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

    /// Returns why no automatic attempt may start on a secret yet: a person acted or denied, no attempt is left, or the
    /// last one is too recent. If there are several reasons, it returns the one that lasts longest.
    pub fn budget<'s>(
        &self,
        secret: impl Into<Option<&'s Secret>>,
        policy: &Policy,
        now: AwsTime,
    ) -> Option<Block> {
        let secret = secret.into();
        let (window, remediation) = (policy.attempt_window(now), &policy.remediation);
        let manual = self
            .manual_hold(window.length, now)
            .map(|until| Block::until(BlockReason::ManualHold, until));
        let is_exhausted = self.attempts(secret, &window) >= remediation.max_attempts;
        let exhausted = is_exhausted.then(|| Block {
            reason: BlockReason::AttemptsExhausted,
            until: self.budget_returns(secret, &window),
        });
        let next = self
            .next_attempt(secret, remediation.backoff, &window)
            .filter(|next| *next > now)
            .map(|next| Block::until(BlockReason::BackingOff, next));
        Block::latest([manual, exhausted, next])
    }

    /// Returns when the oldest attempt leaves the window, so that one more is allowed.
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

    /// Returns when the secret last changed, apart from the controller's own pinning and unpinning. `None` if AWS
    /// returns no date.
    ///
    /// A `LastChangedDate` counts as the controller's own only if the journal of an operation explains it. The date
    /// that the journal had seen before then counts. A pin that is not on the secret explains nothing: something has
    /// changed since it was set.
    pub fn last_foreign_change(&self, secret: &Secret) -> Option<AwsTime> {
        let changed = secret.last_changed?;
        // A label that the controller moved within seconds of its pin counts as a change, although the pin could
        // explain the date.
        if self
            .operations
            .iter()
            .any(|one| may_have_moved(one, changed))
        {
            return Some(changed);
        }
        let trusted = self.trusted.iter();
        let before = trusted.flat_map(|operation| before_own_pinning(operation, secret, changed));
        // Of several explanations the latest counts: a change that was seen between two tries must not be left out.
        Some(before.max().unwrap_or(changed))
    }

    /// Returns when a recovery removed AWSPENDING without the rotation that was to follow: a `ClearAndRotate` cleared,
    /// AWS accepted no rotation, and nothing has been done to the secret since. A `ClearPending` is not meant to
    /// rotate, so it does not count.
    ///
    /// The result may cause a rotation, so the journal that shows the clear must be trusted. A journal that is not
    /// trusted can only be evidence against it.
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
            && self.trusted.iter().any(|own| own.uid == last.uid)
            && secret.unfinished().is_none()
            && unmoved
            && secret.last_rotated.is_none_or(|rotated| rotated <= at)
            && !self.operations.iter().any(|one| has_moved(one, at));
        left.then_some(at)
    }

    /// Returns whether AWSCURRENT may have been moved to its version by a request instead of a rotation, and no
    /// rotation has succeeded since: the version with AWSPREVIOUS is not known to be older, an operation moved the
    /// label there, or the pin of a promotion is on it.
    pub fn is_current_unproven(&self, secret: &Secret, versions: &VersionListing) -> bool {
        let (Some(current), Some(previous)) = (secret.current(), secret.previous()) else {
            return false;
        };
        let since = |at: AwsTime| secret.last_rotated.is_none_or(|rotated| rotated <= at);
        let dates = (versions.created(previous), versions.created(current));
        let is_older = matches!(dates, (Some(previous), Some(current)) if previous <= current);
        let was_moved = self.operations.iter().any(|own| {
            let moves = [Step::Promote, Step::Revert];
            let mut moves = moves.into_iter().filter_map(|step| own.journal.entry(step));
            moves.any(|entry| {
                entry.version.as_ref() == Some(current)
                    && entry.may_have_applied()
                    && since(entry.intent)
            })
        });
        // The operation that set the pin may have been deleted.
        let is_pinned = pin::on(secret)
            .any(|(holder, _, pin)| holder == current && since(pin.time().plus(PIN_ROUNDING)));
        !is_older || was_moved || is_pinned
    }

    /// Returns when an operation requested the rotation that made this version.
    pub fn started(&self, version: &VersionId) -> Option<AwsTime> {
        let made = |own: &&Operation| own.request_token().as_ref() == Some(version);
        let makers = self.operations.iter().copied().filter(made);
        makers
            .filter_map(|own| own.journal.entry(Step::Rotate))
            .map(|rotate| rotate.intent)
            .min()
    }

    /// Returns when an operation last intended to change more than a pin.
    pub fn last_write(&self) -> Option<AwsTime> {
        let writes = self.operations.iter();
        writes
            .filter_map(|operation| last_write_of(operation))
            .max()
    }

    /// Returns since when nothing has happened to the secret: its last foreign change, or the last write of an
    /// operation other than pinning and unpinning, whichever is later. `None` if AWS returns no date: the secret is
    /// then not known to be quiet.
    pub fn quiet_since(&self, secret: &Secret) -> Option<AwsTime> {
        let changed = self.last_foreign_change(secret)?;
        let operations = self.operations.iter();
        let ours = operations.filter_map(|operation| last_write_of(operation));
        Some(ours.fold(changed, AwsTime::max))
    }

    /// Returns what [`History::quiet_since`] returns, without the writes of `own`.
    pub fn quiet_since_before(&self, secret: &Secret, own: &Operation) -> Option<AwsTime> {
        let changed = self.last_foreign_change(secret)?;
        let others = self.operations.iter().filter(|other| other.uid != own.uid);
        let others = others.filter_map(|other| last_write_of(other));
        Some(others.fold(changed, AwsTime::max))
    }

    /// Returns until when no automatic operation starts because a manual operation wrote, or a person denied an
    /// operation.
    pub fn manual_hold(&self, window: Duration, now: AwsTime) -> Option<AwsTime> {
        let is_manual = |operation: &&Operation| operation.trigger == Trigger::Manual;
        let operations = || self.operations.iter().copied();
        let wrote = operations()
            .filter(is_manual)
            .filter_map(|operation| operation.journal.last_intent(&Step::ALL));
        let last = wrote.chain(operations().filter_map(denial)).max()?;
        (now.since(last) < window).then(|| last.plus(window))
    }

    /// Returns until when no automatic operation cancels a deletion again, because one was canceled within the window.
    pub fn restored_until(&self, window: &AttemptWindow) -> Option<AwsTime> {
        let restored = self
            .operations
            .iter()
            .filter_map(|operation| operation.journal.last_intent(&[Step::RestoreSecret]));
        let last = restored.max()?;
        window.contains(last).then(|| last.plus(window.length))
    }

    /// Returns the unfinished operation that counts, if there is one: the one that has started, otherwise the oldest.
    pub fn unfinished(&self, counts: impl Fn(&Operation) -> bool) -> Option<&'a Operation> {
        let unfinished = self
            .operations
            .iter()
            .filter(|one| !one.is_finished() && counts(one));
        let order = |one: &&&Operation| (!one.has_started(), one.created, one.uid.clone());
        unfinished.min_by_key(order).copied()
    }

    /// Returns whether a finished operation requested a retry of this pending version, and AWS received the request.
    pub fn has_retried(&self, version: &VersionId) -> bool {
        self.operations.iter().any(|operation| {
            operation.action == Action::RetryRotation
                && operation.is_finished()
                && operation.expect.pending.as_ref() == Some(version)
                && operation
                    .journal
                    .entry(Step::Rotate)
                    .is_some_and(JournalEntry::was_received)
        })
    }

    /// Returns the finished and unfinished operations of a policy about this version.
    pub fn about(&self, policy: &Uid, version: &VersionId) -> impl Iterator<Item = &'a Operation> {
        self.operations.iter().copied().filter(move |operation| {
            operation.policy.uid.as_ref() == Some(policy)
                && target_version(operation) == Some(version)
        })
    }

    /// Returns the automatic operations about this version that were created for a policy of this name. A policy that
    /// was deleted and created again is another one, but what failed a moment ago fails for it as well.
    pub fn made_for(
        &self,
        policy: &ObjectKey,
        version: &VersionId,
    ) -> impl Iterator<Item = &'a Operation> {
        self.operations.iter().copied().filter(move |operation| {
            operation.trigger == Trigger::Policy
                && operation.key.namespace == policy.namespace
                && operation.policy.name == policy.name
                && target_version(operation) == Some(version)
        })
    }

    /// Returns an operation that takes precedence over `own` in writing to the secret.
    ///
    /// An operation that has a result takes precedence, then one whose intent may still be in flight, then the older
    /// one. Of two that have results, the one that wrote last continues: the other one paused, and must first see what
    /// changed.
    pub fn rival(&self, own: &Operation, now: AwsTime) -> Option<&'a Operation> {
        self.operations.iter().copied().find(|other| {
            other.uid != own.uid
                && other.has_started()
                && !other.is_finished()
                && (!self.idle.contains(&&other.uid) || is_in_flight(other, now))
                && has_priority(other, own, now)
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

/// Returns the version that an operation is about.
fn target_version(operation: &Operation) -> Option<&VersionId> {
    let expect = &operation.expect;
    expect.pending.as_ref().or(expect.current.as_ref())
}

/// Returns when a person denied the operation, if it failed for that reason.
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

/// Returns the changes that were seen before the tries that explain `changed` as the operation's own pinning or
/// unpinning.
fn before_own_pinning<'a>(
    operation: &'a Operation,
    secret: &'a Secret,
    changed: AwsTime,
) -> impl Iterator<Item = AwsTime> + 'a {
    let entries = operation.journal.0.iter();
    entries
        .filter(|entry| match entry.step {
            Step::Pin => carries_pin(secret, operation, entry),
            Step::Unpin => true,
            Step::Clear
            | Step::Rotate
            | Step::Promote
            | Step::DropPending
            | Step::RestorePending
            | Step::Revert
            | Step::RestoreSecret => false,
        })
        .flat_map(move |entry| {
            let first_pin = entry.step == Step::Pin && entry.tries == 1;
            // Journals of earlier releases contain only the baseline.
            let baseline = operation.baseline.as_ref().filter(|_| first_pin);
            let baseline = baseline.and_then(|baseline| baseline.last_changed);
            entry
                .tries_that_explain(changed)
                .map(move |one| one.foreign_change.or(baseline).unwrap_or(changed))
        })
}

/// Returns whether `changed` can be the date of a write of the operation other than a pin.
fn may_have_moved(operation: &Operation, changed: AwsTime) -> bool {
    let moves = operation.journal.0.iter();
    let mut moves = moves.filter(|entry| !matches!(entry.step, Step::Pin | Step::Unpin));
    moves.any(|entry| entry.explains(changed))
}

/// Returns whether the pin of a journal entry is on its version.
fn carries_pin(secret: &Secret, operation: &Operation, entry: &JournalEntry) -> bool {
    let minute = pin::minute_of(operation.created);
    pin::on(secret).any(|(holder, _, pin)| {
        Some(holder) == entry.version.as_ref() && pin.version == *holder && pin.minute == minute
    })
}

/// Returns whether AWS accepted a request of the operation other than a pin after `at`.
fn has_moved(operation: &Operation, at: AwsTime) -> bool {
    operation.journal.0.iter().any(|entry| {
        !matches!(entry.step, Step::Pin | Step::Unpin) && entry.is_applied() && entry.intent > at
    })
}

/// Returns when an operation last intended to change more than a pin.
fn last_write_of(operation: &Operation) -> Option<AwsTime> {
    let steps: Vec<_> = Step::ALL
        .into_iter()
        .filter(|step| !matches!(step, Step::Pin | Step::Unpin))
        .collect();
    operation.journal.last_intent(&steps)
}

/// Returns whether a request of the operation may still be in flight to AWS.
fn is_in_flight(operation: &Operation, now: AwsTime) -> bool {
    let last = operation.journal.last_intent(&Step::ALL);
    last.is_some_and(|at| now.since(at) < IN_FLIGHT)
}

fn has_priority(other: &Operation, own: &Operation, now: AwsTime) -> bool {
    let wrote = |operation: &Operation| {
        operation
            .journal
            .0
            .iter()
            .any(|entry| entry.result.is_some())
    };
    let in_flight = is_in_flight(other, now);
    let older = (other.created, &other.uid) < (own.created, &own.uid);
    let last = |operation: &Operation| operation.journal.last_intent(&Step::ALL);
    match (wrote(other), wrote(own)) {
        (true, false) => true,
        (false, true) => false,
        (true, true) if last(other) == last(own) => older,
        (true, true) => last(other) > last(own),
        (false, false) => older || in_flight,
    }
}

fn pin_minutes(secret: &Secret, window: &AttemptWindow) -> usize {
    let minutes = pin::on(secret)
        .filter(|(_, _, pin)| window.contains(pin.time().plus(PIN_ROUNDING)))
        .map(|(_, _, pin)| pin.minute);
    minutes.collect::<BTreeSet<_>>().len()
}
