//! The findings that events told of last, by policy: a status holds only the worst of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secret_rotation_core::names::Uid;

use super::events::Findings;

/// By policy, within one reign of the lease.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<BTreeMap<Uid, Arc<Findings>>>);

impl Told {
    /// Those of the last pass that was told of.
    pub(super) fn last(&self, policy: &Uid) -> Option<Arc<Findings>> {
        self.all().get(policy).cloned()
    }

    /// A pass was told of.
    pub(super) fn note(&self, policy: &Uid, findings: Findings) {
        self.all().insert(policy.clone(), Arc::new(findings));
    }

    /// The policy is gone.
    pub(crate) fn forget(&self, policy: &Uid) {
        self.all().remove(policy);
    }

    /// Another replica may have told more since.
    pub(crate) fn clear(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Uid, Arc<Findings>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
