//! The selector of a policy: which secrets it selects.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::names::{Arn, SecretName};
use crate::secret::Secret;

/// A secret with this tag key is excluded from every policy.
pub const IGNORE_TAG: &str = "secretrotation.dev/ignore";

/// Include and exclude items. Exclusion takes precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// A secret must match one of these.
    pub include: Vec<Matcher>,
    /// A secret must match none of these.
    pub exclude: Vec<Matcher>,
    /// The number of matches above which no automatic action starts.
    pub max_secrets: usize,
}

/// One item. All of its conditions that are set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// Exact names. Without names and ARNs, every name matches.
    pub names: BTreeSet<SecretName>,
    /// Secrets by ARN, in addition to those by name. Only exclusions of earlier releases have them.
    pub arns: BTreeSet<Arn>,
    /// The prefix of the name.
    pub name_prefix: Option<String>,
    /// Tags, all of which must match.
    pub tags: Vec<TagMatcher>,
}

/// A tag key with one of the values, or with any value if none is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagMatcher {
    /// The complete key.
    pub key: String,
    /// Complete values; empty = the key exists.
    pub values: BTreeSet<String>,
}

/// A part of a selector that can match no secret, which indicates a mistake.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unmatchable {
    /// A name that another condition of the same item excludes.
    #[error(
        "name {name} does not begin with namePrefix {prefix} of the same item; write it into an item of its own"
    )]
    NameBesidePrefix {
        /// The name.
        name: String,
        /// The prefix.
        prefix: String,
    },
    /// An exclusion of something that is not included.
    #[error("{text} excludes nothing that is included; correct it, or remove it")]
    ExcludesNothing {
        /// The name, ARN or prefix.
        text: String,
    },
    /// Everything that is included is excluded.
    #[error("everything that is included is excluded; narrow the exclusions")]
    NothingLeft,
}

impl Selector {
    /// Returns the first part that can match nothing, judged by names. Tags are never taken to exclude a secret.
    pub fn unmatchable(&self) -> Option<Unmatchable> {
        let mut items = self.include.iter().chain(&self.exclude);
        let inconsistent = items.find_map(Matcher::name_beside_prefix);
        let idle = || {
            let mut texts = self.exclude.iter().flat_map(Matcher::texts);
            let text = texts.find(|text| !self.include.iter().any(|item| item.may_match(text)))?;
            Some(Unmatchable::ExcludesNothing {
                text: text.to_string(),
            })
        };
        let nothing_left = || {
            let mut included = self.include.iter();
            let all = included.all(|item| self.excludes_all(item));
            (all && !self.include.is_empty()).then_some(Unmatchable::NothingLeft)
        };
        inconsistent.or_else(idle).or_else(nothing_left)
    }

    /// Returns whether an exclusion without tags excludes everything that an item could match.
    fn excludes_all(&self, item: &Matcher) -> bool {
        let excluded = |text: &Name<'_>| {
            let mut untagged = self.exclude.iter().filter(|other| other.tags.is_empty());
            untagged.any(|other| other.matches_all(text))
        };
        let texts = item.texts();
        !texts.is_empty() && texts.iter().all(excluded)
    }

    /// Returns whether the policy selects this secret. Names and tags are compared completely and case-sensitively,
    /// unlike AWS's own filters, which match prefixes.
    pub fn selects(&self, secret: &Secret) -> bool {
        !secret.tags.contains_key(IGNORE_TAG)
            && self.include.iter().any(|item| item.matches(secret))
            && !self.exclude.iter().any(|item| item.matches(secret))
    }

    /// Returns whether the policy may select a secret of which only the name is known. Exclusions with tags exclude
    /// nothing here.
    pub fn may_select(&self, name: &SecretName) -> bool {
        let by_name_alone = |item: &Matcher| item.tags.is_empty() && item.admits(name);
        self.include.iter().any(|item| item.admits(name)) && !self.exclude.iter().any(by_name_alone)
    }

    /// Returns the part of the selector whose names begin with one of the ceilings: what may be requested at all. An
    /// item that is completely outside of them is left out, because without names it would select every secret.
    #[must_use]
    pub fn within(&self, ceilings: &[String]) -> Self {
        let include = self.include.iter().flat_map(|item| item.within(ceilings));
        Self {
            include: include.collect(),
            ..self.clone()
        }
    }

    /// Returns the exact names that the policy expects to exist.
    pub fn exact_names(&self) -> impl Iterator<Item = &SecretName> {
        self.include.iter().flat_map(|item| item.names.iter())
    }
}

