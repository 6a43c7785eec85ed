//! The clock of one service in one region, as far as its answers agree about it.
//!
//! Signatures carry this time too, instead of the SDK's own correction of the local clock: that one believes every
//! `Date` at once, keeps it for a whole client, and panics while it signs if the date was absurd enough.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use aws_smithy_async::time::TimeSource;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use secret_rotation_core::time::{AgreedTime, AwsTime, DateCheck};
use tokio::time::Instant;

/// An [`AgreedTime`] on tokio's clock. Cheap to clone: clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    agreement: Arc<Mutex<AgreedTime>>,
}

impl Clock {
    /// Knows nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            agreement: Arc::default(),
        }
    }

    /// Judges the `Date` header of an answer that arrived just now; the time, if the header is believed.
    pub(crate) fn observe(&self, date: Option<&str>) -> (DateCheck, Option<AwsTime>) {
        let shown = date.and_then(parse);
        let heard = self.lock().observe(shown, self.origin.elapsed());
        let believed = shown.filter(|_| heard.is_believed()).map(AwsTime::new);
        (heard, believed)
    }

    /// The agreed time, carried on by the local monotonic clock; `None` = nothing is agreed yet.
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
    /// What requests are signed with. Before anything is agreed there is only the local clock, and a signature
    /// that is wrong by it is refused, with a date that counts.
    #[expect(
        clippy::disallowed_methods,
        reason = "signatures are no decision, and nothing better is known yet"
    )]
    fn now(&self) -> SystemTime {
        let agreed = self.now();
        agreed.map_or_else(SystemTime::now, |agreed| agreed.timestamp().into())
    }
}

/// A `Date` header (RFC 9110 § 5.6.7, a subset of RFC 2822).
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
        let (heard, time) = clock.observe(date);
        assert_eq!(heard, DateCheck::Adopted);
        assert_eq!(
            time.map(|time| time.to_string()).as_deref(),
            Some("2025-11-24T16:00:00Z")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn absurd_and_torn_dates_are_none() {
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
