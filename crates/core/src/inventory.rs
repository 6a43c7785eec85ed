//! What a sweep saw of a secret, and what it could not see.

use std::collections::BTreeMap;

use crate::aws_error::AwsError;
use crate::names::{Arn, Region, SecretName};
use crate::secret::PendingValue;
use crate::secret::{Secret, VersionListing};
use crate::time::AwsTime;

/// The result of one sweep, together with what earlier sweeps saw and this one could not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The time in the `Date` header of the sweep's first response: nothing in the inventory is older.
    pub time: AwsTime,
    /// The region that was swept.
    pub region: Region,
    /// The secrets that were seen, by ARN.
    pub secrets: BTreeMap<Arn, Observation>,
    /// Names of secrets that could not be read, and of which nothing else is known. They may not exist.
    pub unread: BTreeMap<SecretName, AwsError>,
    /// The error that made the sweep incomplete. A secret that is absent is then not known to be gone.
    pub gap: Option<AwsError>,
    /// The time of the latest sweep that saw everything.
    pub completed: Option<AwsTime>,
    /// Secrets that were read again since the sweep, and when.
    pub looked_again: BTreeMap<Arn, AwsTime>,
}

/// One secret as the sweep saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The freshest view: from `DescribeSecret` if the list entry did not look healthy, otherwise from the list.
    pub secret: Secret,
    /// The versions, if they were needed.
    pub versions: Option<VersionListing>,
    /// Why a read of the details failed, if it did: the state of the secret is then unknown.
    pub unreadable: Option<AwsError>,
    /// Set while the latest sweep did not see the secret: everything else is as last seen.
    pub unseen: Option<Unseen>,
}

/// A secret that was known before and that the latest sweep did not see. Absent does not mean gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// The time of the last sweep that saw it. Ages are measured up to that time.
    pub since: AwsTime,
    /// When a complete sweep first missed it, or AWS first responded that it does not exist.
    pub missed: Option<AwsTime>,
}

impl Inventory {
    /// Returns when a secret was last seen. Ages are measured up to that time.
    pub fn seen_at(&self, arn: &Arn, row: &Observation) -> AwsTime {
        let looked = self.looked_again.get(arn).copied();
        row.unseen
            .map_or_else(|| looked.unwrap_or(self.time), |unseen| unseen.since)
    }

    /// Returns whether everything in scope was seen.
    pub const fn is_complete(&self) -> bool {
        self.gap.is_none()
    }
}

impl Observation {
    /// Builds the observation of a secret whose list entry is enough.
    pub const fn listed(secret: Secret) -> Self {
        Self {
            secret,
            versions: None,
            unreadable: None,
            unseen: None,
        }
    }

    /// Returns whether the versions of a described secret must be listed too: once for each new pending version, and
    /// again after each change while that version has no value, because AWS may run the rotation again and give it one.
    pub fn versions_needed(described: &Secret, last: Option<&Self>) -> bool {
        let versions = |secret: &Secret| (secret.unfinished().cloned(), secret.current().cloned());
        let unrested = described.unfinished().is_some() || crate::pin::has_any(described);
        let known = last.is_some_and(|last| {
            let valued = last.pending_value() != PendingValue::Empty;
            last.versions.is_some()
                && versions(&last.secret) == versions(described)
                && (valued || last.secret.last_changed == described.last_changed)
        });
        unrested && !known
    }

    /// Returns whether the unfinished pending version has a value, by the list of versions.
    pub fn pending_value(&self) -> PendingValue {
        PendingValue::of(&self.secret, self.versions.as_ref())
    }
}

impl Observation {
    /// Returns whether only the list of versions can show that the current version is older than `oldest`: the secret
    /// itself is that old, and something about it has changed since.
    pub fn age_needed(&self, oldest: AwsTime) -> bool {
        let secret = &self.secret;
        let at_hand = secret.deleted.is_none() && !secret.is_replica() && self.unreadable.is_none();
        let changed = secret.last_changed.is_none_or(|changed| changed > oldest);
        let old_enough = secret.created.is_none_or(|created| created <= oldest);
        let Some(current) = secret.current() else {
            return false;
        };
        let known = self
            .versions
            .as_ref()
            .is_some_and(|versions| versions.lists(current));
        at_hand && changed && old_enough && !known
    }
}

/// How closely a sweep reads one secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The list entry is enough.
    Listed,
    /// `DescribeSecret` is needed.
    Described,
}
