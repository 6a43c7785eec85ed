//! The state of one secret: the first that holds, in the order of the API.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::AwsTime;
use crate::history::History;
use crate::identity::VersionId;
use crate::inventory::Observation;
use crate::operation::Operation;
use crate::pin;
use crate::policy::{Detection, DisabledReporting, Expiry, Reporting};
use crate::secret::{Rotation, Secret};
use crate::survey::{Ailment, Remembered, State};

/// AWS keeps a deleted secret at least this long (API reference, `DeleteSecret`, `RecoveryWindowInDays`).
const SHORTEST_RECOVERY_WINDOW: Duration = Duration::from_hours(7 * 24);

/// What is found about one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: AwsTime,
    /// A sentence for people, with absolute times only.
    pub message: String,
    /// Which kind of remedy could help.
    pub ailment: Ailment,
    /// When the unfinished pending version was first seen by us.
    pub first_observed: Option<AwsTime>,
}

/// What is known of a secret beside what AWS shows of it now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Background<'a> {
    /// What the last pass found.
    pub remembered: Option<&'a Remembered>,
    /// Every known operation, on whichever secret: journals tell which changes were our own.
    pub operations: &'a [Operation],
}

/// Judges one secret by AWS time.
pub fn of(
    observation: &Observation,
    detection: &Detection,
    background: Background<'_>,
    now: AwsTime,
) -> Verdict {
    let judge = Judge {
        observation,
        secret: &observation.secret,
        detection,
        remembered: background.remembered,
        operations: background.operations,
        now,
    };
    judge
        .unknown()
        .or_else(|| judge.scheduled_for_deletion())
        .or_else(|| judge.ineligible())
        .or_else(|| judge.broken())
        .or_else(|| judge.stuck_or_rotating())
        .or_else(|| judge.expiring())
        .or_else(|| judge.overdue())
        .or_else(|| judge.too_old())
        .or_else(|| judge.disabled())
        .unwrap_or_else(|| judge.healthy())
}

/// When the value of a secret expires, if a tag says so in a way that can be read.
pub fn expires(secret: &Secret, detection: &Detection) -> Option<AwsTime> {
    parse_expiry(secret.tags.get(&detection.expiry.as_ref()?.tag_key)?)
}

/// Until when a scheduled deletion can surely be called off. AWS documents `DeletedDate` as the date the secret is scheduled
/// for deletion, and answers with the date of the request: the window of 7 to 30 days counts from there. A date in the
/// future can only be that of the purge.
pub fn restorable_until(secret: &Secret, now: AwsTime) -> Option<AwsTime> {
    let deleted = secret.deleted?;
    Some(if deleted > now {
        deleted
    } else {
        deleted.plus(SHORTEST_RECOVERY_WINDOW)
    })
}

struct Judge<'a> {
    observation: &'a Observation,
    secret: &'a Secret,
    detection: &'a Detection,
    remembered: Option<&'a Remembered>,
    operations: &'a [Operation],
    now: AwsTime,
}

