//! The clock of one service in one region: the time on which the answers of the service agree.
//!
//! Requests are also signed with this time. The SDK's own correction of the local clock is turned off: it trusts every
//! `Date` at once, keeps it for the life of a client, and panics during signing if the date is absurd enough.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use aws_smithy_async::time::TimeSource;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use secret_rotation_core::time::{AgreedTime, AwsTime, DateCheck};
use tokio::time::Instant;

/// An [`AgreedTime`] on tokio's clock. Cheap to clone: clones share their state.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    agreement: Arc<Mutex<AgreedTime>>,
}

impl Clock {
    /// Creates a clock without an agreed time.
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            agreement: Arc::default(),
        }
    }

    /// Checks the `Date` header of an answer that arrived just now. Returns the result, and the time if the header is
    /// trusted.
    pub(crate) fn observe(&self, date: Option<&str>) -> (DateCheck, Option<AwsTime>) {
        let shown = date.and_then(parse);
        let check = self.lock().observe(shown, self.origin.elapsed());
        let trusted = shown.filter(|_| check.is_believed()).map(AwsTime::new);
        (check, trusted)
    }

    /// Returns the agreed time, advanced by the local monotonic clock. `None` if no time is agreed yet.
    pub(crate) fn now(&self) -> Option<AwsTime> {
        let now = self.lock().now(self.origin.elapsed());
        now.map(AwsTime::new)
    }

    fn lock(&self) -> MutexGuard<'_, AgreedTime> {
        self.agreement
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl TimeSource for Clock {
    /// Returns the time for signatures. Until a time is agreed this is the local clock. If that clock is wrong, AWS
    /// refuses the signature, and the `Date` of the refusal counts.
    #[expect(
        clippy::disallowed_methods,
        reason = "a signature is not a decision, and no better time is known yet"
    )]
    fn now(&self) -> SystemTime {
        let agreed = self.now();
        agreed.map_or_else(SystemTime::now, |agreed| agreed.timestamp().into())
    }
}

/// Parses a `Date` header (RFC 9110 § 5.6.7, a subset of RFC 2822).
fn parse(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new()
        .parse_timestamp(text.trim())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_date_header_is_a_time_of_aws_once_two_agree() {
        let clock = Clock::new();
        let date = Some("Mon, 24 Nov 2025 16:00:00 GMT");
        assert_eq!(clock.observe(date), (DateCheck::Doubted, None));
        let (check, time) = clock.observe(date);
        assert_eq!(check, DateCheck::Adopted);
        assert_eq!(
            time.map(|time| time.to_string()).as_deref(),
            Some("2025-11-24T16:00:00Z")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn absurd_and_malformed_dates_are_not_trusted() {
        let clock = Clock::new();
        for text in [
            "",
            "now",
            "1764000000",
            "Mon, 01 Jan 0001 00:00:00 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Fri, 01 Jan 2100 00:00:00 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Mon, 24 Nov 2025",
        ] {
            for _ in 0..5 {
                assert_eq!(
                    clock.observe(Some(text)),
                    (DateCheck::Implausible, None),
                    "{text}"
                );
            }
        }
        assert_eq!(clock.observe(None), (DateCheck::Implausible, None));
    }
}
