//! Decides what to do about the Lease, from its content and how long it has not changed.
//!
//! The timestamps of other replicas are never compared with the local clock. The lease of another replica has expired
//! when this process has seen the same resourceVersion for the whole term of that lease, as in client-go.

use std::time::Duration;

use tokio::time::Instant;

/// How long other replicas respect a lease that is not renewed.
pub(crate) const TERM: Duration = Duration::from_secs(15);

/// How long the holder trusts a renewal, counted from before it was sent. It is clearly shorter than [`TERM`], so
/// that the holder stops before another replica may begin.
pub(crate) const TRUST: Duration = Duration::from_secs(10);

/// Maximum time to wait for the lease of another replica, whatever term it has.
const LONGEST_TERM: Duration = Duration::from_mins(1);

/// A Lease that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The holder; `None` if the lease was released.
    pub holder: Option<String>,
    /// The resourceVersion, which changes with every write.
    pub resource_version: String,
    /// The term that its holder wrote.
    pub term: Option<Duration>,
}

/// Since when this process has seen the same resourceVersion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stillness {
    /// The resourceVersion.
    pub resource_version: String,
    /// When this process first saw it.
    pub since: Instant,
}

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
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
    last: Option<Stillness>,
    reading: Option<&Reading>,
    now: Instant,
) -> Option<Stillness> {
    let reading = reading?;
    let same = last.filter(|last| last.resource_version == reading.resource_version);
    Some(same.unwrap_or_else(|| Stillness {
        resource_version: reading.resource_version.clone(),
        since: now,
    }))
}

/// Returns the next move of the replica `own`.
pub(crate) fn judge(
    own: &str,
    reading: Option<&Reading>,
    still: Option<&Stillness>,
    now: Instant,
) -> Move {
    let Some(reading) = reading else {
        return Move::Create;
    };
    match reading.holder.as_deref() {
        None | Some("") => Move::Take,
        Some(holder) if holder == own => Move::Renew,
        Some(_) if has_run_out(reading, still, now) => Move::Take,
        Some(_) => Move::Watch,
    }
}

fn has_run_out(reading: &Reading, still: Option<&Stillness>, now: Instant) -> bool {
    let term = reading.term.unwrap_or(TERM).clamp(TERM, LONGEST_TERM);
    still.is_some_and(|still| {
        still.resource_version == reading.resource_version
            && now.saturating_duration_since(still.since) > term
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_lease_is_created_and_a_released_one_taken() {
        let now = Instant::now();
        assert_eq!(judge("me", None, None, now), Move::Create);
        assert_eq!(judge("me", Some(&held_by(None)), None, now), Move::Take);
        assert_eq!(judge("me", Some(&held_by(Some(""))), None, now), Move::Take);
    }

    #[test]
    fn an_own_lease_is_renewed_however_old_it_is() {
        let now = Instant::now();
        let reading = held_by(Some("me"));
        assert_eq!(
            judge("me", Some(&reading), Some(&still(now)), now + TERM * 4),
            Move::Renew
        );
    }

    #[test]
    fn a_foreign_lease_is_taken_only_after_standing_still_for_its_whole_term() {
        let now = Instant::now();
        let reading = held_by(Some("other"));
        assert_eq!(
            judge("me", Some(&reading), None, now + TERM * 4),
            Move::Watch
        );
        assert_eq!(
            judge("me", Some(&reading), Some(&still(now)), now + TERM),
            Move::Watch
        );
        assert_eq!(
            judge(
                "me",
                Some(&reading),
                Some(&still(now)),
                now + TERM + Duration::from_millis(1)
            ),
            Move::Take
        );
    }

    #[test]
    fn a_renewal_by_another_starts_the_watch_again() {
        let now = Instant::now();
        let renewed = Reading {
            resource_version: "2".to_owned(),
            ..held_by(Some("other"))
        };
        let watched = observe(Some(still(now)), Some(&renewed), now + TERM * 2);
        assert_eq!(
            watched.as_ref().map(|still| still.since),
            Some(now + TERM * 2)
        );
        assert_eq!(
            judge("me", Some(&renewed), watched.as_ref(), now + TERM * 2),
            Move::Watch
        );
    }

    #[test]
    fn an_absurd_foreign_term_is_bounded_on_both_sides() {
        let now = Instant::now();
        let endless = Reading {
            term: Some(Duration::MAX),
            ..held_by(Some("other"))
        };
        assert_eq!(
            judge(
                "me",
                Some(&endless),
                Some(&still(now)),
                now + Duration::from_secs(61)
            ),
            Move::Take
        );
        let none = Reading {
            term: Some(Duration::ZERO),
            ..held_by(Some("other"))
        };
        assert_eq!(
            judge(
                "me",
                Some(&none),
                Some(&still(now)),
                now + Duration::from_secs(1)
            ),
            Move::Watch
        );
    }

    #[test]
    fn the_holder_stops_trusting_its_lease_before_others_may_take_it() {
        assert!(TRUST < TERM);
    }

    fn held_by(holder: Option<&str>) -> Reading {
        Reading {
            holder: holder.map(str::to_owned),
            resource_version: "1".to_owned(),
            term: Some(TERM),
        }
    }

    fn still(since: Instant) -> Stillness {
        Stillness {
            resource_version: "1".to_owned(),
            since,
        }
    }
}
