//! The one place that reads the monotonic clock. The local wall clock is read nowhere.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::fmt::rfc2822;
use secret_rotation_core::clock::{AwsTime, ServerTime};
use tokio::time::Instant;

/// The local monotonic clock: leases, freshness of looks, time-outs and requeues are measured on it.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The API server's clock, carried forward from the `Date` header of its last answer.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    last: Mutex<Option<(ServerTime, Instant)>>,
}

impl ServerClock {
    /// Takes note of a `Date` header; one that cannot be read is ignored.
    pub(crate) fn saw(&self, date: &str) {
        let Ok(zoned) = rfc2822::parse(date) else {
            return;
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((ServerTime::new(zoned.timestamp()), now()));
    }

    /// The API server's time; `None` before its first answer.
    pub(crate) fn time(&self) -> Option<ServerTime> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|(time, seen)| time.plus(now().saturating_duration_since(seen)))
    }
}

/// AWS's time at a local instant, given a reading and when it was taken.
pub(crate) fn carried(reading: AwsTime, taken: Instant, now: Instant) -> AwsTime {
    reading.plus(now.saturating_duration_since(taken))
}

/// How long until AWS's clock shows `until`; zero if it has.
pub(crate) fn until(until: AwsTime, now: AwsTime) -> Duration {
    until.since(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_servers_time_moves_on_between_its_answers() {
        let clock = ServerClock::default();
        assert_eq!(clock.time(), None);
        clock.saw("Mon, 23 Nov 2026 10:00:00 GMT");
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(
            clock.time().map(|time| time.to_string()),
            Some("2026-11-23T10:01:30Z".to_owned())
        );
    }

    #[test]
    fn a_date_that_cannot_be_read_changes_nothing() {
        let clock = ServerClock::default();
        clock.saw("yesterday");
        assert_eq!(clock.time(), None);
    }
}
