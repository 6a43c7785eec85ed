//! The simulator's own clock: AWS's time, which may run faster than ours, jump, or stand still.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A clock that runs at a rate from a starting point.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    then: Instant,
    at: Timestamp,
    rate: f64,
}

impl Clock {
    /// Starts at `at`; a rate of 0 stands still.
    pub(crate) fn new(at: Timestamp, rate: f64) -> Self {
        Self {
            then: monotonic(),
            at,
            rate: rate.max(0.0),
        }
    }

    /// AWS's time, to the millisecond, as AWS prints it.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = monotonic().duration_since(self.then).as_secs_f64() * self.rate;
        let now = SignedDuration::try_from_secs_f64(passed)
            .ok()
            .and_then(|by| self.at.checked_add(by).ok())
            .unwrap_or(self.at);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Moves the clock forward, or back; a jump that leaves the calendar moves nothing.
    pub(crate) fn jump(&mut self, seconds: f64) {
        if let Some(then) = self.after(seconds) {
            *self = Self::new(then, self.rate);
        }
    }

    /// The time so many seconds from now, if there is such a time.
    pub(crate) fn after(&self, seconds: f64) -> Option<Timestamp> {
        let by = SignedDuration::try_from_secs_f64(seconds).ok()?;
        self.now().checked_add(by).ok()
    }

    /// Goes on at another rate.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        *self = Self::new(self.now(), rate);
    }

    /// How many seconds of this clock pass in one of ours.
    pub(crate) const fn rate(&self) -> f64 {
        self.rate
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulator is a world of its own; nothing of the product reads this clock"
)]
fn monotonic() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulator starts at today's date unless told otherwise"
)]
pub(crate) fn today() -> Timestamp {
    Timestamp::now()
}
