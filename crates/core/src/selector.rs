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

    /// Whether the policy may mean a secret of which only the name is known. Tags that were not read exclude nothing.
    pub fn may_select(&self, name: &SecretName) -> bool {
        let by_name_alone = |item: &Matcher| item.tags.is_empty() && item.admits(name);
        self.include.iter().any(|item| item.admits(name)) && !self.exclude.iter().any(by_name_alone)
    }

    /// The part of the selection whose names begin with one of these: what may be asked for at all. An item that lies
    /// wholly beyond them is left out, for without names it would mean every secret.
    #[must_use]
    pub fn within(&self, ceilings: &[String]) -> Self {
        let include = self.include.iter().flat_map(|item| item.within(ceilings));
        Self {
            include: include.collect(),
            ..self.clone()
        }
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

    fn within(&self, ceilings: &[String]) -> Vec<Self> {
        if !self.names.is_empty() {
            let below = |name: &&SecretName| {
                let mut ceilings = ceilings.iter();
                ceilings.any(|ceiling| name.as_str().starts_with(ceiling)) && self.admits(name)
            };
            let names: BTreeSet<_> = self.names.iter().filter(below).cloned().collect();
            let some = (!names.is_empty()).then(|| Self {
                names,
                ..self.clone()
            });
            return some.into_iter().collect();
        }
        let prefix = self.name_prefix.clone().unwrap_or_default();
        let narrower = |ceiling: &String| {
            if prefix.starts_with(ceiling) {
                Some(prefix.clone())
            } else {
                ceiling.starts_with(&prefix).then(|| ceiling.clone())
            }
        };
        let prefixes: BTreeSet<_> = ceilings.iter().filter_map(narrower).collect();
        let item = |prefix: String| Self {
            name_prefix: (!prefix.is_empty()).then_some(prefix),
            ..self.clone()
        };
        prefixes.into_iter().map(item).collect()
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
