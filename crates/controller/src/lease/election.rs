//! Decides what to do about the Lease, from its content and how long it has not changed.
//!
//! The timestamps of other replicas are never compared with the local clock. The lease of another replica has expired
//! when this process has seen the same resourceVersion for the whole term of that lease, as in client-go.

use std::time::Duration;

use tokio::time::Instant;

/// How long other replicas respect a lease that is not renewed.
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(15);

/// How long the holder trusts a renewal, counted from before it was sent. It is clearly shorter than [`LEASE_DURATION`], so
/// that the holder stops before another replica may begin.
pub(crate) const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// Maximum time to wait for the lease of another replica, whatever term it has.
const LONGEST_TERM: Duration = Duration::from_mins(1);

/// A Lease that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaseRecord {
    /// The holder; `None` if the lease was released.
    pub holder: Option<String>,
    /// The resourceVersion, which changes with every write.
    pub resource_version: String,
    /// The term that its holder wrote.
    pub term: Option<Duration>,
}

/// Since when this process has seen the same resourceVersion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObservedRecord {
    /// The resourceVersion.
    pub resource_version: String,
    /// When this process first saw it.
    pub since: Instant,
}

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseAction {
    /// The Lease does not exist: create it.
    Create,
    /// This replica holds the Lease: renew it.
    Renew,
    /// No replica holds the Lease any more: take it, by compare-and-swap.
    Take,
    /// Another replica holds the Lease: keep watching it.
    Watch,
}

/// Updates the observation of the Lease with a new reading.
pub(crate) fn observe(
    last: Option<ObservedRecord>,
    record: Option<&LeaseRecord>,
    now: Instant,
) -> Option<ObservedRecord> {
    let record = record?;
    let same = last.filter(|last| last.resource_version == record.resource_version);
    Some(same.unwrap_or_else(|| ObservedRecord {
        resource_version: record.resource_version.clone(),
        since: now,
    }))
}

/// Returns the next move of the replica `own`.
pub(crate) fn next_action(
    own: &str,
    record: Option<&LeaseRecord>,
    observed: Option<&ObservedRecord>,
    now: Instant,
) -> LeaseAction {
    let Some(record) = record else {
        return LeaseAction::Create;
    };
    match record.holder.as_deref() {
        None | Some("") => LeaseAction::Take,
        Some(holder) if holder == own => LeaseAction::Renew,
        Some(_) if is_expired(record, observed, now) => LeaseAction::Take,
        Some(_) => LeaseAction::Watch,
    }
}

fn is_expired(record: &LeaseRecord, still: Option<&ObservedRecord>, now: Instant) -> bool {
    let term = record
        .term
        .unwrap_or(LEASE_DURATION)
        .clamp(LEASE_DURATION, LONGEST_TERM);
    still.is_some_and(|still| {
        still.resource_version == record.resource_version
            && now.saturating_duration_since(still.since) > term
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_lease_is_created_and_a_released_one_taken() {
        let now = Instant::now();
        assert_eq!(next_action("me", None, None, now), LeaseAction::Create);
        assert_eq!(
            next_action("me", Some(&held_by(None)), None, now),
            LeaseAction::Take
        );
        assert_eq!(
            next_action("me", Some(&held_by(Some(""))), None, now),
            LeaseAction::Take
        );
    }

    #[test]
    fn an_own_lease_is_renewed_however_old_it_is() {
        let now = Instant::now();
        let record = held_by(Some("me"));
        assert_eq!(
            next_action(
                "me",
                Some(&record),
                Some(&still(now)),
                now + LEASE_DURATION * 4
            ),
            LeaseAction::Renew
        );
    }

    #[test]
    fn a_foreign_lease_is_taken_only_after_standing_still_for_its_whole_term() {
        let now = Instant::now();
        let record = held_by(Some("other"));
        assert_eq!(
            next_action("me", Some(&record), None, now + LEASE_DURATION * 4),
            LeaseAction::Watch
        );
        assert_eq!(
            next_action("me", Some(&record), Some(&still(now)), now + LEASE_DURATION),
            LeaseAction::Watch
        );
        assert_eq!(
            next_action(
                "me",
                Some(&record),
                Some(&still(now)),
                now + LEASE_DURATION + Duration::from_millis(1)
            ),
            LeaseAction::Take
        );
    }

    #[test]
    fn a_renewal_by_another_starts_the_watch_again() {
        let now = Instant::now();
        let renewed = LeaseRecord {
            resource_version: "2".to_owned(),
            ..held_by(Some("other"))
        };
        let watched = observe(Some(still(now)), Some(&renewed), now + LEASE_DURATION * 2);
        assert_eq!(
            watched.as_ref().map(|still| still.since),
            Some(now + LEASE_DURATION * 2)
        );
        assert_eq!(
            next_action(
                "me",
                Some(&renewed),
                watched.as_ref(),
                now + LEASE_DURATION * 2
            ),
            LeaseAction::Watch
        );
    }

    #[test]
    fn an_absurd_foreign_term_is_bounded_on_both_sides() {
        let now = Instant::now();
        let endless = LeaseRecord {
            term: Some(Duration::MAX),
            ..held_by(Some("other"))
        };
        assert_eq!(
            next_action(
                "me",
                Some(&endless),
                Some(&still(now)),
                now + Duration::from_secs(61)
            ),
            LeaseAction::Take
        );
        let none = LeaseRecord {
            term: Some(Duration::ZERO),
            ..held_by(Some("other"))
        };
        assert_eq!(
            next_action(
                "me",
                Some(&none),
                Some(&still(now)),
                now + Duration::from_secs(1)
            ),
            LeaseAction::Watch
        );
    }

    #[test]
    fn the_holder_stops_trusting_its_lease_before_others_may_take_it() {
        assert!(RENEW_DEADLINE < LEASE_DURATION);
    }

    fn held_by(holder: Option<&str>) -> LeaseRecord {
        LeaseRecord {
            holder: holder.map(str::to_owned),
            resource_version: "1".to_owned(),
            term: Some(LEASE_DURATION),
        }
    }

    fn still(since: Instant) -> ObservedRecord {
        ObservedRecord {
            resource_version: "1".to_owned(),
            since,
        }
    }
}
