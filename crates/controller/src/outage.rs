//! Limits the operations in a region that does not answer, so that it does not occupy the workers that other regions
//! need.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// Maximum number of steps in progress in one region. It leaves some workers to the other regions, whatever this
/// region does.
const MAX_STEPS: usize = 12;

/// The maximum once a step there has failed, until one succeeds.
const MAX_STEPS_AFTER_FAILURE: usize = 2;

/// The number of consecutive failures that count as an outage. From then on, one step at a time checks whether it is
/// over.
const OUTAGE_FAILURES: u32 = 3;

/// The first pause during an outage. It doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// Maximum pause during an outage.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// The pause while the maximum number of steps is in the region.
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// Whether the region of a profile answers the steps of operations.
#[derive(Debug, Default)]
pub(crate) struct RegionOutage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    in_progress: usize,
    failures: u32,
    until: Option<Instant>,
}

/// One step that is in the region. When it is dropped, it records whether AWS answered.
#[derive(Debug)]
pub(crate) struct StepGuard {
    outage: Arc<RegionOutage>,
    answered: Option<bool>,
}

impl RegionOutage {
    /// Admits a step to the region.
    ///
    /// # Errors
    ///
    /// Returns how long to wait if the region has an outage or no room for another step.
    pub(crate) fn begin_step(self: &Arc<Self>) -> Result<StepGuard, Duration> {
        let now = clock::now();
        let mut state = self.lock();
        if let Some(until) = state.until.filter(|until| now < *until) {
            return Err(until - now);
        }
        let room = match state.failures {
            0 => MAX_STEPS,
            failures if failures < OUTAGE_FAILURES => MAX_STEPS_AFTER_FAILURE,
            _ => 1,
        };
        if state.in_progress >= room {
            // In a region that does not answer, the steps in progress find out within a few seconds.
            return Err(if state.failures == 0 {
                BUSY_PAUSE
            } else {
                FIRST_PAUSE
            });
        }
        state.in_progress += 1;
        drop(state);
        Ok(StepGuard {
            outage: Arc::clone(self),
            answered: None,
        })
    }

    fn end_step(&self, answered: Option<bool>) {
        let mut state = self.lock();
        state.in_progress = state.in_progress.saturating_sub(1);
        match answered {
            Some(true) => {
                state.failures = 0;
                state.until = None;
            }
            Some(false) => {
                state.failures = state.failures.saturating_add(1);
                let doublings = state.failures.checked_sub(OUTAGE_FAILURES);
                state.until = doublings.map(|doublings| clock::now() + pause_after(doublings));
            }
            None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StepGuard {
    /// Records whether AWS answered a request. One request without an answer makes the whole step count as
    /// unanswered.
    pub(crate) fn record_answer(&mut self, answered: bool) {
        self.answered = Some(self.answered.unwrap_or(true) && answered);
    }
}

impl Drop for StepGuard {
    fn drop(&mut self) {
        self.outage.end_step(self.answered);
    }
}

fn pause_after(doublings: u32) -> Duration {
    (FIRST_PAUSE * 2_u32.pow(doublings.min(6))).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_region_never_holds_all_workers() {
        let outage = Arc::new(RegionOutage::default());
        let visits: Vec<_> = (0..16).map_while(|_| outage.begin_step().ok()).collect();
        assert_eq!(visits.len(), MAX_STEPS);
        assert_eq!(outage.begin_step().map(drop), Err(BUSY_PAUSE));
        drop(visits);
        assert!(outage.begin_step().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_that_does_not_answer_is_asked_by_one_step_and_less_and_less_often() {
        let outage = Arc::new(RegionOutage::default());
        let mut pauses = Vec::new();
        for _ in 0..9 {
            fail(&outage);
            let wait = outage.begin_step().err().unwrap_or_default();
            pauses.push(wait.as_secs());
            tokio::time::advance(wait).await;
        }
        assert_eq!(pauses, [0, 0, 5, 10, 20, 40, 80, 120, 120]);
        let one = outage.begin_step().expect("one may ask");
        assert_eq!(outage.begin_step().map(drop), Err(FIRST_PAUSE));
        drop(one);
    }

    #[tokio::test(start_paused = true)]
    async fn one_answer_ends_the_outage() {
        let outage = Arc::new(RegionOutage::default());
        for _ in 0..OUTAGE_FAILURES {
            fail(&outage);
        }
        tokio::time::advance(FIRST_PAUSE).await;
        let mut visit = outage.begin_step().expect("one may ask");
        visit.record_answer(true);
        drop(visit);
        let visits: Vec<_> = (0..16).map_while(|_| outage.begin_step().ok()).collect();
        assert_eq!(visits.len(), MAX_STEPS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_without_an_answer_counts_although_the_look_had_one() {
        let outage = Arc::new(RegionOutage::default());
        for _ in 0..OUTAGE_FAILURES {
            let mut visit = outage.begin_step().expect("open");
            visit.record_answer(true);
            visit.record_answer(false);
            visit.record_answer(true);
        }
        assert!(outage.begin_step().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_without_requests_proves_nothing() {
        let outage = Arc::new(RegionOutage::default());
        fail(&outage);
        drop(outage.begin_step());
        assert_eq!(outage.lock().failures, 1);
    }

    fn fail(outage: &Arc<RegionOutage>) {
        outage.begin_step().expect("open").record_answer(false);
    }
}
