//! Which secrets a policy means.

use std::collections::BTreeSet;

use crate::identity::SecretName;
use crate::secret::Secret;

/// A secret with this tag key is excluded from every policy.
pub const IGNORE_TAG: &str = "secretrotation.dev/ignore";

/// Included unless excluded; exclusion wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Any of these.
    pub include: Vec<Matcher>,
    /// None of these.
    pub exclude: Vec<Matcher>,
    /// More matches than this: observed, no automatic action.
    pub max_secrets: usize,
}

/// All of its conditions that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// Exact names; empty = any.
    pub names: BTreeSet<SecretName>,
    /// The beginning of the name.
    pub name_prefix: Option<String>,
    /// Tags, all of which must match.
    pub tags: Vec<TagMatcher>,
}

/// A tag key with one of the values, or with any if none is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagMatcher {
    /// The whole key.
    pub key: String,
    /// Whole values; empty = the key exists.
    pub values: BTreeSet<String>,
}

impl Selector {
    /// Whether the policy means this secret. Compared whole and case-sensitively: AWS's own filters are prefixes.
    pub fn selects(&self, secret: &Secret) -> bool {
        !secret.tags.contains_key(IGNORE_TAG)
            && self.include.iter().any(|item| item.matches(secret))
            && !self.exclude.iter().any(|item| item.matches(secret))
    }

    /// Whether the policy may mean a secret of this name, with the right tags.
    pub fn may_select(&self, name: &SecretName) -> bool {
        let excluded = |item: &Matcher| item.tags.is_empty() && item.admits(name);
        self.include.iter().any(|item| item.admits(name)) && !self.exclude.iter().any(excluded)
    }

    /// The exact names that the policy expects to exist.
    pub fn exact_names(&self) -> impl Iterator<Item = &SecretName> {
        self.include.iter().flat_map(|item| item.names.iter())
    }
}

impl Matcher {
    fn matches(&self, secret: &Secret) -> bool {
        self.admits(&secret.name) && self.tags.iter().all(|tag| tag.matches(secret))
    }

    fn admits(&self, name: &SecretName) -> bool {
        (self.names.is_empty() || self.names.contains(name))
            && self
                .name_prefix
                .as_ref()
                .is_none_or(|prefix| name.as_str().starts_with(prefix))
    }
}

impl TagMatcher {
    fn matches(&self, secret: &Secret) -> bool {
        secret
            .tags
            .get(&self.key)
            .is_some_and(|value| self.values.is_empty() || self.values.contains(value))
    }
}