impl<'a> Judge<'a> {
    /// The operations on this secret. Only a secret that is not at rest needs them.
    fn history(&self) -> History<'a> {
        History::of(&self.secret.arn, self.operations)
    }

    fn unknown(&self) -> Option<Verdict> {
        let error = self.observation.unreadable.as_ref()?;
        Some(self.verdict(
            State::Unknown,
            None,
            format!("it could not be read: {}", error.class),
        ))
    }

    fn scheduled_for_deletion(&self) -> Option<Verdict> {
        let deleted = self.secret.deleted?;
        Some(match self.detection.scheduled_for_deletion {
            Reporting::Report => Verdict {
                ailment: Ailment::Deletion,
                ..self.verdict(
                    State::ScheduledForDeletion,
                    Some(deleted),
                    self.deletion(deleted),
                )
            },
            Reporting::Ignore => self.healthy(),
        })
    }

    fn deletion(&self, deleted: AwsTime) -> String {
        if deleted > self.now {
            return format!(
                "scheduled for deletion; AWS purges it after {deleted}, restore it before"
            );
        }
        let until = restorable_until(self.secret, self.now).unwrap_or(self.now);
        format!(
            "scheduled for deletion since {deleted}; AWS keeps it at least until {until}, restore it before"
        )
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

    fn broken(&self) -> Option<Verdict> {
        let message = "no version holds AWSCURRENT; a person must set a value".to_owned();
        self.secret
            .current()
            .is_none()
            .then(|| self.verdict(State::Broken, None, message))
    }

    fn stuck_or_rotating(&self) -> Option<Verdict> {
        let pending = self.secret.unfinished()?;
        let first_observed = self.first_observed(pending);
        let since = self.without_progress_since(pending, first_observed);
        let stuck = self.now.since(since) >= self.detection.stuck_after;
        let (state, ailment, what) = if stuck {
            (State::Stuck, Ailment::Stuck, "rotation has not progressed")
        } else {
            (
                State::Rotating,
                Ailment::Untreatable,
                "a rotation is under way",
            )
        };
        let message = format!("{what} since {since}");
        Some(Verdict {
            state,
            since,
            message,
            ailment,
            first_observed: Some(first_observed),
        })
    }

    /// First-seen of this very pending version, clamped: a status that somebody edited makes nothing older than the secret.
    fn first_observed(&self, pending: &VersionId) -> AwsTime {
        let old = self
            .remembered
            .filter(|old| old.pending.as_ref() == Some(pending));
        self.clamped(old.and_then(|old| old.first_observed))
    }

    /// The earlier of the last change and the birth of the pending version. Our own pin is no change, and what was found
    /// before stays, so that neither makes a stuck rotation look young.
    fn without_progress_since(&self, pending: &VersionId, first_observed: AwsTime) -> AwsTime {
        let versions = self.observation.versions.as_ref();
        let born = versions
            .and_then(|versions| versions.created(pending))
            .unwrap_or(first_observed);
        let changed = self.history().last_foreign_change(self.secret);
        let changed = changed.unwrap_or(self.now);
        let found = self
            .remembered
            .filter(|old| old.pending.as_ref() == Some(pending))
            .and_then(|old| old.since);
        changed.min(born).min(self.clamped(found)).min(self.now)
    }

    fn clamped(&self, time: Option<AwsTime>) -> AwsTime {
        let earliest = self.secret.created.unwrap_or(self.now).min(self.now);
        time.unwrap_or(self.now).clamp(earliest, self.now)
    }

    fn expiring(&self) -> Option<Verdict> {
        let expiry = self.detection.expiry.as_ref()?;
        let tag = self.secret.tags.get(&expiry.tag_key)?;
        let Some(expires) = parse_expiry(tag) else {
            let message = format!(
                "ExpiryTagStale: tag {} is no RFC 3339 date or time; correct it",
                expiry.tag_key
            );
            return Some(self.verdict(State::Expiring, None, message));
        };
        self.expires(expiry, expires)
    }

    fn expires(&self, expiry: &Expiry, expires: AwsTime) -> Option<Verdict> {
        let due = expires.minus(expiry.rotate_before);
        if self.now < due {
            return None;
        }
        if self.renewed_since(due) {
            let message = format!(
                "ExpiryTagStale: rotated after {due}, but tag {} still says {expires}; update it",
                expiry.tag_key
            );
            return Some(self.verdict(State::Expiring, Some(due), message));
        }
        Some(self.overdue_since(
            State::Expiring,
            due,
            format!("the value expires at {expires}, by tag {}", expiry.tag_key),
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

    /// A pin of ours, nothing pending, and a current version that is not newer than the pin.
    fn unfinished_recovery(&self) -> Option<Verdict> {
        if self.is_promoted() {
            return None;
        }
        let pinned = pin::on(self.secret).map(|(_, _, pin)| pin.time()).max()?;
        let renewed = self.current_created().or(self.secret.last_rotated);
        let unfinished = renewed.is_none_or(|renewed| renewed <= pinned);
        let message = format!(
            "recovery unfinished: AWSPENDING was cleared, and nothing has rotated since {pinned}"
        );
        unfinished.then(|| self.overdue_since(State::Overdue, pinned, message))
    }

    /// Only pending versions are pinned: a current one that carries a pin was made current afterwards.
    fn is_promoted(&self) -> bool {
        pin::on(self.secret).any(|(holder, _, _)| self.secret.current() == Some(holder))
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
            format!("the current value is unchanged since {since}"),
        ))
    }

    fn disabled(&self) -> Option<Verdict> {
        let message = match (&self.secret.rotation, self.detection.rotation_disabled) {
            (
                Rotation::Disabled,
                DisabledReporting::Report | DisabledReporting::ReportUnconfigured,
            ) => "rotation was switched off",
            (Rotation::NotConfigured, DisabledReporting::ReportUnconfigured) => {
                "rotation was never configured"
            }
            (Rotation::Enabled { .. }, _)
            | (Rotation::Disabled, DisabledReporting::Ignore)
            | (Rotation::NotConfigured, DisabledReporting::Report | DisabledReporting::Ignore) => {
                return None;
            }
        };
        Some(self.verdict(State::Disabled, None, message.to_owned()))
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
            ailment: Ailment::Overdue,
            ..self.verdict(state, Some(since), message)
        }
    }

    /// Where AWS names no date, the state lasts since it was first found.
    fn verdict(&self, state: State, since: Option<AwsTime>, message: String) -> Verdict {
        let found = self
            .remembered
            .filter(|old| old.state == state)
            .and_then(|old| old.since);
        let since = since.unwrap_or_else(|| self.clamped(found));
        Verdict {
            state,
            since,
            message,
            ailment: Ailment::Untreatable,
            first_observed: None,
        }
    }
}

/// `2026-11-30`
const DATE: usize = 10;

/// Reads an RFC 3339 time, or a date, which stands for its first moment in UTC.
fn parse_expiry(text: &str) -> Option<AwsTime> {
    let time = if text.len() == DATE {
        let date = text.parse::<Date>().ok()?;
        date.to_zoned(TimeZone::UTC).ok()?.timestamp()
    } else {
        // jiff reads more than RFC 3339: as a date also what has a time and no zone, and zones in brackets.
        text.parse::<Timestamp>()
            .ok()
            .filter(|_| !text.contains('['))?
    };
    Some(AwsTime::new(time))
}
