//! The last check before a request is sent: every fact is fresh and of the current term of the lease, and the process
//! is not shutting down.

use std::time::Duration;

use tokio::time::Instant;

use crate::lease::Claim;

/// Maximum age of the facts that a write rests on.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// When the facts of a step were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Freshness {
    /// When the first read from the API server was about to be sent.
    pub read: Instant,
    /// When the first request of the look was about to be sent.
    pub looked: Instant,
    /// The term of the lease in which the step began.
    pub term: u64,
}

/// The state of the process at the moment of the check.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessState {
    /// The monotonic clock.
    pub now: Instant,
    /// The lease, if this replica holds it now.
    pub claim: Option<Claim>,
    /// Whether the process is shutting down.
    pub is_ending: bool,
}

impl Freshness {
    /// Returns why the request must not be sent, if there is a reason. The intent stays in the journal, and the step
    /// starts again.
    pub(super) fn check(&self, moment: &ProcessState) -> Result<(), &'static str> {
        if moment.is_ending {
            return Err("the process is shutting down");
        }
        match moment.claim {
            Some(claim) if claim.term == self.term && moment.now < claim.until => {}
            Some(_) | None => {
                return Err(
                    "this replica does not hold the lease, or lost it since this step began",
                );
            }
        }
        let oldest = self.read.min(self.looked);
        if moment.now.saturating_duration_since(oldest) > LIMIT {
            return Err("the facts of this step are too old");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_whose_reads_are_fresh_may_write() {
        let now = Instant::now();
        assert_eq!(freshness(now).check(&moment(now + LIMIT)), Ok(()));
    }

    #[test]
    fn the_oldest_read_counts() {
        let now = Instant::now();
        let late = moment(now + LIMIT + Duration::from_millis(1));
        assert!(freshness(now).check(&late).is_err());
        let looked_again = Freshness {
            looked: late.now,
            ..freshness(now)
        };
        assert!(looked_again.check(&late).is_err());
        let read_again = Freshness {
            read: late.now,
            ..freshness(now)
        };
        assert!(read_again.check(&late).is_err());
    }

    #[test]
    fn a_step_of_another_term_may_not_write() {
        let now = Instant::now();
        for claim in [
            None,
            Some(claim(now, 2)),
            Some(Claim {
                until: now,
                ..claim(now, 1)
            }),
        ] {
            assert!(
                freshness(now)
                    .check(&ProcessState {
                        claim,
                        ..moment(now)
                    })
                    .is_err(),
                "{claim:?}"
            );
        }
    }

    #[test]
    fn nothing_is_written_once_the_shutdown_has_begun() {
        let now = Instant::now();
        assert!(
            freshness(now)
                .check(&ProcessState {
                    is_ending: true,
                    ..moment(now)
                })
                .is_err()
        );
    }

    const fn freshness(now: Instant) -> Freshness {
        Freshness {
            read: now,
            looked: now,
            term: 1,
        }
    }

    fn moment(now: Instant) -> ProcessState {
        ProcessState {
            now,
            claim: Some(claim(now, 1)),
            is_ending: false,
        }
    }

    fn claim(now: Instant, term: u64) -> Claim {
        Claim {
            term,
            until: now + Duration::from_mins(1),
        }
    }
}
