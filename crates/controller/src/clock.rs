//! The only module that reads the monotonic clock. No module reads the local wall clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::fmt::rfc2822;
use secret_rotation_core::time::{AgreedTime, AwsTime, DateCheck, ServerTime};
use tokio::time::Instant;

/// Returns the time of the local monotonic clock. Leases, ages of looks, timeouts and requeues are measured on it.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The clock of the API server, according to the `Date` headers of its answers.
///
/// Deadlines and the retention of records depend on it, so one absurd date must not move it.
#[derive(Debug)]
pub(crate) struct ServerClock {
    origin: Instant,
    agreement: Mutex<AgreedTime>,
}

impl Default for ServerClock {
    fn default() -> Self {
        Self {
            origin: now(),
            agreement: Mutex::default(),
        }
    }
}

impl ServerClock {
    /// Records the `Date` header of an answer that has just arrived.
    pub(crate) fn observe(&self, date: &str) {
        let shown = rfc2822::parse(date).ok().map(|zoned| zoned.timestamp());
        let observed = self.lock().observe(shown, self.elapsed());
        match observed {
            DateCheck::Agrees => {}
            DateCheck::Adopted => tracing::debug!(date, "time of the API server adopted"),
            DateCheck::Doubted | DateCheck::Implausible => {
                tracing::debug!(date, "date of the API server not trusted");
            }
        }
    }

    /// Returns the time of the API server, or `None` until two of its answers agree.
    pub(crate) fn time(&self) -> Option<ServerTime> {
        let time = self.lock().now(self.elapsed());
        time.map(ServerTime::new)
    }

    fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.origin)
    }

    fn lock(&self) -> MutexGuard<'_, AgreedTime> {
        self.agreement
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the time of AWS at the instant `now`, given an earlier reading and when it was taken.
pub(crate) fn advanced(reading: AwsTime, taken: Instant, now: Instant) -> AwsTime {
    reading.plus(now.saturating_duration_since(taken))
}

/// Returns how long it takes until the clock of AWS shows `until`, or zero if it already has.
pub(crate) fn time_until(until: AwsTime, now: AwsTime) -> Duration {
    until.since(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: &str = "Mon, 23 Nov 2026 10:00:00 GMT";

    fn shown(clock: &ServerClock) -> Option<String> {
        clock.time().map(|time| time.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_time_moves_on_between_its_answers() {
        let clock = ServerClock::default();
        assert_eq!(clock.time(), None);
        clock.observe(TEN);
        assert_eq!(clock.time(), None, "one answer is not enough");
        clock.observe(TEN);
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(shown(&clock).as_deref(), Some("2026-11-23T10:01:30Z"));
    }

    #[tokio::test(start_paused = true)]
    async fn one_absurd_date_moves_no_deadline() {
        for absurd in [
            "yesterday",
            "",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Sun, 23 Nov 2036 10:00:00 GMT",
            "Mon, 23 Nov 2026 12:00:00 GMT",
        ] {
            let clock = ServerClock::default();
            clock.observe(absurd);
            for _ in 0..5 {
                clock.observe(TEN);
                clock.observe(TEN);
                assert_eq!(shown(&clock).as_deref(), Some("2026-11-23T10:00:00Z"));
                clock.observe(absurd);
                assert_eq!(shown(&clock).as_deref(), Some("2026-11-23T10:00:00Z"));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_follows_a_server_whose_time_was_set() {
        let clock = ServerClock::default();
        clock.observe(TEN);
        clock.observe(TEN);
        for _ in 0..3 {
            clock.observe("Mon, 23 Nov 2026 20:00:00 GMT");
        }
        assert_eq!(shown(&clock).as_deref(), Some("2026-11-23T20:00:00Z"));
    }
}
