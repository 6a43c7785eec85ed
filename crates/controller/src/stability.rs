//! How long unfinished rotations have been stable, as this process has seen them. Sweeps and operations record what
//! they see, and policies and operations use it.
//!
//! It outlives the lease: what was seen stays true, whichever replica acted. A replica that stops looking soon knows
//! nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use secret_rotation_core::secret::{Look, Seen};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::time::AwsTime;

/// The observations, by secret.
#[derive(Debug, Default)]
pub(crate) struct SharedStability(Mutex<StabilityTracker>);

impl SharedStability {
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
    use fixtures::{bare_secret, labelled, minutes, now};
    use secret_rotation_core::secret::Secret;

    use super::*;

    #[test]
    fn a_look_shows_since_when_nothing_has_changed() {
        let stability = SharedStability::default();
        let pending = labelled(bare_secret("prod/a"), "AWSPENDING", "two");
        let seen = |minute| stability.record_look(&look(minute, pending.clone()));
        assert_eq!((seen(0), seen(30)), (Some(at(0)), Some(at(0))));
        let other = labelled(pending.clone(), "STAGING", "one");
        assert_eq!(stability.record_look(&look(31, other)), Some(at(31)));
    }

    fn at(minute: u64) -> AwsTime {
        now().plus(minutes(minute))
    }

    fn look(minute: u64, secret: Secret) -> Look {
        fixtures::look(secret, None, at(minute))
    }
}
