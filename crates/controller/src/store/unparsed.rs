//! The operations that cannot be parsed, by the policy that they name and by the age of their records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secret_rotation_core::names::{ObjectKey, Uid};
use secret_rotation_core::time::ServerTime;

use super::entry::OperationEntry;

/// The operations that cannot be parsed.
#[derive(Debug, Default)]
pub(super) struct Unparsed {
    all: BTreeMap<ObjectKey, Arc<OperationEntry>>,
    /// Those that have not ended. `None` = the policy cannot be decoded.
    unfinished: BTreeMap<Option<ObjectKey>, BTreeSet<ObjectKey>>,
    ended: BTreeMap<(ServerTime, ObjectKey), Uid>,
}

impl Unparsed {
    /// Updates the places of an operation. Nothing remains of one that is gone or can be parsed.
    pub(super) fn file(&mut self, key: &ObjectKey, entry: Option<&Arc<OperationEntry>>) {
        if let Some(earlier) = self.all.remove(key) {
            self.unfile(key, &earlier);
        }
        let Some(entry) = entry.filter(|entry| entry.core.is_err()) else {
            return;
        };
        self.all.insert(key.clone(), Arc::clone(entry));
        if let Some((uid, expires)) = &entry.unread {
            let place = (*expires, key.clone());
            self.ended.insert(place, uid.clone());
        } else {
            let group = self.unfinished.entry(policy_key(key, entry)).or_default();
            group.insert(key.clone());
        }
    }

    fn unfile(&mut self, key: &ObjectKey, entry: &OperationEntry) {
        if let Some((_, expires)) = &entry.unread {
            self.ended.remove(&(*expires, key.clone()));
        }
        let place = policy_key(key, entry);
        if let Some(group) = self.unfinished.get_mut(&place) {
            group.remove(key);
            if group.is_empty() {
                self.unfinished.remove(&place);
            }
        }
    }

    /// Returns those that have not ended.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &ObjectKey> {
        self.unfinished.values().flatten()
    }

    /// Returns those that have not ended and name this policy.
    pub(super) fn of_policy(&self, policy: &ObjectKey) -> impl Iterator<Item = &ObjectKey> {
        let group = self.unfinished.get(&Some(policy.clone()));
        group.into_iter().flatten()
    }

    /// Returns those that ended, and whose records have expired.
    pub(super) fn expired(&self, now: ServerTime) -> Vec<(ObjectKey, Uid)> {
        let by_age = self.ended.iter();
        let expired = by_age.take_while(|((expires, _), _)| now >= *expires);
        expired
            .map(|((_, key), uid)| (key.clone(), uid.clone()))
            .collect()
    }
}

fn policy_key(key: &ObjectKey, entry: &OperationEntry) -> Option<ObjectKey> {
    Some(ObjectKey {
        namespace: key.namespace.clone(),
        name: entry.policy.clone()?,
    })
}
