//! A secret that a selector excludes is never touched, whatever else it selects.

use std::collections::{BTreeMap, BTreeSet};

use fixtures::{bound_policy, policy};
use proptest::prelude::*;
use secret_rotation_core::action::Action;
use secret_rotation_core::authorise::authorise;
use secret_rotation_core::names::{Arn, SecretName};
use secret_rotation_core::selector::{Matcher, Selector, TagMatcher};

const NAMES: [&str; 6] = [
    "prod/a",
    "prod/ab",
    "prod/a-ledger",
    "prod/b",
    "shared/a",
    "shared/a-AbCdEf",
];
const PREFIXES: [&str; 5] = ["prod/", "prod/a", "shared/", "shared/a-", "x"];
const SUFFIX: &str = "AbCdEf";

fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}")
}

/// ARNs as people write them: complete, or without the six characters.
fn some_arn() -> impl Strategy<Value = Arn> {
    let whole = prop::bool::ANY;
    (prop::sample::select(NAMES.to_vec()), whole).prop_map(|(name, whole)| {
        let name = if whole {
            format!("{name}-{SUFFIX}")
        } else {
            name.to_owned()
        };
        Arn::parse(arn(&name)).expect("an ARN")
    })
}

fn some_tags() -> impl Strategy<Value = Vec<TagMatcher>> {
    let value = prop::sample::select(vec!["", "x", "y"]);
    let tag = value.prop_map(|value| TagMatcher {
        key: "team".to_owned(),
        values: (!value.is_empty())
            .then(|| value.to_owned())
            .into_iter()
            .collect(),
    });
    prop::collection::vec(tag, 0..2)
}

fn some_item() -> impl Strategy<Value = Matcher> {
    let name = prop::sample::select(NAMES.to_vec())
        .prop_map(|name| SecretName::parse(name).expect("a name"));
    let prefix = prop::sample::select(PREFIXES.to_vec()).prop_map(str::to_owned);
    (
        prop::collection::btree_set(name, 0..3),
        prop::collection::btree_set(some_arn(), 0..2),
        prop::option::of(prefix),
        some_tags(),
    )
        .prop_map(|(names, arns, name_prefix, tags)| Matcher {
            names,
            arns,
            name_prefix,
            tags,
        })
}

/// The oracle: whether an exclusion means this secret, as a person would read it.
fn means(item: &Matcher, name: &str, tags: &BTreeMap<String, String>) -> bool {
    let ids: BTreeSet<String> = [arn(name), arn(&format!("{name}-{SUFFIX}"))].into();
    let listed = item.names.iter().any(|own| own.as_str() == name)
        || item.arns.iter().any(|own| ids.contains(own.as_str()));
    let anything = item.names.is_empty() && item.arns.is_empty();
    let begins = item
        .name_prefix
        .as_ref()
        .is_none_or(|prefix| name.starts_with(prefix.as_str()));
    let tagged = item.tags.iter().all(|tag| {
        let value = tags.get(&tag.key);
        value.is_some_and(|value| tag.values.is_empty() || tag.values.contains(value))
    });
    (anything || listed) && begins && tagged
}

proptest! {
    #![proptest_config(crate::support::cases(2000))]

    /// `authorise` is what makes the authority that every write needs.
    #[test]
    fn an_excluded_secret_is_never_selected_nor_written(
        include in prop::collection::vec(some_item(), 1..3),
        exclude in prop::collection::vec(some_item(), 0..3),
        name in prop::sample::select(NAMES.to_vec()),
        team in prop::option::of(prop::sample::select(vec!["x", "y"])),
    ) {
        let mut secret = fixtures::stuck(name);
        secret.name = SecretName::parse(name).expect("a name");
        secret.arn = Arn::parse(arn(&format!("{name}-{SUFFIX}"))).expect("an ARN");
        secret.tags = team.map(|team| ("team".to_owned(), team.to_owned())).into_iter().collect();
        let excluded = exclude.iter().any(|item| means(item, name, &secret.tags));
        let mut policy = policy("payments");
        policy.selector = Selector { include, exclude, max_secrets: 1000 };
        let own = bound_policy(policy);
        if excluded {
            prop_assert!(!own.policy.selector.selects(&secret));
            for action in Action::ALL {
                prop_assert!(authorise(&own.tenant, &own.profile, &own.policy, &secret, action).is_err());
            }
        }
    }
}
