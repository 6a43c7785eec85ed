//! Maintenance windows: when automatic operations may start.
//!
//! A window opens at each local minute that its schedule matches, and stays open for its duration of elapsed time. On
//! the days on which clocks change:
//! - a local time that does not exist means the first moment after the gap;
//! - of a local time that occurs twice, an allowed window opens at the first one only, a denied window at both.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use crate::cron_schedule::Schedule;
pub use crate::cron_schedule::ScheduleError;
use crate::time::AwsTime;

/// The number of openings and closings after which the search for an open or closed moment ends without a result.
const MAX_STEPS: usize = 366;

/// The longest time by which clocks are set back.
const LONGEST_FOLD: SignedDuration = SignedDuration::from_hours(3);

/// When automatic operations may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Windows {
    /// The windows could be parsed.
    Readable {
        /// Operations may start in any of these, or always if there are none …
        allow: Vec<Window>,
        /// … but in none of these.
        deny: Vec<Window>,
    },
    /// The windows cannot be parsed, so no operation may start.
    Unreadable {
        /// What to correct.
        problem: String,
    },
}

/// One recurring window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    schedule: Schedule,
    duration: SignedDuration,
    zone: TimeZone,
}

/// Why a window cannot be parsed. Each message shows what to write.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WindowError {
    /// The schedule is invalid.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The time zone does not exist.
    #[error(
        "{0} is not a time zone; write a name from the IANA database, such as Europe/Berlin or UTC"
    )]
    Zone(String),
    /// The duration is not positive.
    #[error("duration must be greater than zero")]
    Duration,
}

/// Whether a maintenance window is open at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// There are no windows: operations may always start.
    #[default]
    Always,
    /// Operations may start.
    Open {
        /// When the window closes, if it does in the foreseeable future.
        closes: Option<AwsTime>,
    },
    /// Operations may not start.
    Closed {
        /// The next time at which they may start, and when that window closes, if it does in the foreseeable future.
        next: (AwsTime, Option<AwsTime>),
    },
    /// Operations may never start.
    Never,
}

impl Opening {
    /// Returns whether operations may start now.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Always | Self::Open { .. })
    }

    /// Returns when that changes.
    pub const fn changes(self) -> Option<AwsTime> {
        match self {
            Self::Always | Self::Never => None,
            Self::Open { closes } => closes,
            Self::Closed { next: (opens, _) } => Some(opens),
        }
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self::Readable {
            allow: Vec::new(),
            deny: Vec::new(),
        }
    }
}

impl Windows {
    /// Returns why no operation may ever start. `None` = some window opens.
    pub fn problem(&self, now: AwsTime) -> Option<&str> {
        match self {
            Self::Unreadable { problem } => Some(problem),
            Self::Readable { .. } if self.at(now) == Opening::Never => Some(
                "spec.remediation.windows: the denied windows cover every allowed window; shorten the denied windows",
            ),
            Self::Readable { .. } => None,
        }
    }

    /// Returns whether a window is open at this moment.
    pub fn at(&self, now: AwsTime) -> Opening {
        let (allow, deny) = match self {
            Self::Unreadable { .. } => return Opening::Never,
            Self::Readable { allow, deny } if allow.is_empty() && deny.is_empty() => {
                return Opening::Always;
            }
            Self::Readable { allow, deny } => (allow.as_slice(), deny.as_slice()),
        };
        let calendar = Calendar { allow, deny };
        let now = now.timestamp();
        let closing = |opened| calendar.closing(opened).map(AwsTime::new);
        if calendar.is_open(now) {
            return Opening::Open {
                closes: closing(now),
            };
        }
        match calendar.opening(now) {
            Some(opens) => Opening::Closed {
                next: (AwsTime::new(opens), closing(opens)),
            },
            None => Opening::Never,
        }
    }
}

impl Window {
    /// Builds a window that opens at each minute of `schedule` (cron, five fields) in the IANA time zone, and stays
    /// open for `duration`.
    ///
    ///
    /// # Errors
    ///
    ///
    /// Returns an error if the schedule or the zone is invalid, or the duration is not positive.
    pub fn new(schedule: &str, duration: Duration, zone: &str) -> Result<Self, WindowError> {
        let schedule = Schedule::parse(schedule)?;
        let duration = SignedDuration::try_from(duration)
            .ok()
            .filter(SignedDuration::is_positive)
            .ok_or(WindowError::Duration)?;
        let zone = TimeZoneDatabase::bundled()
            .get(zone)
            .map_err(|_| WindowError::Zone(zone.to_owned()))?;
        Ok(Self {
            schedule,
            duration,
            zone,
        })
    }

