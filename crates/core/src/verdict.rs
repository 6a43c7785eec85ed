//! Judges one secret: its state is the first one that holds, in the order of [`State`].

use std::time::Duration;

use crate::authorise::Tenant;
use crate::expiry;
use crate::history::History;
use crate::inventory::Observation;
use crate::names::VersionId;
use crate::operation_index::OperationIndex;
use crate::pin;
use crate::policy::{Detection, DisabledReporting, Expiry, Reporting};
use crate::profile::Profile;
use crate::rolled_back::RollbackStatus;
use crate::secret::PendingValue;
use crate::secret::{Rotation, Secret};
use crate::stability::{self, Stability};
use crate::survey::{PreviousFinding, RemedyKind, State};
use crate::time::AwsTime;

/// The shortest time for which AWS keeps a deleted secret (API reference, `DeleteSecret`, `RecoveryWindowInDays`).
const SHORTEST_RECOVERY_WINDOW: Duration = Duration::from_hours(7 * 24);

/// The longest time for which AWS keeps a deleted secret, which is also the default.
const LONGEST_RECOVERY_WINDOW: Duration = Duration::from_hours(30 * 24);

/// The state of one secret, and what supports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub state: State,
    /// The AWS time since which the secret is in that state.
    pub since: AwsTime,
    /// A sentence for people, with absolute times only.
    pub message: String,
    /// The kind of remedy that could help.
    pub remedy_kind: RemedyKind,
    /// When the controller first saw the unfinished pending version.
    pub first_observed: Option<AwsTime>,
}

/// What is known about a secret besides what AWS shows now.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerdictInput<'a> {
    /// What the previous pass found.
    pub previous: Option<&'a PreviousFinding>,
    /// Every known operation, if any is. Their journals show which changes the controller made itself.
    pub operations: Option<&'a OperationIndex>,
    /// For how long this process has seen the labels and versions of the secret unchanged.
    pub stability: Option<&'a Stability>,
    /// The profile and the namespace that decide which journals are trusted: those of this namespace, for secrets that
    /// the profile admits. `None` = no journal is trusted.
    pub bounds: Option<(&'a Profile, &'a Tenant)>,
}

/// Judges one secret. All ages are measured in AWS time.
pub fn of(
    observation: &Observation,
    detection: &Detection,
    input: VerdictInput<'_>,
    now: AwsTime,
) -> Verdict {
    let rules = Rules {
        observation,
        secret: &observation.secret,
        detection,
        previous: input.previous,
        operations: input.operations,
        stability: input.stability,
        bounds: input.bounds,
        now,
    };
    rules.unreadable().unwrap_or_else(|| rules.readable())
}

/// Returns when the value of a secret expires, if it has an expiry tag that can be parsed.
pub fn expires(secret: &Secret, detection: &Detection) -> Option<AwsTime> {
    expiry::parse(secret.tags.get(&detection.expiry.as_ref()?.tag_key)?)
}

/// Returns until when a scheduled deletion can be canceled: until then for certain, or until then at the latest. `None`
/// = AWS may purge the secret at any time.
pub fn restorable_until(secret: &Secret, now: AwsTime) -> Option<AwsTime> {
    match Purge::of(secret.deleted?, now) {
        Purge::NotBefore(time) | Purge::AnyTimeUntil(time) => Some(time),
        Purge::Due => None,
    }
}

/// When AWS purges a deleted secret. No time in a variant lies in the past.
///
/// AWS documents `DeletedDate` as the date for which the deletion is scheduled, but returns the date of the request.
/// The recovery window of 7 to 30 days starts on that date, and AWS does not return its length. A date in the future
/// can only be the date of the purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purge {
    /// AWS keeps the secret at least until then.
    NotBefore(AwsTime),
    /// The shortest recovery window is over, and the longest is not.
    AnyTimeUntil(AwsTime),
    /// Every recovery window is over, and AWS still lists the secret.
    Due,
}

