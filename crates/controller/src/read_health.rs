//! Whether anything can be read from AWS at all, which is part of `/readyz`.
//!
//! A region that is down, a profile without permissions or a slow hour do not make a replica unready: other regions
//! continue, and a new pod would see no more than this one. Only a replica that has tried often, and has read nothing
//! anywhere for a long time, is not ready. Conditions and metrics show problems earlier and in more detail.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secret_rotation_core::aws_error::{ErrorClass, ErrorGroup};
use tokio::time::Instant;

use crate::clock;

/// The minimum time without any successful read.
const LONG: Duration = Duration::from_mins(15);

/// The minimum number of failures during that time.
const OFTEN: u32 = 5;

/// The results of the latest calls to AWS.
#[derive(Debug, Default)]
pub(crate) struct ReadHealth {
    unreadable: Mutex<Option<Unreadable>>,
}

/// The time since which nothing was read.
#[derive(Clone, Copy, Debug)]
struct Unreadable {
    since: Instant,
    failures: u32,
    last: ErrorClass,
}

impl ReadHealth {
    /// Records how a call ended. `None` means that it succeeded.
    pub(crate) fn record_call(&self, class: Option<ErrorClass>) {
        let mut unreadable = self.lock();
        *unreadable = match class {
            Some(class) if reads_nothing(class) => {
                let (since, failures) = unreadable.map_or_else(
                    || (clock::now(), 0),
                    |unreadable| (unreadable.since, unreadable.failures),
                );
                Some(Unreadable {
                    since,
                    failures: failures.saturating_add(1),
                    last: class,
                })
            }
            Some(_) | None => None,
        };
    }

    /// Clears the results. A replica that makes no calls is ready to start.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    /// Returns why this replica cannot do its job, if there is a reason.
    pub(crate) fn problem(&self) -> Option<String> {
        let Unreadable {
            since,
            failures,
            last,
        } = (*self.lock())?;
        let passed = clock::now().saturating_duration_since(since);
        (passed >= LONG && failures >= OFTEN).then(|| {
            let minutes = passed.as_secs() / 60;
            format!(
                "nothing could be read from AWS for {minutes} minutes, in any region of any profile; the last call failed: {}",
                last.sentence()
            )
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Unreadable>> {
        self.unreadable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a call with this error read nothing. A refusal of one request is an answer about one secret.
const fn reads_nothing(class: ErrorClass) -> bool {
    !matches!(class.group(), ErrorGroup::Answered)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn after(calls: &[Option<ErrorClass>], apart: Duration) -> Option<String> {
        let read_health = ReadHealth::default();
        for call in calls {
            read_health.record_call(*call);
            tokio::time::advance(apart).await;
        }
        read_health.problem()
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_reads_nothing_for_a_long_time_is_not_ready_and_reports_why() {
        let failures = [Some(ErrorClass::Credentials); 6];
        let why = after(&failures, Duration::from_mins(3)).await;
        assert_eq!(
            why.as_deref(),
            Some(
                "nothing could be read from AWS for 18 minutes, in any region of any profile; the last call failed: no usable AWS credentials"
            )
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_answer_from_anywhere_is_enough_to_be_ready() {
        for good in [None, Some(ErrorClass::Gone), Some(ErrorClass::Refused)] {
            let mut calls = vec![Some(ErrorClass::Unreachable); 20];
            calls.push(good);
            assert_eq!(after(&calls, Duration::from_mins(3)).await, None);
            calls.extend([Some(ErrorClass::Unexpected); 4]);
            assert_eq!(after(&calls, Duration::from_mins(1)).await, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn few_or_recent_failures_make_no_replica_unready() {
        let one = [Some(ErrorClass::Denied)];
        assert_eq!(after(&one, Duration::from_hours(5)).await, None, "few");
        let many = [Some(ErrorClass::Denied); 100];
        assert_eq!(after(&many, Duration::from_secs(1)).await, None, "short");
        assert_eq!(after(&[], Duration::ZERO).await, None, "nothing is asked");
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_gave_up_its_lease_is_ready() {
        let read_health = ReadHealth::default();
        for _ in 0..10 {
            read_health.record_call(Some(ErrorClass::Unreachable));
            tokio::time::advance(Duration::from_mins(3)).await;
        }
        assert!(read_health.problem().is_some());
        read_health.forget();
        assert_eq!(read_health.problem(), None);
    }
}
