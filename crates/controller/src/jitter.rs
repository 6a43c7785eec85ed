//! Spreads retries. The spread is derived from a seed and not random: the same seed always waits the same time.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::Duration;

/// The fraction of a pause that may be added: at most a quarter.
const PARTS: u64 = 4;

/// Returns the pause plus up to a quarter of it.
pub(crate) fn spread(pause: Duration, seed: impl Hash) -> Duration {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    let most = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) / PARTS;
    pause + Duration::from_millis(hasher.finish() % (most + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_by_a_quarter_at_most_and_always_by_the_same() {
        let pause = Duration::from_secs(2);
        for seed in 0..100 {
            let spread = super::spread(pause, seed);
            assert!(spread >= pause && spread <= pause * 5 / 4, "{spread:?}");
            assert_eq!(spread, super::spread(pause, seed));
        }
    }

    #[test]
    fn different_seeds_are_spread() {
        let waits: std::collections::BTreeSet<_> = (0..100)
            .map(|seed| spread(Duration::from_mins(1), seed))
            .collect();
        assert!(waits.len() > 90, "{}", waits.len());
        assert_eq!(spread(Duration::ZERO, 1), Duration::ZERO);
    }
}