impl Purge {
    fn of(deleted: AwsTime, now: AwsTime) -> Self {
        let (earliest, latest) = (
            deleted.plus(SHORTEST_RECOVERY_WINDOW),
            deleted.plus(LONGEST_RECOVERY_WINDOW),
        );
        if deleted > now {
            Self::NotBefore(deleted)
        } else if earliest > now {
            Self::NotBefore(earliest)
        } else if latest > now {
            Self::AnyTimeUntil(latest)
        } else {
            Self::Due
        }
    }
}

struct Rules<'a> {
    observation: &'a Observation,
    secret: &'a Secret,
    detection: &'a Detection,
    previous: Option<&'a PreviousFinding>,
    operations: Option<&'a OperationIndex>,
    stability: Option<&'a Stability>,
    bounds: Option<(&'a Profile, &'a Tenant)>,
    now: AwsTime,
}

/// The time since which a pending version has made no progress, and what shows it.
#[derive(Clone, Copy, Debug)]
struct Progress {
    first_observed: AwsTime,
    since: AwsTime,
    /// AWS's own date for the rotation, where nothing else shows the age.
    due_by: Option<AwsTime>,
}

impl<'a> Rules<'a> {
    /// Returns the operations on this secret.
    fn history(&self) -> History<'a> {
        let arn = &self.secret.arn;
        let operations = self
            .operations
            .into_iter()
            .flat_map(|all| all.on_secret(arn));
        let history = History::of(arn, operations);
        match self.bounds {
            Some((profile, tenant)) => history.trusting(profile, [tenant]),
            None => history,
        }
    }

    /// Returns the state by what is known of the secret: from a list, from `DescribeSecret`, or from both.
    fn readable(&self) -> Verdict {
        // The order is the precedence of the states: the first one that holds is reported.
        self.scheduled_for_deletion()
            .or_else(|| self.ineligible())
            .or_else(|| self.broken())
            .or_else(|| self.stuck_or_rotating())
            .or_else(|| self.expiring().map(|found| self.with_leftover(found)))
            .or_else(|| self.overdue())
            .or_else(|| self.too_old().map(|found| self.with_leftover(found)))
            .or_else(|| self.disabled())
            .map(|verdict| self.with_the_tag(verdict))
            .or_else(|| self.unreadable_expiry())
            .unwrap_or_else(|| self.healthy())
    }

    /// Reports a secret as `Unknown` if `DescribeSecret` or `ListSecretVersionIds` failed for it. A list shows labels
    /// too: a secret that is stuck by its list entry stays stuck.
    fn unreadable(&self) -> Option<Verdict> {
        let error = self.observation.unreadable.as_ref()?;
        let listed = self.readable();
        if listed.state == State::Stuck {
            let message = format!(
                "{}; it could not be read: {}",
                listed.message,
                error.sentence()
            );
            return Some(Verdict { message, ..listed });
        }
        Some(self.verdict(
            State::Unknown,
            None,
            format!("it could not be read: {}", error.sentence()),
        ))
    }

    fn scheduled_for_deletion(&self) -> Option<Verdict> {
        let deleted = self.secret.deleted?;
        Some(match self.detection.scheduled_for_deletion {
            Reporting::Report => Verdict {
                remedy_kind: RemedyKind::Deletion,
                ..self.verdict(
                    State::ScheduledForDeletion,
                    Some(deleted),
                    self.deletion(deleted),
                )
            },
            Reporting::Ignore => self.healthy(),
        })
    }

    /// Describes the deletion. It never names a deadline that has passed: people would give up a secret that can still
    /// be restored.
    fn deletion(&self, deleted: AwsTime) -> String {
        if deleted > self.now {
            return format!(
                "scheduled for deletion; AWS purges it after {deleted}; restore it before then"
            );
        }
        let advice = match Purge::of(deleted, self.now) {
            Purge::NotBefore(time) => {
                format!("AWS keeps it at least until {time}, restore it before")
            }
            Purge::AnyTimeUntil(time) => format!(
                "AWS may purge it any day now, at the latest on {time}; it can be restored as long as AWS lists it"
            ),
            Purge::Due => {
                "AWS may purge it at any moment; it can be restored as long as AWS lists it"
                    .to_owned()
            }
        };
        format!("scheduled for deletion since {deleted}; {advice}")
    }

    fn ineligible(&self) -> Option<Verdict> {
        let primary = self
            .secret
            .primary_region
            .as_ref()
            .filter(|_| self.secret.is_replica())?;
        Some(self.verdict(
            State::Ineligible,
            None,
            format!("a replica of the secret in {primary}"),
        ))
    }

    /// Reports a secret without AWSCURRENT, unless its first rotation is in progress and may still set the label.
    fn broken(&self) -> Option<Verdict> {
        if self.secret.current().is_some() {
            return None;
        }
        let Some(pending) = self.secret.unfinished() else {
            let message = format!("no version holds AWSCURRENT; set a value: {}", self.put());
            return Some(self.verdict(State::Broken, None, message));
        };
        let progress = self.progress(pending);
        if self.secret.rotates() && !self.is_stuck(progress) {
            return None;
        }
        Some(Verdict {
            first_observed: Some(progress.first_observed),
            ..self.verdict(State::Broken, None, self.without_current(pending))
        })
    }

    fn without_current(&self, pending: &VersionId) -> String {
        let (name, put) = (&self.secret.name, self.put());
        let what = match self.observation.pending_value() {
            PendingValue::None | PendingValue::Empty => {
                return format!(
                    "no version holds AWSCURRENT, and version {pending}, which holds AWSPENDING, has no value; set one: {put}"
                );
            }
            PendingValue::Present => "has",
            PendingValue::Unknown => "may have",
        };
        format!(
            "no version holds AWSCURRENT, but version {pending}, which holds AWSPENDING, {what} a value that the target may accept. \
             If it does: aws secretsmanager update-secret-version-stage --secret-id {name} --version-stage AWSCURRENT --move-to-version-id {pending}. \
             If not, set another: {put} --force-while-rotating"
        )
    }

    /// Returns the command that sets a value. That command does not contact a cluster, so it names no namespace.
    fn put(&self) -> String {
        let (name, region) = (&self.secret.name, self.secret.arn.region());
        format!("kubectl secret-rotation put {name} --region {region}")
    }

    /// Returns the command of a manual operation on this secret, in the namespace of the policy if there is one.
    fn command(&self, verb: &str) -> String {
        let (name, region) = (&self.secret.name, self.secret.arn.region());
        let namespace = self.bounds.map(|(_, tenant)| &tenant.namespace);
        let namespace = namespace.map_or_else(String::new, |namespace| format!(" -n {namespace}"));
        format!("`kubectl secret-rotation {verb} {name}{namespace} --region {region}`")
    }

    fn stuck_or_rotating(&self) -> Option<Verdict> {
        let pending = self.secret.unfinished().filter(|_| self.secret.rotates())?;
        let progress = self.progress(pending);
        let rollback = RollbackStatus::of(self.secret, self.observation.versions.as_ref());
        if rollback == RollbackStatus::RolledBack {
            return Some(self.rolled_back(pending, progress));
        }
        let since = progress.since;
        let (state, remedy_kind, message) = if !self.is_stuck(progress) {
            let message = format!("a rotation has been in progress since {since}");
            (State::Rotating, RemedyKind::None, message)
        } else if rollback == RollbackStatus::Unknown || self.observation.versions.is_none() {
            (
                State::Stuck,
                RemedyKind::Unlisted,
                self.without_progress(progress),
            )
        } else {
            (
                State::Stuck,
                RemedyKind::Stuck,
                self.without_progress(progress),
            )
        };
        Some(Verdict {
            state,
            since,
            message,
            remedy_kind,
            first_observed: Some(progress.first_observed),
        })
    }

    fn is_stuck(&self, progress: Progress) -> bool {
        self.now.since(progress.since) >= self.detection.stuck_after
    }

    fn without_progress(&self, progress: Progress) -> String {
        let message = match progress.due_by {
            Some(date) => format!(
                "AWS meant to rotate it by {date}, and its rotation has not finished, regardless of later changes"
            ),
            None => format!("rotation has not progressed since {}", progress.since),
        };
        let more = [self.disturbance(), pin::crowding(self.secret)];
        let all = [Some(message)].into_iter().chain(more).flatten();
        all.collect::<Vec<_>>().join("; ")
    }

    /// Explains that metadata keeps changing, so that the secret is never quiet by its `LastChangedDate`.
    fn disturbance(&self) -> Option<String> {
        let rest = self.stability.filter(|rest| rest.keeps_changing())?;
        let changed = self.last_change();
        if self.now.since(changed) >= self.detection.stuck_after {
            return None;
        }
        let then = match stability::clearable_from(rest.since, self.observation.pending_value()) {
            Some(from) if from > self.now => {
                format!("; the version has no value, and is not cleared before {from}")
            }
            Some(from) => format!("; the version has no value, and may be cleared since {from}"),
            None => ", so no automatic action starts".to_owned(),
        };
        Some(format!(
            "its labels have not changed since {} or earlier, but these keep changing: {rest}. AWS may be running the rotation again{then}. \
             Stop what changes it, for example a job that sets tags",
            rest.since
        ))
    }

    /// Reports a version that a person rolled back. The date of the version does not matter: the state lasts since the
    /// labels moved.
    fn rolled_back(&self, pending: &VersionId, progress: Progress) -> Verdict {
        let how = if self.secret.previous() == Some(pending) {
            "it also holds AWSPREVIOUS"
        } else {
            "another value has become current since it was made"
        };
        let message = format!(
            "version {pending}, which holds AWSPENDING, was rolled back: {how}. It never becomes current again automatically. \
             To discard it, remove AWSPENDING with {}; to return to it, use {}",
            self.command("clear"),
            self.command("promote")
        );
        let found = self
            .previous
            .filter(|old| old.state == State::Stuck && old.pending.as_ref() == Some(pending))
            .and_then(|old| old.since);
        Verdict {
            state: State::Stuck,
            since: self.last_change().min(self.clamped(found)),
            message,
            remedy_kind: RemedyKind::RolledBack,
            first_observed: Some(progress.first_observed),
        }
    }

    /// Returns when this pending version was first seen. The time is clamped: an edited status cannot make it older
    /// than the secret.
    fn first_observed(&self, pending: &VersionId) -> AwsTime {
        let old = self
            .previous
            .filter(|old| old.pending.as_ref() == Some(pending));
        self.clamped(old.and_then(|old| old.first_observed))
    }

    /// Returns since when the pending version has made no progress: the earlier of the last change and the creation of
    /// the version. The controller's own pins are no change, and a time that was found before is kept, so that neither
    /// makes a stuck rotation look young.
    fn progress(&self, pending: &VersionId) -> Progress {
        let first_observed = self.first_observed(pending);
        let versions = self.observation.versions.as_ref();
        let born = versions
            .and_then(|versions| versions.created(pending))
            .or_else(|| self.history().started(pending));
        let found = self
            .previous
            .filter(|old| old.pending.as_ref() == Some(pending))
            .and_then(|old| old.since);
        let since = self
            .last_change()
            .min(born.unwrap_or(first_observed))
            .min(self.clamped(found));
        // The finding that this rule made says so again: the message must not change with the second look.
        let made_by_it = |date| found == Some(date);
        let meant_by = self.long_overdue().filter(|date| {
            let may_count = self.previous.is_none() && *date < since || made_by_it(*date);
            born.is_none() && may_count
        });
        Progress {
            first_observed,
            since: meant_by.unwrap_or(since),
            due_by: meant_by,
        }
    }

    fn last_change(&self) -> AwsTime {
        let changed = self.history().last_foreign_change(self.secret);
        changed.unwrap_or(self.now).min(self.now)
    }

    /// Returns AWS's own date for the rotation, if it passed long ago. It counts while no previous finding exists for the
    /// secret. Without a finding, nothing shows the age of a pending version without a value, because `LastChangedDate` moves
    /// with every tag. A secret that was this late before the rotation began would have a finding `Overdue`.
    fn long_overdue(&self) -> Option<AwsTime> {
        let next = self.secret.next_rotation?;
        let grace = self.detection.stuck_after.max(self.detection.overdue_after);
        let long = self.now > next && self.now.since(next) >= grace;
        long.then_some(next)
    }

    fn clamped(&self, time: Option<AwsTime>) -> AwsTime {
        let earliest = self.secret.created.unwrap_or(self.now).min(self.now);
        time.unwrap_or(self.now).clamp(earliest, self.now)
    }

    fn expiring(&self) -> Option<Verdict> {
        let expiry = self.detection.expiry.as_ref()?;
        let tag = self.secret.tags.get(&expiry.tag_key)?;
        self.expires(expiry, expiry::parse(tag)?)
    }

    /// Reports that the expiry tag cannot be parsed. The finding is about the tag, not about the value.
    fn unreadable_expiry(&self) -> Option<Verdict> {
        let message = self.unreadable_tag()?;
        Some(self.verdict(State::Unknown, None, message))
    }

    /// Adds the remark about an expiry tag that cannot be parsed to the message of another state.
    fn with_the_tag(&self, verdict: Verdict) -> Verdict {
        let says_it = matches!(
            verdict.state,
            State::Overdue | State::TooOld | State::Disabled
        );
        match self.unreadable_tag().filter(|_| says_it) {
            Some(remark) => Verdict {
                message: format!("{}; {remark}", verdict.message),
                ..verdict
            },
            None => verdict,
        }
    }

    fn unreadable_tag(&self) -> Option<String> {
        let key = &self.detection.expiry.as_ref()?.tag_key;
        let tag = self.secret.tags.get(key)?;
        expiry::parse(tag).is_none().then(|| {
            format!(
                "ExpiryTagStale: tag {key} is not an RFC 3339 date or time, such as 2026-12-31 or 2026-12-31T23:59:59Z; correct the tag"
            )
        })
    }

    fn expires(&self, expiry: &Expiry, expires: AwsTime) -> Option<Verdict> {
        let due = expires.minus(expiry.rotate_before);
        if self.now < due {
            return None;
        }
        if self.renewed_since(due) {
            let message = format!(
                "ExpiryTagStale: rotated after {due}, but tag {} still shows {expires}; update the tag",
                expiry.tag_key
            );
            return Some(self.verdict(State::Expiring, Some(due), message));
        }
        let verb = if expires > self.now {
            "expires"
        } else {
            "expired"
        };
        Some(self.overdue_since(
            State::Expiring,
            due,
            format!("the value {verb} at {expires}, by tag {}", expiry.tag_key),
        ))
    }

    fn renewed_since(&self, due: AwsTime) -> bool {
        self.secret
            .last_rotated
            .into_iter()
            .chain(self.current_created())
            .any(|renewed| renewed >= due)
    }

    fn overdue(&self) -> Option<Verdict> {
        if !self.secret.rotates() {
            return None;
        }
        self.unfinished_recovery().or_else(|| {
            let next = self.secret.next_rotation?;
            let late = self.now > next && self.now.since(next) >= self.detection.overdue_after;
            late.then(|| {
                self.overdue_since(
                    State::Overdue,
                    next,
                    format!("AWS meant to rotate it by {next}"),
                )
            })
        })
    }

    /// Reports a recovery that cleared and did not rotate. Only its journal shows that: a pin does not show whether a
    /// rotation was meant to follow.
    fn unfinished_recovery(&self) -> Option<Verdict> {
        let cleared = self.history().unfinished_recovery(self.secret)?;
        let message = format!(
            "recovery unfinished: AWSPENDING was cleared at {cleared}, and no rotation has succeeded since"
        );
        Some(self.overdue_since(State::Overdue, cleared, message))
    }

    fn too_old(&self) -> Option<Verdict> {
        let max_age = self.detection.max_age?;
        let oldest = self.now.minus(max_age);
        let unchanged = self
            .secret
            .last_changed
            .filter(|changed| *changed <= oldest);
        let born = self.current_created().filter(|created| *created <= oldest);
        let since = unchanged.or(born)?;
        Some(self.overdue_since(
            State::TooOld,
            since.plus(max_age),
            format!("the current value has not changed since {since}"),
        ))
    }

    /// Adds the leftover pending version to the message of a state that precedes `Disabled`.
    fn with_leftover(&self, found: Verdict) -> Verdict {
        match self.leftover() {
            Some(leftover) => Verdict {
                message: format!(
                    "{}; rotation was switched off, and {leftover}",
                    found.message
                ),
                ..found
            },
            None => found,
        }
    }

    fn disabled(&self) -> Option<Verdict> {
        let leftover = self.leftover();
        let off = "rotation was switched off";
        let message = match (&self.secret.rotation, self.detection.rotation_disabled) {
            (
                Rotation::Disabled,
                DisabledReporting::Report | DisabledReporting::ReportUnconfigured,
            ) => leftover.map_or_else(|| off.to_owned(), |leftover| format!("{off}; {leftover}")),
            // A version that may hold the live password is reported even if disabled rotation is not.
            (Rotation::Disabled, DisabledReporting::Ignore) => leftover
                .filter(|_| self.observation.pending_value() != PendingValue::Empty)
                .map(|leftover| format!("{off}; {leftover}"))?,
            (Rotation::NotConfigured, DisabledReporting::ReportUnconfigured) => {
                "rotation was never configured".to_owned()
            }
            (Rotation::Enabled { .. }, _)
            | (Rotation::NotConfigured, DisabledReporting::Report | DisabledReporting::Ignore) => {
                return None;
            }
        };
        let pending = self.secret.unfinished();
        Some(Verdict {
            first_observed: pending.map(|pending| self.first_observed(pending)),
            ..self.verdict(State::Disabled, None, message)
        })
    }

    /// Describes the AWSPENDING of a rotation that was switched off or canceled before it finished.
    fn leftover(&self) -> Option<String> {
        let switched_off = self.secret.rotation == Rotation::Disabled;
        let pending = self.secret.unfinished().filter(|_| switched_off)?;
        if self
            .secret
            .is_rolled_back(self.observation.versions.as_ref())
        {
            return Some(format!(
                "version {pending} still holds AWSPENDING and was rolled back: remove the label with {}",
                self.command("clear")
            ));
        }
        let what = match self.observation.pending_value() {
            PendingValue::None | PendingValue::Empty => {
                return Some(format!(
                    "version {pending} still holds AWSPENDING and has no value: remove the label with {}",
                    self.command("clear")
                ));
            }
            PendingValue::Present => "has",
            PendingValue::Unknown => "may have",
        };
        Some(format!(
            "version {pending} still holds AWSPENDING and {what} a value, which may be the one that the target accepts: \
             if it is, use {}; if not, remove the label with {}",
            self.command("promote"),
            self.command("clear")
        ))
    }

    fn healthy(&self) -> Verdict {
        self.verdict(State::Healthy, None, String::new())
    }

    fn current_created(&self) -> Option<AwsTime> {
        self.observation
            .versions
            .as_ref()?
            .created(self.secret.current()?)
    }

    fn overdue_since(&self, state: State, since: AwsTime, message: String) -> Verdict {
        Verdict {
            remedy_kind: RemedyKind::Overdue,
            ..self.verdict(state, Some(since), message)
        }
    }

    /// Builds a verdict. If AWS returns no date for the state, the state lasts since it was first found.
    fn verdict(&self, state: State, since: Option<AwsTime>, message: String) -> Verdict {
        let found = self
            .previous
            .filter(|old| old.state == state)
            .and_then(|old| old.since);
        let since = since.unwrap_or_else(|| self.clamped(found));
        Verdict {
            state,
            since,
            message,
            remedy_kind: RemedyKind::None,
            first_observed: None,
        }
    }
}
