//! How long the records of ended operations are kept.

use fixtures::{
    ago, bound_policy, hours, key, minutes, now, operation, operation_index, policy, policy_index,
    server,
};
use secret_rotation_core::action::Action;
use secret_rotation_core::operation::{Operation, Outcome};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::Policy;
use secret_rotation_core::retention::{deletable, window};

fn ended(name: &str, hours_ago: u64) -> Operation {
    let at = ago(hours(hours_ago));
    Operation {
        outcome: Some(Outcome::Succeeded {
            message: String::new(),
        }),
        completed: Some(at),
        ended: Some(server(at)),
        ttl: hours(100),
        ..operation(name, Action::Rotate, "prod/a")
    }
}

fn short(name: &str, hours_ago: u64) -> Operation {
    Operation {
        ttl: minutes(1),
        ..ended(name, hours_ago)
    }
}

fn deleted(operations: &[Operation]) -> Vec<&str> {
    deleted_beside(operations, &[])
}

fn deleted_beside<'a>(operations: &'a [Operation], bound_policies: &[BoundPolicy]) -> Vec<&'a str> {
    let own = |policy: &_| {
        let mut policies = bound_policies
            .iter()
            .map(|bound_policy| &bound_policy.policy);
        let found = policies.find(|other| other.key == *policy)?;
        Some(found.remediation.attempt_window)
    };
    let policies = policy_index(bound_policies);
    let window = |operation: &Operation| window(operation, own, &policies);
    let index = operation_index(operations);
    let deletable = deletable(&index, window, now(), server(now()));
    let is_deleted = |one: &&Operation| deletable.iter().any(|other| other.key == one.key);
    let deleted = operations.iter().filter(is_deleted);
    deleted.map(|one| one.key.name.as_str()).collect()
}

/// A policy that selects this name prefix, with an attempt window of 300 hours.
fn patient(namespace: &str, name: &str, prefix: &str) -> BoundPolicy {
    let mut policy = Policy {
        key: key(namespace, name),
        ..policy(name)
    };
    policy.remediation.attempt_window = hours(300);
    policy.selector.include[0].name_prefix = Some(prefix.to_owned());
    bound_policy(policy)
}

#[test]
fn records_are_kept_for_their_ttl() {
    assert_eq!(deleted(&[ended("a", 99), ended("b", 100)]), ["b"]);
}

#[test]
fn records_are_kept_at_least_as_long_as_attempts_count() {
    assert_eq!(deleted(&[short("a", 23), short("b", 24)]), ["b"]);
}

#[test]
fn records_of_unfinished_operations_are_kept() {
    let old = Operation {
        outcome: None,
        ..ended("a", 1000)
    };
    assert!(deleted(&[old]).is_empty());
}

/// A mass recovery leaves many records at once, and all of them belong to the audit.
#[test]
fn each_record_is_kept_for_its_ttl_however_many_exist() {
    let many: Vec<_> = (0..100).map(|n| ended(&format!("a{n}"), 99)).collect();
    assert!(deleted(&many).is_empty());
}

#[test]
fn the_window_of_a_policy_counts_even_if_that_policy_was_created_again() {
    let again = Policy {
        uid: secret_rotation_core::names::Uid::parse("another").expect("a UID"),
        ..patient("prod", "payments", "none/").policy
    };
    let records = [short("a", 299), short("b", 300)];
    assert_eq!(deleted_beside(&records, &[bound_policy(again)]), ["b"]);
}

#[test]
fn the_window_of_a_policy_that_may_own_the_secret_counts() {
    let records = [short("a", 299), short("b", 300)];
    let heir = patient("prod", "heir", "prod/");
    assert_eq!(deleted_beside(&records, &[heir]), ["b"]);
}

#[test]
fn the_window_of_a_policy_that_cannot_own_the_secret_does_not_count() {
    let elsewhere = Operation {
        arn: Some(fixtures::arn_in("us-east-1", "prod/a")),
        ..short("c", 25)
    };
    let nothing = Operation {
        arn: None,
        ..short("d", 25)
    };
    let records = [short("a", 23), short("b", 25), elsewhere, nothing];
    for stranger in [
        patient("other", "stranger", "other/"),
        // The policy selects secrets beyond the ceiling of its namespace.
        patient("other", "greedy", "prod/"),
        patient("prod", "neighbor", "prod/b"),
    ] {
        assert_eq!(deleted_beside(&records, &[stranger]), ["b", "c", "d"]);
    }
}
