//! What one sweep over a profile in one region saw, when it saw it, and what it could not see.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::aws_error::AwsError;
use crate::names::{AccountId, Arn, Region, SecretName};
use crate::secret::PendingValue;
use crate::secret::{Secret, VersionListing};
use crate::time::AwsTime;

/// Two complete sweeps that are this far apart and both miss a secret prove that it is gone: lists lag by up to five
/// minutes.
const MIN_MISSED_TIME: Duration = Duration::from_mins(5);

/// A second response that the secret does not exist counts only after this time: reads are eventually consistent.
const MIN_CONFIRMATION_TIME: Duration = Duration::from_secs(10);

/// The result of one sweep, together with what earlier sweeps saw and this one could not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The time in the `Date` header of the sweep's first response: nothing in the inventory is older.
    pub time: AwsTime,
    /// The region that was swept.
    pub region: Region,
    /// The secrets that were seen, by ARN.
    pub secrets: BTreeMap<Arn, Observation>,
    /// Names for which AWS responded once that no such secret exists.
    pub missing: Vec<SecretName>,
    /// Secrets that the list lacks, and that AWS reports as nonexistent: both together prove that they are gone.
    pub gone: BTreeSet<Arn>,
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
    /// Returns what is known after this sweep: what it saw, and what `last` contains and nothing proves gone. A secret
    /// that no policy selects any more is dropped, because no sweep looks for it.
    #[must_use]
    pub fn after(mut self, last: Option<&Self>, wanted: &dyn Fn(&Secret) -> bool) -> Self {
        let completed = self.is_complete().then_some(self.time);
        self.completed = completed.or_else(|| last?.completed);
        let Some(last) = last else { return self };
        let carried: Vec<_> = last
            .secrets
            .iter()
            .filter(|(arn, row)| !self.secrets.contains_key(*arn) && wanted(&row.secret))
            .filter_map(|(arn, row)| Some((arn.clone(), self.carried(last, arn, row)?)))
            .collect();
        if carried.is_empty() {
            return self;
        }
        // A name belongs to one secret. If another secret has the name now, the earlier one was deleted.
        let names: BTreeSet<_> = self
            .secrets
            .values()
            .map(|seen| seen.secret.name.clone())
            .collect();
        let carried = carried
            .into_iter()
            .filter(|(_, row)| !names.contains(&row.secret.name));
        self.secrets.extend(carried);
        self
    }

    /// Returns a secret that this sweep did not see; `None` if it is proved gone.
    fn carried(&self, last: &Self, arn: &Arn, row: &Observation) -> Option<Observation> {
        let before = row.unseen;
        let missed = before.and_then(|unseen| unseen.missed);
        let missed_for = missed.map(|missed| self.time.since(missed));
        let denied = self.missing.contains(&row.secret.name);
        let proved = self.gone.contains(arn)
            || denied && missed_for.is_some_and(|time| time >= MIN_CONFIRMATION_TIME)
            || self.is_complete() && missed_for.is_some_and(|time| time >= MIN_MISSED_TIME);
        let unseen = Unseen {
            since: last.seen_at(arn, row),
            missed: missed.or_else(|| (denied || self.is_complete()).then_some(self.time)),
        };
        (!proved).then(|| Observation {
            unseen: Some(unseen),
            ..row.clone()
        })
    }

    /// Returns the accounts of the secrets that the sweep saw. There is more than one only while credentials change.
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        let mut accounts = BTreeSet::new();
        for (arn, row) in &self.secrets {
            if row.unseen.is_none() && !accounts.contains(arn.account()) {
                accounts.insert(arn.account().clone());
            }
        }
        accounts
    }

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

    /// Returns how closely a listed secret must be read, given what the last close read of it saw.
    ///
    /// Lists lag by up to five minutes. So a secret that does not look healthy is described, and a secret that was
    /// described before is described again until the list and the description agree that nothing is unfinished.
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
