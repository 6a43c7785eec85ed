//! What one sweep must read so that it serves every policy, and how often.

use std::collections::BTreeSet;
use std::time::Duration;

use secret_rotation_aws::Scope;
use secret_rotation_core::selector::{Matcher, Selector};

/// More names than this are cheaper to find in a list of everything.
const MAX_NAMES: usize = 500;

/// More prefixes than this are cheaper to find in a list of everything.
const MAX_PREFIXES: usize = 10;

/// The first pause after a sweep that did not see everything; it doubles, up to the pace.
const FIRST_RETRY: Duration = Duration::from_secs(15);

/// The cheapest scope that covers all selectors.
pub(crate) fn union(selectors: &[&Selector]) -> Scope {
    let items = || selectors.iter().flat_map(|selector| &selector.include);
    if items().all(|item| !item.names.is_empty()) {
        let names: BTreeSet<_> = items()
            .flat_map(|item| item.names.iter().cloned())
            .collect();
        return if names.len() <= MAX_NAMES {
            Scope::Names(names)
        } else {
            Scope::Everything
        };
    }
    let prefixes: Option<Vec<_>> = items().map(prefixes).collect();
    let prefixes: Option<BTreeSet<_>> = prefixes.map(|sets| sets.into_iter().flatten().collect());
    match prefixes {
        Some(prefixes) if prefixes.len() <= MAX_PREFIXES => Scope::Prefixes(outermost(&prefixes)),
        Some(_) | None => Scope::Everything,
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

/// The time between two sweeps: the shortest interval asked for, not below the profile's, less up to a twentieth that
/// is derived from `seed` so that sweepers of one interval drift apart.
pub(crate) fn pace(
    intervals: impl Iterator<Item = Duration>,
    shortest: Duration,
    seed: &str,
) -> Option<Duration> {
    let interval = intervals.min()?.max(shortest);
    let drift = interval / 20 * u32::from(digest(seed)) / 256;
    Some(interval.saturating_sub(drift).max(shortest))
}

/// The time until the next sweep after so many in a row that did not see everything.
pub(crate) fn next(pace: Duration, failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => pace,
        Some(doublings) => FIRST_RETRY
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(pace),
    }
}

/// One byte of FNV-1a: any stable spread will do.
fn digest(text: &str) -> u8 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.to_be_bytes()
        .iter()
        .fold(0, |folded, byte| folded ^ byte)
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::identity::SecretName;
    use secret_rotation_core::selector::TagMatcher;

    use super::*;

    #[test]
    fn only_names_are_described_one_by_one() {
        assert_eq!(
            union(&[&names(&["b", "a"]), &names(&["a"])]),
            Scope::Names(["a", "b"].map(name).into())
        );
    }

    #[test]
    fn prefixes_and_names_make_filtered_lists_and_the_wider_one_wins() {
        let selectors = [prefix("team/"), prefix("team/db/"), names(&["other"])];
        assert_eq!(
            union(&selectors.each_ref()),
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
        assert_eq!(union(&[&prefix("team/"), &by_tag]), Scope::Everything);
    }

    #[test]
    fn the_shortest_interval_sets_the_pace_within_the_bounds_of_the_profile() {
        let minutes = |all: &[u64]| {
            all.iter()
                .map(|minutes| Duration::from_mins(*minutes))
                .collect::<Vec<_>>()
        };
        let paced = |all: &[u64]| pace(minutes(all).into_iter(), Duration::from_mins(2), "uid");
        assert_eq!(paced(&[]), None);
        let five = paced(&[60, 5]).expect("a pace");
        assert!(
            five <= Duration::from_mins(5) && five >= Duration::from_secs(285),
            "{five:?}"
        );
        assert_eq!(paced(&[1]), Some(Duration::from_mins(2)));
        assert_eq!(paced(&[60, 5]), paced(&[5]), "derived, not drawn");
    }

    #[test]
    fn failures_are_retried_sooner_than_the_pace_but_slower_and_slower() {
        let pace = Duration::from_mins(5);
        assert_eq!(
            [0, 1, 2, 3, 9, 99].map(|failures| next(pace, failures).as_secs()),
            [300, 15, 30, 60, 300, 300]
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
