//! Every valid policy of the cluster with its profile and namespace, found by key, by namespace, by profile and by the
//! names that it may select.
//!
//! A change of one policy changes only its own places. A clone shares everything with the original, as in
//! [`OperationIndex`](crate::operation_index::OperationIndex).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::authorise::Tenant;
use crate::groups::{Groups, counted};
use crate::names::{Namespace, ObjectKey, ProfileName, SecretName};
use crate::operation::Operation;
use crate::ownership::BoundPolicy;
use crate::selector::Matcher;

/// Every valid policy of the cluster. The key of a policy is unique.
#[derive(Clone, Debug, Default)]
pub struct PolicyIndex {
    namespaces: Groups<Namespace, BoundPolicy>,
    profiles: Groups<ProfileName, BoundPolicy>,
    names: Groups<String, BoundPolicy>,
    /// An item without names is filed under its prefix, and under the empty prefix if it has none.
    prefixes: Groups<String, BoundPolicy>,
}

impl PolicyIndex {
    /// Adds a policy, in place of an earlier state of it.
    pub fn insert(&mut self, bound_policy: &Arc<BoundPolicy>) {
        let key = &bound_policy.policy.key;
        self.remove(key);
        self.namespaces.add(&key.namespace, key, bound_policy);
        let profile = &bound_policy.profile.name;
        self.profiles.add(profile, key, bound_policy);
        for item in &bound_policy.policy.selector.include {
            for name in names(item) {
                self.names.add(name, key, bound_policy);
            }
            if let Some(prefix) = prefix(item) {
                self.prefixes.add(prefix, key, bound_policy);
            }
        }
    }

    /// Removes a policy.
    pub fn remove(&mut self, key: &ObjectKey) {
        let Some(removed) = self.namespaces.get(&key.namespace, key).cloned() else {
            return;
        };
        self.namespaces.take(&key.namespace, key);
        self.profiles.take(&removed.profile.name, key);
        for item in &removed.policy.selector.include {
            names(item).for_each(|name| self.names.take(name, key));
            if let Some(prefix) = prefix(item) {
                self.prefixes.take(prefix, key);
            }
        }
    }

    /// Returns a policy.
    pub fn get(&self, key: &ObjectKey) -> Option<&BoundPolicy> {
        let found = self.namespaces.get(&key.namespace, key);
        found.map(AsRef::as_ref)
    }

    /// Iterates over all policies, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &BoundPolicy> {
        self.namespaces.all().map(AsRef::as_ref)
    }

    /// Returns the policies of a namespace.
    pub fn in_namespace(&self, of: &Namespace) -> impl Iterator<Item = &BoundPolicy> + use<'_> {
        self.namespaces.members(of).map(AsRef::as_ref)
    }

    /// Returns the policies of a profile.
    pub fn of_profile(&self, of: &ProfileName) -> impl Iterator<Item = &BoundPolicy> + use<'_> {
        self.profiles.members(of).map(AsRef::as_ref)
    }

    /// Returns the policies that may include a secret of this name, in the order of their keys. Tags and exclusions
    /// decide the rest.
    pub fn that_may_include(&self, name: &SecretName) -> impl Iterator<Item = &BoundPolicy> {
        let text = name.as_str();
        let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        let prefixes = ends.filter_map(|end| text.get(..end));
        let of_prefixes = prefixes.flat_map(|prefix| self.prefixes.members(prefix));
        let found = self.names.members(text).chain(of_prefixes);
        let sorted: BTreeMap<_, _> = found.map(|one| (&one.policy.key, one.as_ref())).collect();
        counted(sorted.into_values())
    }

    /// Returns the policy of an operation. A policy of another UID under the same name is another policy.
    pub fn policy_of(&self, operation: &Operation) -> Option<&BoundPolicy> {
        let found = self.get(&operation.policy_key())?;
        let uid = operation.policy.uid.as_ref();
        uid.is_none_or(|uid| *uid == found.policy.uid)
            .then_some(found)
    }

    /// Returns a namespace, if it has a policy.
    pub fn tenant(&self, namespace: &Namespace) -> Option<&Tenant> {
        self.in_namespace(namespace).map(|one| &one.tenant).next()
    }
}

impl FromIterator<BoundPolicy> for PolicyIndex {
    fn from_iter<T: IntoIterator<Item = BoundPolicy>>(bound_policies: T) -> Self {
        let mut index = Self::default();
        for bound_policy in bound_policies {
            index.insert(&Arc::new(bound_policy));
        }
        index
    }
}

fn names(item: &Matcher) -> impl Iterator<Item = &str> {
    item.names.iter().map(SecretName::as_str)
}

/// Returns the prefix under which an item is filed, unless it is filed under names.
fn prefix(item: &Matcher) -> Option<&str> {
    let prefix = item.name_prefix.as_deref().unwrap_or_default();
    item.names.is_empty().then_some(prefix)
}
