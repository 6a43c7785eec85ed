//! Stores the findings that events reported last, by policy. A status holds only the worst findings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secret_rotation_core::names::Uid;

use super::events::Findings;

/// The findings by policy, while this replica holds the lease.
#[derive(Debug, Default)]
pub(crate) struct WrittenStatuses(Mutex<BTreeMap<Uid, Arc<Findings>>>);

impl WrittenStatuses {
    /// Returns the findings of the last pass whose events were published.
    pub(super) fn last(&self, policy: &Uid) -> Option<Arc<Findings>> {
        self.all().get(policy).cloned()
    }

    /// Records the findings of a pass whose events were published.
    pub(super) fn record(&self, policy: &Uid, findings: Findings) {
        self.all().insert(policy.clone(), Arc::new(findings));
    }

    /// Removes a deleted policy.
    pub(crate) fn forget(&self, policy: &Uid) {
        self.all().remove(policy);
    }

    /// Clears everything: another replica may have published more since.
    pub(crate) fn clear(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Uid, Arc<Findings>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
