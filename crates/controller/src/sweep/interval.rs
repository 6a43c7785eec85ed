//! How often a region is swept, so that one sweeper serves every policy.

use std::hash::Hash;
use std::time::Duration;

use secret_rotation_core::ownership::BoundPolicy;

use crate::jitter::spread;

/// The first pause after an incomplete sweep. It doubles with each failure, up to the normal interval.
const FIRST_RETRY: Duration = Duration::from_secs(15);

/// Returns how often a policy is checked.
pub(crate) fn check_interval(bound_policy: &BoundPolicy) -> Duration {
    let policy = &bound_policy.policy;
    policy
        .check_interval
        .max(bound_policy.profile.min_check_interval)
}

/// Returns the time between two sweeps: the shortest interval that a policy asks for, but no less than that of the
/// profile. Up to a twentieth is subtracted, derived from `seed`, so that sweepers with the same interval drift
/// apart.
pub(crate) fn sweep_interval(
    intervals: impl Iterator<Item = Duration>,
    shortest: Duration,
    seed: &str,
) -> Option<Duration> {
    let interval = intervals.min()?.max(shortest);
    let drift = interval / 20 * u32::from(digest(seed)) / 256;
    Some(interval.saturating_sub(drift).max(shortest))
}

/// Returns the time until the next sweep after this number of consecutive incomplete sweeps. It is spread by `seed`,
/// so that sweepers that failed together do not retry together.
pub(crate) fn next_delay(interval: Duration, failures: u32, seed: impl Hash) -> Duration {
    match failures.checked_sub(1) {
        None => interval,
        Some(doublings) => {
            let pause = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(doublings));
            spread(pause.min(interval), (seed, failures)).min(interval)
        }
    }
}

/// Returns one byte of the FNV-1a hash of a text. Any stable hash that spreads well is sufficient.
fn digest(text: &str) -> u8 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.to_be_bytes()
        .iter()
        .fold(0, |folded, byte| folded ^ byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_interval_sets_the_pace_within_the_bounds_of_the_profile() {
        let minutes = |all: &[u64]| {
            all.iter()
                .map(|minutes| Duration::from_mins(*minutes))
                .collect::<Vec<_>>()
        };
        let paced =
            |all: &[u64]| sweep_interval(minutes(all).into_iter(), Duration::from_mins(2), "uid");
        assert_eq!(paced(&[]), None);
        let five = paced(&[60, 5]).expect("an interval");
        assert!(
            five <= Duration::from_mins(5) && five >= Duration::from_secs(285),
            "{five:?}"
        );
        assert_eq!(paced(&[1]), Some(Duration::from_mins(2)));
        assert_eq!(paced(&[60, 5]), paced(&[5]), "derived, not drawn");
    }

    #[test]
    fn failures_are_retried_within_the_interval_and_more_and_more_slowly() {
        let interval = Duration::from_mins(5);
        for (failures, least) in [(0, 300), (1, 15), (2, 30), (3, 60), (9, 300), (99, 300)] {
            let pause = next_delay(interval, failures, "uid");
            let least = Duration::from_secs(least);
            assert!(
                pause >= least && pause <= (least * 5 / 4).min(interval),
                "{failures}: {pause:?}"
            );
            assert_eq!(
                pause,
                next_delay(interval, failures, "uid"),
                "derived, not drawn"
            );
        }
        assert_ne!(
            next_delay(interval, 2, "uid"),
            next_delay(interval, 2, "other")
        );
    }
}
