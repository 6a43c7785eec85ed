//! A token bucket on tokio's clock. It limits the rate of requests and does not know what they are.
//!
//! Two kinds of callers share it. Sweeps [`take`](TokenBucket::take) one token after the other and wait for each.
//! Operations wait in a [queue](crate::step_queue) and [take all](TokenBucket::try_take_all) tokens of a step at once,
//! or none. The bucket reserves the tokens that the queue needs, except for one token in [`TAKER_SHARE`], so that
//! neither kind of caller waits indefinitely.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// One token in this many goes to callers of [`TokenBucket::take`], however long the queue is.
const TAKER_SHARE: f64 = 4.0;

/// A missing part of a token below this is a rounding error.
const EPSILON: f64 = 1e-6;

/// Tokens that come back at a steady rate, up to a burst.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    per_second: f64,
    burst: f64,
    level: Mutex<Level>,
    /// Serves callers of [`TokenBucket::take`] in the order of their calls: only the first caller looks at the level.
    turn: tokio::sync::Mutex<()>,
    /// Notified when tokens come back or the queue needs fewer.
    eased: Notify,
}

#[derive(Debug)]
struct Level {
    tokens: f64,
    at: Instant,
    /// The tokens that the queue needs in total.
    earmarked: f64,
    /// The tokens that callers of [`TokenBucket::take`] may take of these.
    share: f64,
}

impl TokenBucket {
    /// Creates a full bucket. A rate of zero counts as one.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let level = Level {
            tokens: f64::from(burst),
            at: Instant::now(),
            earmarked: 0.0,
            share: 1.0,
        };
        Self {
            per_second: f64::from(per_second.max(1)),
            burst: f64::from(burst),
            level: Mutex::new(level),
            turn: tokio::sync::Mutex::new(()),
            eased: Notify::new(),
        }
    }

    /// Waits for one token. Callers are served in the order of their calls.
    pub(crate) async fn take(&self) {
        let _turn = self.turn.lock().await;
        while let Err(wait) = self.try_take() {
            tokio::select! {
                () = sleep(wait) => {}
                () = self.eased.notified() => {}
            }
        }
    }

    /// Takes tokens without waiting, even if they are not available. The next caller waits longer. Used for retries and
    /// for requests that were not reserved.
    pub(crate) fn overdraw(&self, count: u32) {
        self.refilled().tokens -= f64::from(count);
    }

    /// Returns the time until `count` tokens are available. Zero if they are available now.
    pub(crate) fn wait_for(&self, count: u32) -> Duration {
        let level = self.refilled();
        self.until(f64::from(count) - level.tokens)
    }

    /// Takes `count` tokens at once if they are available. Returns `false` if it took none.
    pub(crate) fn try_take_all(&self, count: u32) -> bool {
        let mut level = self.refilled();
        let enough = level.tokens + EPSILON >= f64::from(count);
        if enough {
            level.tokens -= f64::from(count);
        }
        enough
    }

    /// Puts unused tokens back.
    pub(crate) fn put_back(&self, count: u32) {
        if count > 0 {
            let mut level = self.refilled();
            level.tokens = (level.tokens + f64::from(count)).min(self.burst);
            drop(level);
            self.eased.notify_one();
        }
    }

    /// Sets the number of tokens that the queue needs in total. At most half a burst is reserved: a queue that waits
    /// for something other than these tokens must not block all other callers.
    pub(crate) fn earmark(&self, count: u32) {
        let wanted = f64::from(count).min(self.burst / 2.0);
        let mut level = self.refilled();
        let eased = level.earmarked > wanted;
        level.earmarked = wanted;
        drop(level);
        if eased {
            self.eased.notify_one();
        }
    }

    fn try_take(&self) -> Result<(), Duration> {
        let mut level = self.refilled();
        let (free, share) = (level.tokens - level.earmarked, level.share);
        if free + EPSILON >= 1.0 {
            level.tokens -= 1.0;
            return Ok(());
        }
        if share + EPSILON >= 1.0 && level.tokens + EPSILON >= 1.0 {
            level.tokens -= 1.0;
            level.share = 0.0;
            return Ok(());
        }
        let shared = self
            .until((1.0 - share) * TAKER_SHARE)
            .max(self.until(1.0 - level.tokens));
        Err(self.until(1.0 - free).min(shared))
    }

    /// Returns the time in which `missing` tokens come back.
    fn until(&self, missing: f64) -> Duration {
        if missing <= EPSILON {
            return Duration::ZERO;
        }
        // Timers have a resolution of one millisecond. A timer that fires too early would find no token.
        Duration::from_secs_f64(missing / self.per_second).max(Duration::from_millis(1))
    }

    fn refilled(&self) -> MutexGuard<'_, Level> {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = now.duration_since(level.at).as_secs_f64() * self.per_second;
        level.tokens = (level.tokens + earned).min(self.burst);
        level.share = (level.share + earned / TAKER_SHARE).min(1.0);
        level.at = now;
        level
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let bucket = TokenBucket::new(10, 5);
        let start = Instant::now();
        for _ in 0..25 {
            bucket.take().await;
        }
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_delay_the_next_request() {
        let bucket = TokenBucket::new(1, 1);
        bucket.take().await;
        bucket.overdraw(2);
        let start = Instant::now();
        bucket.take().await;
        assert_eq!(start.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_taken_together_or_not_at_all() {
        let bucket = TokenBucket::new(1, 4);
        assert!(bucket.try_take_all(3) && !bucket.try_take_all(3));
        assert_eq!(bucket.wait_for(3), Duration::from_secs(2));
        bucket.put_back(2);
        assert!(bucket.try_take_all(3) && !bucket.try_take_all(1));
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_a_burst_cannot_be_put_back() {
        let bucket = TokenBucket::new(1, 4);
        bucket.put_back(9);
        assert_eq!(bucket.wait_for(5), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_gets_a_quarter_while_the_queue_waits_and_everything_afterwards() {
        let bucket = Arc::new(TokenBucket::new(4, 4));
        assert!(bucket.try_take_all(4));
        bucket.earmark(1000);
        let taken = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let (sweep, count) = (Arc::clone(&bucket), Arc::clone(&taken));
        let sweep = tokio::spawn(async move {
            loop {
                sweep.take().await;
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
        let taken = move || taken.swap(0, std::sync::atomic::Ordering::Relaxed);
        // The queue takes tokens as soon as they are available.
        for _ in 0..1000 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = bucket.try_take_all(2);
        }
        let shared = taken();
        assert!((95..=105).contains(&shared), "{shared} in 100 s");
        bucket.earmark(0);
        tokio::time::sleep(Duration::from_secs(100)).await;
        let alone = taken();
        assert!((395..=405).contains(&alone), "{alone} in 100 s");
        sweep.abort();
    }
}
