//! Limits the operations in a region that does not answer, so that it does not occupy the workers that other regions
//! need.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// Maximum number of steps in progress in one region. It leaves some workers to the other regions, whatever this
/// region does.
const ABREAST: usize = 12;

/// The maximum once a step there has failed, until one succeeds.
const DOUBTFUL: usize = 2;

/// The number of consecutive failures that count as an outage. From then on, one step at a time checks whether it is
/// over.
const LASTING: u32 = 3;

/// The first pause during an outage. It doubles with each failure.
const FIRST: Duration = Duration::from_secs(5);

/// Maximum pause during an outage.
const LONGEST: Duration = Duration::from_mins(2);

/// The pause while the maximum number of steps is in the region.
const CROWDED: Duration = Duration::from_millis(250);

/// Whether the region of a profile answers the steps of operations.
#[derive(Debug, Default)]
pub(crate) struct Outage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    inside: usize,
    failures: u32,
    until: Option<Instant>,
}

/// One step that is in the region. When it is dropped, it records whether AWS answered.
#[derive(Debug)]
pub(crate) struct Visit {
    outage: Arc<Outage>,
    answered: Option<bool>,
}

impl Outage {
    /// Admits a step to the region.
    ///
    /// # Errors
    ///
    /// Returns how long to wait if the region has an outage or no room for another step.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Visit, Duration> {
        let now = clock::now();
        let mut state = self.lock();
        if let Some(until) = state.until.filter(|until| now < *until) {
            return Err(until - now);
        }
        let room = match state.failures {
            0 => ABREAST,
            failures if failures < LASTING => DOUBTFUL,
            _ => 1,
        };
        if state.inside >= room {
            // In a region that does not answer, the steps in progress find out within a few seconds.
            return Err(if state.failures == 0 { CROWDED } else { FIRST });
        }
        state.inside += 1;
        drop(state);
        Ok(Visit {
            outage: Arc::clone(self),
            answered: None,
        })
    }

    fn left(&self, answered: Option<bool>) {
        let mut state = self.lock();
        state.inside = state.inside.saturating_sub(1);
        match answered {
            Some(true) => {
                state.failures = 0;
                state.until = None;
            }
            Some(false) => {
                state.failures = state.failures.saturating_add(1);
                let doublings = state.failures.checked_sub(LASTING);
                state.until = doublings.map(|doublings| clock::now() + pause(doublings));
            }
            None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// Records whether AWS answered a request. One request without an answer makes the whole step count as
    /// unanswered.
    pub(crate) fn note(&mut self, answered: bool) {
        self.answered = Some(self.answered.unwrap_or(true) && answered);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.outage.left(self.answered);
    }
}

fn pause(doublings: u32) -> Duration {
    (FIRST * 2_u32.pow(doublings.min(6))).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_region_never_holds_all_workers() {
        let outage = Arc::new(Outage::default());
        let visits: Vec<_> = (0..16).map_while(|_| outage.enter().ok()).collect();
        assert_eq!(visits.len(), ABREAST);
        assert_eq!(outage.enter().map(drop), Err(CROWDED));
        drop(visits);
        assert!(outage.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_that_does_not_answer_is_asked_by_one_step_and_less_and_less_often() {
        let outage = Arc::new(Outage::default());
        let mut pauses = Vec::new();
        for _ in 0..9 {
            fail(&outage);
            let wait = outage.enter().err().unwrap_or_default();
            pauses.push(wait.as_secs());
            tokio::time::advance(wait).await;
        }
        assert_eq!(pauses, [0, 0, 5, 10, 20, 40, 80, 120, 120]);
        let one = outage.enter().expect("one may ask");
        assert_eq!(outage.enter().map(drop), Err(FIRST));
        drop(one);
    }

    #[tokio::test(start_paused = true)]
    async fn one_answer_ends_the_outage() {
        let outage = Arc::new(Outage::default());
        for _ in 0..LASTING {
            fail(&outage);
        }
        tokio::time::advance(FIRST).await;
        let mut visit = outage.enter().expect("one may ask");
        visit.note(true);
        drop(visit);
        let visits: Vec<_> = (0..16).map_while(|_| outage.enter().ok()).collect();
        assert_eq!(visits.len(), ABREAST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_without_an_answer_counts_although_the_look_had_one() {
        let outage = Arc::new(Outage::default());
        for _ in 0..LASTING {
            let mut visit = outage.enter().expect("open");
            visit.note(true);
            visit.note(false);
            visit.note(true);
        }
        assert!(outage.enter().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_without_requests_proves_nothing() {
        let outage = Arc::new(Outage::default());
        fail(&outage);
        drop(outage.enter());
        assert_eq!(outage.lock().failures, 1);
    }

    fn fail(outage: &Arc<Outage>) {
        outage.enter().expect("open").note(false);
    }
}
