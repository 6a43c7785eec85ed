//! Allows one step at a time per secret in this process. Between processes the journal decides.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use secret_rotation_core::names::Arn;

/// The secrets on which a step is in progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecretLocks(Arc<Mutex<BTreeSet<Arn>>>);

/// A lock on a secret, which is released when dropped.
#[derive(Debug)]
pub(crate) struct SecretGuard {
    locks: SecretLocks,
    arn: Arn,
}

impl SecretLocks {
    /// Locks a secret. Returns `None` if a step is in progress on it.
    pub(crate) fn try_lock(&self, arn: &Arn) -> Option<SecretGuard> {
        let taken = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(arn.clone());
        taken.then(|| SecretGuard {
            locks: self.clone(),
            arn: arn.clone(),
        })
    }
}

impl Drop for SecretGuard {
    fn drop(&mut self) {
        self.locks
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.arn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_free_again_when_its_holder_is_done_or_panics() {
        let locks = SecretLocks::default();
        let arn = fixtures::arn("prod/db");
        let held = locks.try_lock(&arn);
        assert!(held.is_some() && locks.try_lock(&arn).is_none());
        drop(held);
        assert!(locks.try_lock(&arn).is_some());
    }
}
