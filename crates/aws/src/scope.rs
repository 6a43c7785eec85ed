//! The scope of a sweep: the cheapest reads that cover every selector.

use std::collections::BTreeSet;

use secret_rotation_core::names::SecretName;
use secret_rotation_core::selector::{Matcher, Selector};

/// The maximum number of names to describe one by one. A list of everything is cheaper for more names.
const MAX_NAMES: usize = 500;

/// The secrets that a sweep reads. Variants are ordered by cost, cheapest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// These secrets, with one `DescribeSecret` for each.
    Names(BTreeSet<SecretName>),
    /// Secrets whose names begin with one of these prefixes, with lists. No prefix begins with another one. Other
    /// secrets are dropped.
    Prefixes(BTreeSet<String>),
    /// Every secret of the region.
    Everything,
}

impl Scope {
    /// Returns the cheapest scope that covers all selectors. Limit the selectors to their ceiling first, with
    /// [`Selector::within`].
    pub fn covering(selectors: &[&Selector]) -> Self {
        let items = || selectors.iter().flat_map(|selector| &selector.include);
        if items().all(|item| !item.names.is_empty()) {
            let names: BTreeSet<_> = items()
                .flat_map(|item| item.names.iter().cloned())
                .collect();
            return if names.len() <= MAX_NAMES {
                Self::Names(names)
            } else {
                Self::Prefixes(outermost(names.iter().map(ToString::to_string).collect()))
            };
        }
        let prefixes: Option<Vec<_>> = items().map(prefixes).collect();
        let prefixes: Option<BTreeSet<_>> =
            prefixes.map(|sets| sets.into_iter().flatten().collect());
        match prefixes {
            Some(prefixes) => Self::Prefixes(outermost(prefixes)),
            None => Self::Everything,
        }
    }
}

/// Returns the prefixes of all names that an item can match. `None` if it can match any name.
fn prefixes(item: &Matcher) -> Option<BTreeSet<String>> {
    if !item.names.is_empty() {
        return Some(item.names.iter().map(ToString::to_string).collect());
    }
    item.name_prefix
        .clone()
        .filter(|prefix| !prefix.is_empty())
        .map(|prefix| BTreeSet::from([prefix]))
}

/// Drops prefixes that a shorter prefix covers. Sorted order matters: a covered prefix directly follows the prefix that
/// covers it.
fn outermost(prefixes: BTreeSet<String>) -> BTreeSet<String> {
    let mut kept: Vec<String> = Vec::new();
    for prefix in prefixes {
        let covered = kept.last().is_some_and(|last| prefix.starts_with(last));
        if !covered {
            kept.push(prefix);
        }
    }
    kept.into_iter().collect()
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
    fn prefixes_and_names_need_filtered_lists_and_the_wider_one_wins() {
        let selectors = [prefix("team/"), prefix("team/db/"), names(&["other"])];
        assert_eq!(
            Scope::covering(&selectors.each_ref()),
            Scope::Prefixes(["other", "team/"].map(str::to_owned).into())
        );
    }

    #[test]
    fn a_selector_with_nothing_below_its_ceiling_reads_nothing() {
        let none = Selector {
            include: Vec::new(),
            exclude: Vec::new(),
            max_secrets: 10,
        };
        assert_eq!(Scope::covering(&[&none]), Scope::Names(BTreeSet::new()));
        assert_eq!(
            Scope::covering(&[&none, &prefix("team/")]),
            Scope::Prefixes(["team/".to_owned()].into())
        );
    }

    #[test]
    fn many_names_become_prefixes_of_a_list() {
        let many: Vec<_> = (1000..1501).map(|number| number.to_string()).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let Scope::Prefixes(prefixes) = Scope::covering(&[&names(&many)]) else {
            panic!("501 names are too many to describe");
        };
        assert_eq!(prefixes.len(), 501);
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