/// One condition of a matcher about names.
#[derive(Clone, Copy, Debug)]
enum Name<'a> {
    Exactly(&'a str),
    Arn(&'a Arn),
    Beginning(&'a str),
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(text) => write!(f, "name {text}"),
            Self::Arn(arn) => write!(f, "ARN {arn}"),
            Self::Beginning(text) => write!(f, "namePrefix {text}"),
        }
    }
}

impl Matcher {
    /// Returns each name and ARN, or otherwise the prefix; empty = any name.
    fn texts(&self) -> Vec<Name<'_>> {
        let names = self.names.iter().map(|name| Name::Exactly(name.as_str()));
        let mut texts: Vec<_> = names.chain(self.arns.iter().map(Name::Arn)).collect();
        if texts.is_empty() {
            texts.extend(self.name_prefix.as_deref().map(Name::Beginning));
        }
        texts
    }

    fn name_beside_prefix(&self) -> Option<Unmatchable> {
        let prefix = self.name_prefix.as_deref()?;
        let name = self
            .names
            .iter()
            .map(SecretName::as_str)
            .chain(self.arns.iter().map(Arn::name))
            .find(|name| !name.starts_with(prefix))?;
        Some(Unmatchable::NameBesidePrefix {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    /// Returns whether some secret could match both.
    fn may_match(&self, text: &Name<'_>) -> bool {
        let of_name = |name: &str| {
            let named = self.names.iter().any(|own| own.as_str() == name);
            (named || (self.names.is_empty() && self.arns.is_empty()))
                && self
                    .name_prefix
                    .as_deref()
                    .is_none_or(|prefix| name.starts_with(prefix))
        };
        match text {
            Name::Exactly(name) => of_name(name),
            // An ARN without the six characters ends with the name itself.
            Name::Arn(arn) => of_name(arn.name()) || of_name(arn.resource()),
            Name::Beginning(beginning) => {
                let named = self
                    .names
                    .iter()
                    .any(|own| own.as_str().starts_with(beginning));
                let any = self.names.is_empty()
                    && self.name_prefix.as_deref().is_none_or(|prefix| {
                        prefix.starts_with(beginning) || beginning.starts_with(prefix)
                    });
                named || any
            }
        }
    }

    /// Returns whether every secret that matches the text also matches the names of this matcher.
    fn matches_all(&self, text: &Name<'_>) -> bool {
        let begins = |text: &str| {
            self.name_prefix
                .as_deref()
                .is_none_or(|prefix| text.starts_with(prefix))
        };
        match text {
            Name::Exactly(name) => {
                let named = self.names.iter().any(|own| own.as_str() == *name);
                (named || (self.names.is_empty() && self.arns.is_empty())) && begins(name)
            }
            Name::Beginning(text) => self.names.is_empty() && self.arns.is_empty() && begins(text),
            Name::Arn(_) => false,
        }
    }

    /// Returns whether a name or ARN of this matcher identifies the secret. An ARN without the six characters at its
    /// end identifies the secret whose ARN continues it by six characters, as in AWS: an exclusion by such an ARN must
    /// have an effect.
    fn names_secret(&self, secret: &Secret) -> bool {
        let arn = &secret.arn;
        self.names.contains(&secret.name)
            || self
                .arns
                .iter()
                .any(|own| own == arn || arn.is_suffixed(own))
    }

    fn matches(&self, secret: &Secret) -> bool {
        let any = self.names.is_empty() && self.arns.is_empty();
        (any || self.names_secret(secret))
            && self.begins(&secret.name)
            && self.tags.iter().all(|tag| tag.matches(secret))
    }

    /// Returns whether the name matches, regardless of tags.
    fn admits(&self, name: &SecretName) -> bool {
        let any = self.names.is_empty() && self.arns.is_empty();
        (any || self.names.contains(name)) && self.begins(name)
    }

    fn begins(&self, name: &SecretName) -> bool {
        self.name_prefix
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Matcher {
        let name = |name: &&str| SecretName::parse(*name).expect("a name");
        Matcher {
            names: names.iter().map(name).collect(),
            ..Matcher::default()
        }
    }

    fn prefix(prefix: &str) -> Matcher {
        Matcher {
            name_prefix: Some(prefix.to_owned()),
            ..Matcher::default()
        }
    }

    fn arn(resource: &str) -> Arn {
        let text = format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:{resource}");
        Arn::parse(text).expect("an ARN")
    }

    fn by_arn(resource: &str) -> Matcher {
        Matcher {
            arns: [arn(resource)].into(),
            ..Matcher::default()
        }
    }

    fn tagged() -> Matcher {
        let tag = TagMatcher {
            key: "team".to_owned(),
            values: BTreeSet::new(),
        };
        Matcher {
            tags: vec![tag],
            ..Matcher::default()
        }
    }

    fn fault(include: &[Matcher], exclude: &[Matcher]) -> Option<String> {
        let selector = Selector {
            include: include.to_vec(),
            exclude: exclude.to_vec(),
            max_secrets: 10,
        };
        selector.unmatchable().map(|why| why.to_string())
    }

    #[test]
    fn an_arn_identifies_its_secret_with_or_without_the_six_characters() {
        let whole = arn("payments/my-ledger-AbCdEf");
        assert!(whole.is_suffixed(&arn("payments/my-ledger")));
        for other in [
            "payments/my",
            "payments/my-ledger-AbCdEf",
            "payments/my-ledge",
            "payments",
        ] {
            assert!(!whole.is_suffixed(&arn(other)), "{other}");
        }
    }

    #[test]
    fn a_selector_that_can_match_has_no_fault() {
        for (include, exclude) in [
            (vec![prefix("payments/")], vec![]),
            (vec![prefix("payments/")], vec![prefix("payments/old")]),
            (vec![prefix("payments/")], vec![names(&["payments/a"])]),
            (vec![prefix("payments/")], vec![by_arn("payments/a-AbCdEf")]),
            (vec![prefix("payments/")], vec![by_arn("payments/a")]),
            (
                vec![prefix("payments/my-ledger")],
                vec![by_arn("payments/my-ledger")],
            ),
            (vec![names(&["a", "b"])], vec![names(&["a"])]),
            (vec![names(&["a"])], vec![tagged()]),
            (vec![tagged()], vec![names(&["anything"])]),
            (vec![prefix("a/"), prefix("b/")], vec![prefix("a/")]),
            (vec![prefix("a/"), tagged()], vec![prefix("a/")]),
            (vec![prefix("payments/a")], vec![prefix("payments/ab")]),
        ] {
            assert_eq!(fault(&include, &exclude), None, "{include:?} {exclude:?}");
        }
    }

    #[test]
    fn a_part_that_can_match_nothing_is_named() {
        let mut both = names(&["a/x", "b/y"]);
        both.name_prefix = Some("a/".to_owned());
        assert_eq!(
            fault(std::slice::from_ref(&both), &[]).as_deref(),
            Some(
                "name b/y does not begin with namePrefix a/ of the same item; write it into an item of its own"
            )
        );
        for (exclude, text) in [
            (names(&["payments/a", "payment/b"]), "name payment/b"),
            (prefix("Payments/"), "namePrefix Payments/"),
            (
                by_arn("billing/a-AbCdEf"),
                "ARN arn:aws:secretsmanager:eu-west-1:111122223333:secret:billing/a-AbCdEf",
            ),
        ] {
            let expected =
                format!("{text} excludes nothing that is included; correct it, or remove it");
            assert_eq!(fault(&[prefix("payments/")], &[exclude]), Some(expected));
        }
        for (include, exclude) in [
            (prefix("a/b"), prefix("a/")),
            (names(&["a/b"]), prefix("a/")),
            (names(&["a/b"]), names(&["a/b"])),
        ] {
            let left = "everything that is included is excluded; narrow the exclusions";
            assert_eq!(fault(&[include], &[exclude]).as_deref(), Some(left));
        }
    }
}
