//! Instants of the two remote clocks that decisions rest on. Never the local wall clock.

use std::fmt;
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

            /// The instant as a plain timestamp, for printing and storing.
            pub const fn timestamp(self) -> Timestamp {
                self.0
            }

            /// How long ago `earlier` was; zero if it lies in the future.
            pub fn since(self, earlier: Self) -> Duration {
                self.0.duration_since(earlier.0).try_into().unwrap_or(Duration::ZERO)
            }

            /// This instant moved forward, stopping at the end of time.
            #[must_use]
            pub fn plus(self, duration: Duration) -> Self {
                let moved = SignedDuration::try_from(duration).ok().and_then(|by| self.0.checked_add(by).ok());
                Self(moved.unwrap_or(Timestamp::MAX))
            }

            /// This instant moved back, stopping at the beginning of time.
            #[must_use]
            pub fn minus(self, duration: Duration) -> Self {
                let moved = SignedDuration::try_from(duration).ok().and_then(|by| self.0.checked_sub(by).ok());
                Self(moved.unwrap_or(Timestamp::MIN))
            }
        }

        impl fmt::Display for $name {
            /// RFC 3339 in UTC, to the second.
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

#[cfg(test)]
mod tests {
    use super::*;

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
