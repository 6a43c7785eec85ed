//! The clock of the simulator: AWS's time, which can run faster than real time, jump, or stop.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A clock that starts at a given time and runs at a rate.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    then: Instant,
    at: Timestamp,
    rate: f64,
}

impl Clock {
    /// Creates a clock that starts at `at`. With a rate of 0 it does not move.
    pub(crate) fn new(at: Timestamp, rate: f64) -> Self {
        Self {
            then: monotonic(),
            at,
            rate: rate.max(0.0),
        }
    }

    /// Returns AWS's time in milliseconds, the precision that AWS prints.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = monotonic().duration_since(self.then).as_secs_f64() * self.rate;
        let now = SignedDuration::try_from_secs_f64(passed)
            .ok()
            .and_then(|by| self.at.checked_add(by).ok())
            .unwrap_or(self.at);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Moves the clock forward or back. Ignores a jump beyond the range of [`Timestamp`].
    pub(crate) fn jump(&mut self, seconds: f64) {
        if let Some(then) = self.after(seconds) {
            *self = Self::new(then, self.rate);
        }
    }

    /// Returns the time `seconds` from now. `None` if it is beyond the range of [`Timestamp`].
    pub(crate) fn after(&self, seconds: f64) -> Option<Timestamp> {
        let by = SignedDuration::try_from_secs_f64(seconds).ok()?;
        self.now().checked_add(by).ok()
    }

    /// Changes the rate.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        *self = Self::new(self.now(), rate);
    }

    /// Returns the seconds of this clock per real second.
    pub(crate) const fn rate(&self) -> f64 {
        self.rate
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the product does not read this clock"
)]
fn monotonic() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "without a start time, the simulator starts now"
)]
pub(crate) fn today() -> Timestamp {
    Timestamp::now()
}
