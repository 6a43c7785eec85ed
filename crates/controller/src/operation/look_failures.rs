//! What one process remembers of operations between their steps. No write rests on it; it only affects how long to
//! wait.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secret_rotation_core::names::ObjectKey;
use secret_rotation_core::plan::DeferredOperations;
use tokio::time::Instant;

use crate::clock;

/// How long AWS must report that a secret does not exist before the controller believes it. Reads lag, and all
/// replicas of one answer lag together.
pub(super) const SECOND_THOUGHT: Duration = Duration::from_secs(6);

/// The pause after the first failed look. It doubles with each failure.
const FIRST: Duration = Duration::from_secs(15);

/// Maximum pause after a failed look.
const LONGEST: Duration = Duration::from_mins(5);

/// How long an operation that has otherwise ended may try to remove its pin. Then it ends with the pin in place.
const UNPIN: Duration = Duration::from_mins(15);

/// Minimum time between two reads of the admission policies that only serve a message.
const GUARDS: Duration = Duration::from_mins(5);

/// What is uncertain about the secrets of operations, by operation.
#[derive(Debug, Default)]
pub(crate) struct LookFailures {
    all: Mutex<BTreeMap<ObjectKey, LookFailure>>,
    /// The operations that could not begin when they last tried, for a reason that lies in their own secret.
    deferred: Mutex<DeferredOperations>,
}

#[derive(Clone, Copy, Debug, Default)]
struct LookFailure {
    /// Since when AWS reports that the secret does not exist.
    absent_since: Option<Instant>,
    /// The number of consecutive steps that could not read what they needed.
    failures: u32,
    /// Since when the operation has ended except for its pin.
    over_since: Option<Instant>,
    /// When the controller last checked whether a decision would count.
    asked: Option<Instant>,
}

impl LookFailures {
    /// Records that AWS reports no such secret.
    ///
    /// # Errors
    ///
    /// Returns the remaining time if AWS has not reported it for long enough.
    pub(super) fn record_absent(&self, key: &ObjectKey) -> Result<(), Duration> {
        let now = clock::now();
        let mut look_failures = self.lock();
        let doubt = look_failures.entry(key.clone()).or_default();
        let since = *doubt.absent_since.get_or_insert(now);
        let left = (since + SECOND_THOUGHT).saturating_duration_since(now);
        if left.is_zero() { Ok(()) } else { Err(left) }
    }

    /// Records that the secret exists.
    pub(super) fn record_present(&self, key: &ObjectKey) {
        if let Some(doubt) = self.lock().get_mut(key) {
            doubt.absent_since = None;
        }
    }

    /// Records that a step could not read what it needed. Returns how long to wait.
    pub(super) fn record_failure(&self, key: &ObjectKey) -> Duration {
        let mut look_failures = self.lock();
        let doubt = look_failures.entry(key.clone()).or_default();
        let pause = (FIRST * 2_u32.pow(doubt.failures.min(5))).min(LONGEST);
        doubt.failures = doubt.failures.saturating_add(1);
        pause
    }

    /// Records that an operation could not begin for a reason that lies in its own secret. Returns whether this is
    /// new.
    pub(super) fn set_aside(&self, key: &ObjectKey) -> bool {
        self.lock_deferred().insert(key)
    }

    /// Returns the operations that could not begin when they last tried. They block no other operation.
    pub(crate) fn all_set_aside(&self) -> DeferredOperations {
        self.lock_deferred().clone()
    }

    /// Clears everything: another replica holds the lease now.
    pub(crate) fn clear(&self) {
        self.lock().clear();
        *self.lock_deferred() = DeferredOperations::default();
    }

    /// Records that an operation has ended except for its pin. Returns whether that has lasted too long.
    pub(super) fn is_overdue(&self, key: &ObjectKey) -> bool {
        let now = clock::now();
        let mut look_failures = self.lock();
        let doubt = look_failures.entry(key.clone()).or_default();
        let since = *doubt.over_since.get_or_insert(now);
        now.saturating_duration_since(since) >= UNPIN
    }

    /// Returns whether it is long ago that the controller checked whether a decision would count.
    pub(super) fn is_decision_check_due(&self, key: &ObjectKey) -> bool {
        let asked = self.lock().get(key).and_then(|doubt| doubt.asked);
        asked.is_none_or(|asked| clock::now().saturating_duration_since(asked) >= GUARDS)
    }

    /// Records that the controller has just checked whether a decision would count.
    pub(super) fn record_decision_check(&self, key: &ObjectKey) {
        self.lock().entry(key.clone()).or_default().asked = Some(clock::now());
    }

    /// Removes what is remembered of an operation, after a step read everything it needed or when no step will
    /// follow.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.lock().remove(key);
        self.lock_deferred().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, LookFailure>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_deferred(&self) -> MutexGuard<'_, DeferredOperations> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use fixtures::key;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_answer_that_there_is_no_secret_is_not_believed() {
        let (look_failures, key) = (LookFailures::default(), key("prod", "a"));
        assert_eq!(look_failures.record_absent(&key), Err(SECOND_THOUGHT));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(
            look_failures.record_absent(&key),
            Err(Duration::from_secs(1))
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(look_failures.record_absent(&key), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_exists_again_clears_its_doubt() {
        let (look_failures, key) = (LookFailures::default(), key("prod", "a"));
        assert!(look_failures.record_absent(&key).is_err());
        tokio::time::advance(SECOND_THOUGHT).await;
        look_failures.record_present(&key);
        assert_eq!(look_failures.record_absent(&key), Err(SECOND_THOUGHT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pin_that_cannot_be_removed_keeps_no_operation_forever() {
        let (look_failures, key) = (LookFailures::default(), key("prod", "a"));
        assert!(!look_failures.is_overdue(&key));
        tokio::time::advance(UNPIN.saturating_sub(Duration::from_secs(1))).await;
        assert!(!look_failures.is_overdue(&key));
        look_failures.record_failure(&key);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(look_failures.is_overdue(&key));
    }

    #[test]
    fn an_operation_that_could_not_begin_is_set_aside_until_a_step_sees_everything() {
        let (look_failures, key) = (LookFailures::default(), key("prod", "a"));
        assert!(look_failures.set_aside(&key));
        assert!(!look_failures.set_aside(&key), "others are woken once");
        assert!(look_failures.all_set_aside().contains(&key));
        look_failures.forget(&key);
        assert!(!look_failures.all_set_aside().contains(&key));
        assert!(look_failures.set_aside(&key));
    }

    #[test]
    fn looks_are_repeated_more_and_more_slowly_until_one_succeeds() {
        let (look_failures, key) = (LookFailures::default(), key("prod", "a"));
        let pauses: Vec<_> = (0..7)
            .map(|_| look_failures.record_failure(&key).as_secs())
            .collect();
        assert_eq!(pauses, [15, 30, 60, 120, 240, 300, 300]);
        look_failures.forget(&key);
        assert_eq!(look_failures.record_failure(&key), FIRST);
    }
}
