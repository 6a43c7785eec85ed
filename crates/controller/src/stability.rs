//! How long unfinished rotations have been stable, as this process has seen them. Sweeps and operations record what
//! they see, and policies and operations use it.
//!
//! It outlives the lease: what was seen stays true, whichever replica acted. A replica that stops looking soon knows
//! nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use secret_rotation_core::inventory::Inventory;
use secret_rotation_core::secret::{Look, Seen};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::time::AwsTime;

/// The observations, by secret.
#[derive(Debug, Default)]
pub(crate) struct SharedStability(Mutex<StabilityTracker>);

impl SharedStability {
    /// Records what a sweep saw. A secret that it could not read stays as it was known before.
    pub(crate) fn record_sweep(&self, inventory: &Inventory) {
        let mut watches = self.lock();
        let readable = inventory.secrets.values();
        for seen in readable.filter(|seen| seen.unreadable.is_none()) {
            watches.observe(&seen.secret, seen.versions.as_ref(), inventory.time);
        }
        watches.forget_older_than_gap(inventory.time);
    }

    /// Records a look. Returns since when labels and versions have been unchanged.
    pub(crate) fn record_look(&self, look: &Look) -> Option<AwsTime> {
        let Seen::Present(secret) = &look.secret else {
            return None;
        };
        let mut watches = self.lock();
        watches.observe(secret, look.versions.as_ref(), look.at);
        watches.stability(secret, look.at).map(|rest| rest.since)
    }

    /// Returns all observations. The guard must not be held across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, StabilityTracker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{aws_error, bare_secret, labelled, minutes, now};
    use secret_rotation_core::aws_error::{AwsError, ErrorClass};
    use secret_rotation_core::inventory::Observation;
    use secret_rotation_core::secret::Secret;

    use super::*;

    #[test]
    fn a_sweep_sets_since_when_a_later_look_has_seen_no_change() {
        let stability = SharedStability::default();
        let pending = pending();
        stability.record_sweep(&inventory(0, pending.clone(), None));
        assert_eq!(
            stability.record_look(&look(30, pending.clone())),
            Some(at(0))
        );
        let other = labelled(pending, "STAGING", "one");
        assert_eq!(stability.record_look(&look(31, other)), Some(at(31)));
    }

    #[test]
    fn a_secret_that_could_not_be_read_was_not_seen() {
        let stability = SharedStability::default();
        let denied = aws_error(ErrorClass::Denied);
        stability.record_sweep(&inventory(0, pending(), Some(denied)));
        assert_eq!(stability.record_look(&look(30, pending())), Some(at(30)));
    }

    /// A sweep of another account does not remove what was seen a moment ago.
    #[test]
    fn a_later_sweep_of_another_region_keeps_what_is_known() {
        let stability = SharedStability::default();
        stability.record_sweep(&inventory(0, pending(), None));
        let mut elsewhere = inventory(50, pending(), None);
        elsewhere.secrets.clear();
        stability.record_sweep(&elsewhere);
        assert_eq!(stability.record_look(&look(55, pending())), Some(at(0)));
    }

    fn at(minute: u64) -> AwsTime {
        now().plus(minutes(minute))
    }

    fn pending() -> Secret {
        labelled(bare_secret("prod/a"), "AWSPENDING", "two")
    }

    fn look(minute: u64, secret: Secret) -> Look {
        fixtures::look(secret, None, at(minute))
    }

    fn inventory(minute: u64, secret: Secret, unreadable: Option<AwsError>) -> Inventory {
        let seen = Observation {
            unreadable,
            ..Observation::listed(secret)
        };
        Inventory {
            time: at(minute),
            completed: None,
            ..fixtures::inventory(vec![seen])
        }
    }
}