    /// Returns the first opening after this instant.
    fn opening(&self, after: Timestamp, repeats: Repeats) -> Option<Timestamp> {
        let local = self.zone.to_datetime(after);
        let start = local.checked_sub(LONGEST_FOLD).unwrap_or(local);
        let first = |occurrence| {
            let instants = self
                .schedule
                .from(start)
                .filter_map(move |minute| self.instant(minute, occurrence));
            instants.into_iter().find(|instant| *instant > after)
        };
        let again = || {
            // A repeated local time that is later than this cannot precede the first opening.
            let near = local.checked_add(SignedDuration::from_hours(48)).ok()?;
            let minutes = self
                .schedule
                .from(start)
                .take_while(move |minute| *minute < near);
            minutes
                .filter_map(|minute| self.instant(minute, Occurrence::Second))
                .find(|instant| *instant > after)
        };
        let earliest = first(Occurrence::First)?;
        match repeats {
            Repeats::Once => Some(earliest),
            Repeats::Twice => Some(again().map_or(earliest, |again| again.min(earliest))),
        }
    }

    fn instant(&self, minute: DateTime, occurrence: Occurrence) -> Option<Timestamp> {
        let at = |offset: jiff::tz::Offset| offset.to_timestamp(minute).ok();
        match (
            self.zone.to_ambiguous_timestamp(minute).offset(),
            occurrence,
        ) {
            (AmbiguousOffset::Unambiguous { offset }, Occurrence::First) => at(offset),
            (AmbiguousOffset::Fold { before, .. }, Occurrence::First) => at(before),
            (AmbiguousOffset::Fold { after, .. }, Occurrence::Second) => at(after),
            (AmbiguousOffset::Gap { before, .. }, Occurrence::First) => {
                let beyond = at(before)?
                    .checked_add(SignedDuration::from_nanos(1))
                    .ok()?;
                let change = self.zone.preceding(beyond).next();
                change.map(|change| change.timestamp())
            }
            (
                AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. },
                Occurrence::Second,
            ) => None,
        }
    }

    /// Returns the first closing after this instant of a window that has opened.
    fn closing(&self, after: Timestamp, repeats: Repeats) -> Option<Timestamp> {
        let opened = self.opening(after.checked_sub(self.duration).ok()?, repeats)?;
        opened.checked_add(self.duration).ok()
    }

    fn is_open(&self, at: Timestamp, repeats: Repeats) -> bool {
        let opened = at
            .checked_sub(self.duration)
            .ok()
            .and_then(|earliest| self.opening(earliest, repeats));
        opened.is_some_and(|opened| opened <= at)
    }
}

/// How a window treats a local time that occurs twice.
#[derive(Clone, Copy, Debug)]
enum Repeats {
    Once,
    Twice,
}

#[derive(Clone, Copy, Debug)]
enum Occurrence {
    First,
    Second,
}

/// The allowed and the denied windows.
struct Calendar<'a> {
    allow: &'a [Window],
    deny: &'a [Window],
}

impl Calendar<'_> {
    fn is_open(&self, at: Timestamp) -> bool {
        self.is_allowed(at) && !self.is_denied(at)
    }

    fn is_allowed(&self, at: Timestamp) -> bool {
        self.allow.is_empty()
            || self
                .allow
                .iter()
                .any(|window| window.is_open(at, Repeats::Once))
    }

    fn is_denied(&self, at: Timestamp) -> bool {
        self.deny
            .iter()
            .any(|window| window.is_open(at, Repeats::Twice))
    }

    /// Returns the first open moment after a closed one.
    fn opening(&self, closed: Timestamp) -> Option<Timestamp> {
        let mut at = closed;
        for _ in 0..MAX_STEPS {
            at = if self.is_denied(at) {
                self.end_of_denial(at)?
            } else {
                let openings = self.allow.iter();
                openings
                    .filter_map(|window| window.opening(at, Repeats::Once))
                    .min()?
            };
            if self.is_open(at) {
                return Some(at);
            }
        }
        None
    }

    /// Returns the latest closing of the denied windows that are open now.
    fn end_of_denial(&self, at: Timestamp) -> Option<Timestamp> {
        let open = self
            .deny
            .iter()
            .filter(|window| window.is_open(at, Repeats::Twice));
        open.filter_map(|window| window.closing(at, Repeats::Twice))
            .max()
    }

    /// Returns the first closed moment after an open one.
    fn closing(&self, open: Timestamp) -> Option<Timestamp> {
        let denied = self
            .deny
            .iter()
            .filter_map(|window| window.opening(open, Repeats::Twice))
            .min();
        let allowed = self.end_of_allowance(open, denied);
        match (allowed, denied) {
            (Some(allowed), Some(denied)) => Some(allowed.min(denied)),
            (allowed, denied) => allowed.or(denied),
        }
    }

    /// Returns where the chain of overlapping allowed windows ends, unless that is beyond `limit`.
    fn end_of_allowance(&self, open: Timestamp, limit: Option<Timestamp>) -> Option<Timestamp> {
        let mut at = open;
        for _ in 0..MAX_STEPS {
            let open = self
                .allow
                .iter()
                .filter(|window| window.is_open(at, Repeats::Once));
            let end = open
                .filter_map(|window| window.closing(at, Repeats::Once))
                .max();
            match end {
                None => return (!self.allow.is_empty()).then_some(at),
                Some(end) if limit.is_some_and(|limit| limit <= end) => return None,
                Some(end) => at = end,
            }
        }
        None
    }
}
