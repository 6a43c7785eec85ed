//! Instants of the two remote clocks that decisions depend on, and when a clock is trusted. The local wall clock is
//! never used.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

macro_rules! instant {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Timestamp);

        impl $name {
            /// Wraps an instant that was read from this clock.
            pub const fn new(timestamp: Timestamp) -> Self {
                Self(timestamp)
            }

            /// Returns the instant as a plain timestamp, for printing and storing.
            pub const fn timestamp(self) -> Timestamp {
                self.0
            }

            /// Returns how long ago `earlier` was; zero if it is in the future.
            pub fn since(self, earlier: Self) -> Duration {
                self.0.duration_since(earlier.0).try_into().unwrap_or(Duration::ZERO)
            }

            /// Returns this instant moved forward, at most to the greatest timestamp.
            #[must_use]
            pub fn plus(self, duration: Duration) -> Self {
                let moved = SignedDuration::try_from(duration).ok().and_then(|by| self.0.checked_add(by).ok());
                Self(moved.unwrap_or(Timestamp::MAX))
            }

            /// Returns this instant moved back, at most to the least timestamp.
            #[must_use]
            pub fn minus(self, duration: Duration) -> Self {
                let moved = SignedDuration::try_from(duration).ok().and_then(|by| self.0.checked_sub(by).ok());
                Self(moved.unwrap_or(Timestamp::MIN))
            }
        }

        impl fmt::Display for $name {
            /// Writes RFC 3339 in UTC, to the second.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:.0}", self.0)
            }
        }
    };
}

instant! {
    /// AWS's clock, read from the `Date` header of the response that is judged.
    ///
    /// Ages, quiet times, back-off, windows and journal times are measured on it.
    AwsTime
}

instant! {
    /// The Kubernetes API server's clock: creation times of objects.
    ServerTime
}

/// 2020-01-01 to 2100-01-01, in seconds. No service that runs today has a date outside.
const PLAUSIBLE_SECONDS: Range<i64> = 1_577_836_800..4_102_444_800;

/// A response whose date is further from the agreed time than this is not trusted.
const MAX_DEVIATION: Duration = Duration::from_hours(1);

/// Dates that are at most this far apart, once each is projected to the same moment, agree with each other.
const AGREEMENT_TOLERANCE: Duration = Duration::from_mins(5);

/// The number of responses that must agree before a first time is agreed: a single one may be wrong.
const ANSWERS_TO_START: usize = 2;

/// The number of responses that must agree to replace the agreed time.
const ANSWERS_TO_REPLACE: usize = 3;

/// The number of dates that are kept while they are not trusted.
const MAX_DOUBTED: usize = 5;

/// The time of a remote clock, learned from the dates of its responses.
///
/// One wrong date changes nothing. Between responses the local monotonic clock carries the agreed time on. Only elapsed
/// time counts on that clock: readings are durations since an origin of the caller's choice.
#[derive(Clone, Debug, Default)]
pub struct AgreedTime {
    agreed: Option<Sample>,
    /// Dates that were not trusted, oldest first. A response that agrees with the agreed time refutes them all.
    doubted: Vec<Sample>,
}

/// How a date relates to the agreed time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateCheck {
    /// It agrees with the agreed time, and becomes the agreed time.
    Agrees,
    /// Enough responses agree with it: it becomes the agreed time, and replaces the previous one.
    Adopted,
    /// It does not agree, or there are too few responses so far. Nothing may be decided from the response.
    Doubted,
    /// There is no date, or no plausible one.
    Implausible,
}

impl DateCheck {
    /// Returns whether the date may be used.
    pub const fn is_believed(self) -> bool {
        matches!(self, Self::Agrees | Self::Adopted)
    }
}

/// A date and when it was read on the local monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Sample {
    shown: Timestamp,
    at: Duration,
}

impl AgreedTime {
    /// Checks the date of a response that arrived at the local reading `at`.
    pub fn observe(&mut self, shown: Option<Timestamp>, at: Duration) -> DateCheck {
        let Some(shown) = shown.filter(|shown| PLAUSIBLE_SECONDS.contains(&shown.as_second()))
        else {
            return DateCheck::Implausible;
        };
        let sample = Sample { shown, at };
        if self
            .agreed
            .is_some_and(|agreed| agreed.distance(sample) <= MAX_DEVIATION)
        {
            self.agree(sample);
            return DateCheck::Agrees;
        }
        let needed = self.agreed.map_or(ANSWERS_TO_START, |_| ANSWERS_TO_REPLACE);
        let agrees = |other: &&Sample| other.distance(sample) <= AGREEMENT_TOLERANCE;
        if self.doubted.iter().filter(agrees).count() + 1 >= needed {
            self.agree(sample);
            return DateCheck::Adopted;
        }
        if self.doubted.len() == MAX_DOUBTED {
            self.doubted.remove(0);
        }
        self.doubted.push(sample);
        DateCheck::Doubted
    }

    /// Returns the agreed time at the local reading `at`; `None` = nothing is agreed yet.
    pub fn now(&self, at: Duration) -> Option<Timestamp> {
        self.agreed.map(|agreed| agreed.carried(at))
    }

    fn agree(&mut self, sample: Sample) {
        self.agreed = Some(sample);
        self.doubted.clear();
    }
}

impl Sample {
    /// Returns what the clock shows at another local reading, which may be earlier if responses overtook each other.
    fn carried(self, at: Duration) -> Timestamp {
        let shown = AwsTime(self.shown);
        if at >= self.at {
            shown.plus(at.saturating_sub(self.at)).0
        } else {
            shown.minus(self.at.saturating_sub(at)).0
        }
    }

