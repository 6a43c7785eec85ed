//! What this process last published for each profile.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secret_rotation_api::profile::AWSAccessProfileStatus;
use secret_rotation_core::names::ProfileName;
use tokio::time::Instant;

use crate::clock;

/// The status that this process last published for each profile. Another installation may publish a different status
/// for the same profile.
#[derive(Debug, Default)]
pub(crate) struct PublishedStatuses(Mutex<BTreeMap<ProfileName, PublishedStatus>>);

/// A published status.
#[derive(Clone, Debug)]
pub(crate) struct PublishedStatus {
    /// The status.
    pub status: AWSAccessProfileStatus,
    /// When it was published.
    pub at: Instant,
}

impl PublishedStatuses {
    /// Returns the status that was last published for a profile.
    pub(crate) fn of(&self, profile: &ProfileName) -> Option<PublishedStatus> {
        self.all().get(profile).cloned()
    }

    /// Notes a status that was just published.
    pub(crate) fn record(&self, profile: &ProfileName, status: AWSAccessProfileStatus) {
        let status = PublishedStatus {
            status,
            at: clock::now(),
        };
        self.all().insert(profile.clone(), status);
    }

    /// Removes a deleted profile.
    pub(crate) fn forget(&self, profile: &ProfileName) {
        self.all().remove(profile);
    }

    /// Clears everything: another replica may have published more since.
    pub(crate) fn clear(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ProfileName, PublishedStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
