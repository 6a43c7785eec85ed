//! What one sweep over a (profile, region) saw, when, and what it could not see.

use std::collections::BTreeMap;

use crate::clock::AwsTime;
use crate::identity::{Arn, Region, SecretName};
use crate::operation::PendingValue;
use crate::outcome::AwsError;
use crate::secret::{Secret, VersionListing};

/// The result of one sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The `Date` header of the sweep's first answer: nothing in it is older.
    pub time: AwsTime,
    /// The region that was swept.
    pub region: Region,
    /// What was seen, by ARN.
    pub secrets: BTreeMap<Arn, Observation>,
    /// Exact names that were asked for and do not exist.
    pub missing: Vec<SecretName>,
    /// What went wrong, if the sweep is not complete. Absent secrets are then not known to be gone.
    pub gap: Option<AwsError>,
}

/// One secret as the sweep saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The freshest view: described where the list did not look healthy, listed otherwise.
    pub secret: Secret,
    /// The versions, where they matter.
    pub versions: Option<VersionListing>,
    /// Why the closer look failed, if it did: the secret's state is then unknown.
    pub unreadable: Option<AwsError>,
}

impl Inventory {
    /// Whether everything in scope was seen.
    pub const fn is_complete(&self) -> bool {
        self.gap.is_none()
    }
}

impl Observation {
    /// A secret of which the list told enough.
    pub const fn listed(secret: Secret) -> Self {
        Self {
            secret,
            versions: None,
            unreadable: None,
        }
    }

    /// How closely a listed secret must be looked at, given what the last close look at it saw.
    ///
    /// Lists lag up to five minutes, so a secret that does not look healthy is described, and one that was
    /// described before is described again until list and look agree that it is at rest.
    pub fn detail_needed(listed: &Secret, last: Option<&Self>) -> Detail {
        let unrested =
            |secret: &Secret| secret.unfinished().is_some() || crate::pin::has_any(secret);
        if listed.deleted.is_some() || listed.is_replica() {
            return Detail::Listed;
        }
        let changed = last.is_some_and(|last| {
            last.secret.last_changed != listed.last_changed || last.unreadable.is_some()
        });
        if unrested(listed) || changed || last.is_some_and(|last| unrested(&last.secret)) {
            return Detail::Described;
        }
        Detail::Listed
    }

    /// Whether the described secret's versions must be listed too: once for each new pending version, and again after
    /// each change while it has no value, because a rotation that AWS runs again may give it one.
    pub fn versions_needed(described: &Secret, last: Option<&Self>) -> bool {
        let subject = |secret: &Secret| (secret.unfinished().cloned(), secret.current().cloned());
        let unrested = described.unfinished().is_some() || crate::pin::has_any(described);
        let known = last.is_some_and(|last| {
            let valued = last.pending_value() != PendingValue::Empty;
            last.versions.is_some()
                && subject(&last.secret) == subject(described)
                && (valued || last.secret.last_changed == described.last_changed)
        });
        unrested && !known
    }

    /// Whether the unfinished pending version has a value, as far as AWS tells.
    pub fn pending_value(&self) -> PendingValue {
        match (self.secret.unfinished(), &self.versions) {
            (None, _) => PendingValue::None,
            (Some(_), None) => PendingValue::Unknown,
            (Some(pending), Some(versions)) if versions.lists(pending) => PendingValue::Present,
            (Some(_), Some(_)) => PendingValue::Empty,
        }
    }
}

impl Observation {
    /// Whether only the list of versions can tell whether the current version was made before `oldest`: the secret is
    /// that old itself, and something about it has changed since.
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

/// How closely a sweep looks at one secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The list entry says enough.
    Listed,
    /// `DescribeSecret`.
    Described,
}