    /// Returns how far the clocks of two readings are apart.
    fn distance(self, other: Self) -> Duration {
        let (expected, shown) = (AwsTime(self.carried(other.at)), AwsTime(other.shown));
        expected.since(shown).max(shown.since(expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the agreement after dates, each received one second after the previous one, and the result for each.
    fn observed(dates: &[Option<i64>]) -> (AgreedTime, Vec<DateCheck>) {
        let mut agreement = AgreedTime::default();
        let checks = dates.iter().zip(0..).map(|(date, second)| {
            let date = date.map(|date| Timestamp::from_second(date).expect("in range"));
            agreement.observe(date, Duration::from_secs(second))
        });
        let checks = checks.collect();
        (agreement, checks)
    }

    fn now(agreement: &AgreedTime, second: u64) -> Option<i64> {
        let now = agreement.now(Duration::from_secs(second));
        now.map(Timestamp::as_second)
    }

    const T: i64 = 1_764_000_000;
    const HOUR: i64 = 3600;

    #[test]
    fn no_time_is_agreed_before_two_responses_agree() {
        let (agreement, checks) = observed(&[Some(T)]);
        assert_eq!(checks, [DateCheck::Doubted]);
        assert_eq!(now(&agreement, 0), None);
        let (agreement, checks) = observed(&[Some(T), Some(T + 1)]);
        assert_eq!(checks, [DateCheck::Doubted, DateCheck::Adopted]);
        assert_eq!(now(&agreement, 61), Some(T + 61));
    }

    #[test]
    fn a_first_response_with_a_wrong_date_is_outvoted() {
        let (agreement, checks) = observed(&[Some(T + 40 * HOUR), Some(T), Some(T + 1)]);
        assert_eq!(
            checks,
            [DateCheck::Doubted, DateCheck::Doubted, DateCheck::Adopted]
        );
        assert_eq!(now(&agreement, 2), Some(T + 1));
    }

    #[test]
    fn one_wrong_date_affects_only_that_response() {
        for wrong in [
            None,
            Some(0),
            Some(253_402_207_200),
            Some(T + 2 * HOUR),
            Some(T - 2 * HOUR),
        ] {
            let (agreement, checks) = observed(&[Some(T), Some(T), wrong, Some(T + 3)]);
            assert!(!checks[2].is_believed(), "{wrong:?}");
            assert_eq!(checks[3], DateCheck::Agrees, "{wrong:?}");
            assert_eq!(now(&agreement, 3), Some(T + 3), "{wrong:?}");
        }
    }

    #[test]
    fn a_clock_that_was_set_is_trusted_at_the_third_response() {
        let jump = T + 24 * HOUR;
        let (agreement, checks) = observed(&[
            Some(T),
            Some(T),
            Some(jump),
            Some(jump + 1),
            Some(jump + 2),
            Some(jump + 3),
        ]);
        assert_eq!(
            checks[2..],
            [
                DateCheck::Doubted,
                DateCheck::Doubted,
                DateCheck::Adopted,
                DateCheck::Agrees
            ]
        );
        assert_eq!(now(&agreement, 5), Some(jump + 3));
    }

    #[test]
    fn two_alternating_clocks_never_move_the_agreed_time() {
        let mut dates = vec![Some(T), Some(T)];
        for _ in 0..20 {
            dates.extend([Some(T + 2 * HOUR), Some(T)]);
        }
        let (agreement, checks) = observed(&dates);
        assert_eq!(now(&agreement, 41), Some(T));
        assert!(checks[2..].iter().step_by(2).all(|one| !one.is_believed()));
    }

    #[test]
    fn wrong_dates_that_differ_never_agree_with_each_other() {
        let dates: Vec<_> = (0..30).map(|n| Some(T + n * 3 * HOUR)).collect();
        let (agreement, checks) = observed(&dates);
        assert!(checks.iter().all(|one| *one == DateCheck::Doubted));
        assert_eq!(now(&agreement, 30), None);
        assert_eq!(agreement.doubted.len(), MAX_DOUBTED);
    }

    #[test]
    fn dates_of_responses_far_apart_are_compared_as_of_the_same_moment() {
        let mut agreement = AgreedTime::default();
        let at = |hours: i64| Timestamp::from_second(T + hours * HOUR).ok();
        assert_eq!(agreement.observe(at(0), Duration::ZERO), DateCheck::Doubted);
        let later = Duration::from_hours(10);
        assert_eq!(agreement.observe(at(10), later), DateCheck::Adopted);
        assert_eq!(
            agreement.observe(at(10), Duration::from_hours(20)),
            DateCheck::Doubted
        );
    }

    fn at(seconds: i64) -> AwsTime {
        AwsTime::new(Timestamp::from_second(seconds).expect("in range"))
    }

    #[test]
    fn an_instant_in_the_future_has_no_age() {
        assert_eq!(at(100).since(at(101)), Duration::ZERO);
        assert_eq!(at(101).since(at(100)), Duration::from_secs(1));
    }

    #[test]
    fn moving_beyond_the_end_of_time_stops_there() {
        assert_eq!(at(0).plus(Duration::MAX), AwsTime::new(Timestamp::MAX));
        assert_eq!(at(0).minus(Duration::MAX), AwsTime::new(Timestamp::MIN));
    }

    #[test]
    fn instants_print_to_the_second() {
        assert_eq!(at(1_764_000_000).to_string(), "2025-11-24T16:00:00Z");
    }
}
