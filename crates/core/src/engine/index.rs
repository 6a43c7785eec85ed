//! Finds the policies that may select a secret, and the secrets that a policy may select, without asking every policy
//! about every secret.
//!
//! Only the conditions of `include` are indexed. The result may contain too much, never too little; the caller asks the
//! selector itself.

use std::collections::{BTreeMap, BTreeSet};

use super::row::Tags;
use crate::names::Uid;
use crate::selector::{Matcher, Selector};

/// The policies by what they include.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// By exact name.
    names: BTreeMap<String, BTreeSet<Uid>>,
    /// By the prefix of the name, in one map for each length that occurs.
    prefixes: BTreeMap<usize, BTreeMap<String, BTreeSet<Uid>>>,
    /// By the key of the first tag, for items that name nothing else, and then by its value; `None` = any value.
    tags: BTreeMap<String, BTreeMap<Option<String>, BTreeSet<Uid>>>,
    /// Policies with an item that has no condition.
    everything: BTreeSet<Uid>,
}

/// The secrets that an item may select, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names<'a> {
    Exactly(&'a BTreeSet<crate::names::SecretName>),
    Beginning(&'a str),
}

impl Names<'_> {
    /// Returns whether the name is one of them.
    pub(super) fn contains(self, name: &str) -> bool {
        match self {
            Self::Exactly(names) => names.iter().any(|one| one.as_str() == name),
            Self::Beginning(prefix) => name.starts_with(prefix),
        }
    }
}

/// Returns the names that an item may select.
pub(super) fn names(item: &Matcher) -> Names<'_> {
    if item.names.is_empty() {
        Names::Beginning(item.name_prefix.as_deref().unwrap_or_default())
    } else {
        Names::Exactly(&item.names)
    }
}

impl Index {
    /// Adds a policy.
    pub(super) fn insert(&mut self, policy: &Uid, selector: &Selector) {
        self.change(selector, |policies| {
            policies.insert(policy.clone());
        });
    }

    /// Removes a policy that was added with this selector.
    pub(super) fn remove(&mut self, policy: &Uid, selector: &Selector) {
        self.change(selector, |policies| {
            policies.remove(policy);
        });
        self.names.retain(|_, policies| !policies.is_empty());
        self.prefixes.retain(|_, prefixes| {
            prefixes.retain(|_, policies| !policies.is_empty());
            !prefixes.is_empty()
        });
        self.tags.retain(|_, values| {
            values.retain(|_, policies| !policies.is_empty());
            !values.is_empty()
        });
    }

    fn change(&mut self, selector: &Selector, change: impl Fn(&mut BTreeSet<Uid>)) {
        for item in &selector.include {
            match names(item) {
                Names::Exactly(names) => {
                    for name in names {
                        change(self.names.entry(name.as_str().to_owned()).or_default());
                    }
                }
                Names::Beginning("") => match item.tags.first() {
                    Some(tag) => {
                        let values = self.tags.entry(tag.key.clone()).or_default();
                        let keys = tag.values.iter().cloned().map(Some);
                        let any = tag.values.is_empty().then_some(None);
                        for value in keys.chain(any) {
                            change(values.entry(value).or_default());
                        }
                    }
                    None => change(&mut self.everything),
                },
                Names::Beginning(prefix) => {
                    let prefixes = self.prefixes.entry(prefix.len()).or_default();
                    change(prefixes.entry(prefix.to_owned()).or_default());
                }
            }
        }
    }

    /// Returns the policies that may select a secret with this name and these tags.
    pub(super) fn policies_of(&self, name: &str, tags: Option<&Tags>) -> BTreeSet<Uid> {
        let mut found: BTreeSet<Uid> = self.everything.clone();
        found.extend(self.names.get(name).into_iter().flatten().cloned());
        for (length, prefixes) in &self.prefixes {
            let Some(beginning) = name.get(..*length) else {
                continue;
            };
            found.extend(prefixes.get(beginning).into_iter().flatten().cloned());
        }
        for (key, value) in tags.into_iter().flatten() {
            let Some(values) = self.tags.get(key) else {
                continue;
            };
            for wanted in [None, Some(value.clone())] {
                found.extend(values.get(&wanted).into_iter().flatten().cloned());
            }
        }
        found
    }
}
