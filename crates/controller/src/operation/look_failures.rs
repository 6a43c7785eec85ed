//! What one process remembers of operations between their steps: nothing that a write rests on, only how long to wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secret_rotation_core::names::ObjectKey;
use tokio::time::Instant;

use crate::clock;

/// That a secret does not exist is believed when it is said again after this. Reads lag, and replicas of one answer lag together.
pub(super) const SECOND_THOUGHT: Duration = Duration::from_secs(6);

/// The pause after a look that failed; it doubles.
const FIRST: Duration = Duration::from_secs(15);

/// No longer than this.
const LONGEST: Duration = Duration::from_mins(5);

/// An operation that is over takes its pin back within this, or ends without.
const UNPIN: Duration = Duration::from_mins(15);

/// Between two looks at the admission policies for the sake of a message.
const GUARDS: Duration = Duration::from_mins(5);

/// Doubts about secrets, by the operation that has them.
#[derive(Debug, Default)]
pub(crate) struct Doubts(Mutex<BTreeMap<ObjectKey, Doubt>>);

#[derive(Clone, Copy, Debug, Default)]
struct Doubt {
    /// Since when AWS says that there is no such secret.
    absent_since: Option<Instant>,
    /// Steps in a row that could not see what they had to.
    failures: u32,
    /// Since when it is over but for a pin.
    over_since: Option<Instant>,
    /// When it was last asked whether a decision would count.
    asked: Option<Instant>,
    /// Whether its last step could not begin, for a reason that lies in its own secret.
    aside: bool,
}

impl Doubts {
    /// Takes note that AWS says that there is no such secret; whether it has said so before, long enough ago.
    pub(super) fn absent(&self, key: &ObjectKey) -> Result<(), Duration> {
        let now = clock::now();
        let mut doubts = self.lock();
        let doubt = doubts.entry(key.clone()).or_default();
        let since = *doubt.absent_since.get_or_insert(now);
        let left = (since + SECOND_THOUGHT).saturating_duration_since(now);
        if left.is_zero() { Ok(()) } else { Err(left) }
    }

    /// Takes note that the secret is there.
    pub(super) fn present(&self, key: &ObjectKey) {
        if let Some(doubt) = self.lock().get_mut(key) {
            doubt.absent_since = None;
        }
    }

    /// Takes note that a step could not see what it had to; how long to wait.
    pub(super) fn failed(&self, key: &ObjectKey) -> Duration {
        let mut doubts = self.lock();
        let doubt = doubts.entry(key.clone()).or_default();
        let pause = (FIRST * 2_u32.pow(doubt.failures.min(5))).min(LONGEST);
        doubt.failures = doubt.failures.saturating_add(1);
        pause
    }

    /// Takes note that an operation could not begin, for a reason that lies in its own secret; whether that is news.
    pub(super) fn set_aside(&self, key: &ObjectKey) -> bool {
        let mut doubts = self.lock();
        let doubt = doubts.entry(key.clone()).or_default();
        !std::mem::replace(&mut doubt.aside, true)
    }

    /// The operations that could not begin when they last tried: they keep nobody else waiting.
    pub(crate) fn aside(&self) -> BTreeSet<ObjectKey> {
        let doubts = self.lock();
        let aside = doubts.iter().filter(|(_, doubt)| doubt.aside);
        aside.map(|(key, _)| key.clone()).collect()
    }

    /// Forgets everything: another replica is at work now.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Takes note that an operation is over but for its pin; whether that has lasted too long.
    pub(super) fn is_overdue(&self, key: &ObjectKey) -> bool {
        let now = clock::now();
        let mut doubts = self.lock();
        let doubt = doubts.entry(key.clone()).or_default();
        let since = *doubt.over_since.get_or_insert(now);
        now.saturating_duration_since(since) >= UNPIN
    }

    /// Whether it is long since it was asked whether a decision would count.
    pub(super) fn may_ask_again(&self, key: &ObjectKey) -> bool {
        let asked = self.lock().get(key).and_then(|doubt| doubt.asked);
        asked.is_none_or(|asked| clock::now().saturating_duration_since(asked) >= GUARDS)
    }

    /// Takes note that it was asked just now.
    pub(super) fn asked(&self, key: &ObjectKey) {
        self.lock().entry(key.clone()).or_default().asked = Some(clock::now());
    }

    /// Takes note that a step saw everything it had to, or that there will be none any more.
    pub(crate) fn cleared_up(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Doubt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::key;

    #[tokio::test(start_paused = true)]
    async fn one_answer_that_there_is_no_secret_is_not_believed() {
        let (doubts, key) = (Doubts::default(), key("a"));
        assert_eq!(doubts.absent(&key), Err(SECOND_THOUGHT));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(doubts.absent(&key), Err(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(doubts.absent(&key), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_there_again_was_never_away() {
        let (doubts, key) = (Doubts::default(), key("a"));
        assert!(doubts.absent(&key).is_err());
        tokio::time::advance(SECOND_THOUGHT).await;
        doubts.present(&key);
        assert_eq!(doubts.absent(&key), Err(SECOND_THOUGHT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pin_that_cannot_be_taken_back_keeps_no_operation_for_ever() {
        let (doubts, key) = (Doubts::default(), key("a"));
        assert!(!doubts.is_overdue(&key));
        tokio::time::advance(UNPIN.saturating_sub(Duration::from_secs(1))).await;
        assert!(!doubts.is_overdue(&key));
        doubts.failed(&key);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(doubts.is_overdue(&key));
    }

    #[test]
    fn what_could_not_begin_is_set_aside_until_a_step_sees_everything() {
        let (doubts, key) = (Doubts::default(), key("a"));
        assert!(doubts.set_aside(&key));
        assert!(!doubts.set_aside(&key), "others are woken once");
        assert_eq!(doubts.aside(), [key.clone()].into());
        doubts.cleared_up(&key);
        assert!(doubts.aside().is_empty());
        assert!(doubts.set_aside(&key));
    }

    #[test]
    fn looks_that_fail_come_slower_and_slower_until_one_does_not() {
        let (doubts, key) = (Doubts::default(), key("a"));
        let pauses: Vec<_> = (0..7).map(|_| doubts.failed(&key).as_secs()).collect();
        assert_eq!(pauses, [15, 30, 60, 120, 240, 300, 300]);
        doubts.cleared_up(&key);
        assert_eq!(doubts.failed(&key), FIRST);
    }
}
