//! A token bucket on tokio's clock: spreads requests, and knows nothing of what they are.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Tokens that come back at a steady rate, up to a burst.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    burst: f64,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket; a rate of zero counts as one.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let level = Level {
            tokens: f64::from(burst),
            at: Instant::now(),
        };
        Self {
            per_second: f64::from(per_second.max(1)),
            burst: f64::from(burst),
            level: Mutex::new(level),
        }
    }

    /// Waits for one token. Callers are served in the order in which they ask.
    pub(crate) async fn take(&self) {
        let wait = self.spend(1);
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Takes tokens that may not be there yet; returns when they will be. Retries are paid so, afterwards.
    pub(crate) fn spend(&self, count: u32) -> Duration {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = now.duration_since(level.at).as_secs_f64() * self.per_second;
        level.tokens = (level.tokens + earned).min(self.burst) - f64::from(count);
        level.at = now;
        Duration::from_secs_f64((-level.tokens / self.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let bucket = Bucket::new(10, 5);
        let start = Instant::now();
        for _ in 0..25 {
            bucket.take().await;
        }
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_delay_the_next_request() {
        let bucket = Bucket::new(1, 1);
        bucket.take().await;
        bucket.spend(2);
        let start = Instant::now();
        bucket.take().await;
        assert_eq!(start.elapsed().as_secs(), 3);
    }
}
