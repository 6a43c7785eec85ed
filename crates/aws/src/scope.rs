//! What one sweep must read so that it serves every selector, from the cheapest to the dearest.

use std::collections::BTreeSet;

use secret_rotation_core::identity::SecretName;
use secret_rotation_core::selector::{Matcher, Selector};

/// More names than this are cheaper to find in a list of everything.
const MAX_NAMES: usize = 500;

/// More prefixes than this are cheaper to find in a list of everything.
const MAX_PREFIXES: usize = 10;

/// What a sweep reads, from the cheapest to the dearest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// These secrets, by `DescribeSecret` each.
    Names(BTreeSet<SecretName>),
    /// Secrets whose names begin with one of these, by filtered lists.
    Prefixes(BTreeSet<String>),
    /// Every secret of the region.
    Everything,
}

impl Scope {
    /// The cheapest scope that covers all selectors.
    pub fn covering(selectors: &[&Selector]) -> Self {
        let items = || selectors.iter().flat_map(|selector| &selector.include);
        if items().all(|item| !item.names.is_empty()) {
            let names: BTreeSet<_> = items()
                .flat_map(|item| item.names.iter().cloned())
                .collect();
            return if names.len() <= MAX_NAMES {
                Self::Names(names)
            } else {
                Self::Everything
            };
        }
        let prefixes: Option<Vec<_>> = items().map(prefixes).collect();
        let prefixes: Option<BTreeSet<_>> =
            prefixes.map(|sets| sets.into_iter().flatten().collect());
        match prefixes {
            Some(prefixes) if prefixes.len() <= MAX_PREFIXES => {
                Self::Prefixes(outermost(&prefixes))
            }
            Some(_) | None => Self::Everything,
        }
    }
}

/// The beginnings of all names that an item can match; `None` if any name can.
fn prefixes(item: &Matcher) -> Option<BTreeSet<String>> {
    if !item.names.is_empty() {
        return Some(item.names.iter().map(ToString::to_string).collect());
    }
    item.name_prefix
        .clone()
        .filter(|prefix| !prefix.is_empty())
        .map(|prefix| BTreeSet::from([prefix]))
}

/// Leaves out what a shorter prefix covers.
fn outermost(prefixes: &BTreeSet<String>) -> BTreeSet<String> {
    let covered = |prefix: &String| {
        prefixes
            .iter()
            .any(|other| other != prefix && prefix.starts_with(other.as_str()))
    };
    prefixes
        .iter()
        .filter(|prefix| !covered(prefix))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::selector::TagMatcher;

    use super::*;

    #[test]
    fn only_names_are_described_one_by_one() {
        assert_eq!(
            Scope::covering(&[&names(&["b", "a"]), &names(&["a"])]),
            Scope::Names(["a", "b"].map(name).into())
        );
    }

    #[test]
    fn prefixes_and_names_make_filtered_lists_and_the_wider_one_wins() {
        let selectors = [prefix("team/"), prefix("team/db/"), names(&["other"])];
        assert_eq!(
            Scope::covering(&selectors.each_ref()),
            Scope::Prefixes(["other", "team/"].map(str::to_owned).into())
        );
    }

    #[test]
    fn a_selector_by_tags_alone_needs_everything() {
        let tags = vec![TagMatcher {
            key: "team".to_owned(),
            values: BTreeSet::new(),
        }];
        let by_tag = selector(Matcher {
            tags,
            ..Matcher::default()
        });
        assert_eq!(
            Scope::covering(&[&prefix("team/"), &by_tag]),
            Scope::Everything
        );
    }

    fn names(texts: &[&str]) -> Selector {
        selector(Matcher {
            names: texts.iter().map(|text| name(text)).collect(),
            ..Matcher::default()
        })
    }

    fn prefix(text: &str) -> Selector {
        selector(Matcher {
            name_prefix: Some(text.to_owned()),
            ..Matcher::default()
        })
    }

    fn selector(item: Matcher) -> Selector {
        Selector {
            include: vec![item],
            exclude: Vec::new(),
            max_secrets: 10,
        }
    }

    fn name(text: &str) -> SecretName {
        SecretName::parse(text).expect("a name")
    }
}
