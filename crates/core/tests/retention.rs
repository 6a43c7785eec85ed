//! How long the records of ended operations are kept.

mod fixtures;

use fixtures::{ago, hours, minutes, now, operation, server};
use secret_rotation_core::identity::Uid;
use secret_rotation_core::operation::{Action, Operation, Outcome, Trigger};
use secret_rotation_core::retention::{MAX_KEPT, deletable};

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

fn deleted(operations: &[Operation]) -> Vec<&str> {
    deleted_beside(operations, &["uid-payments"])
}

fn deleted_beside<'a>(operations: &'a [Operation], policies: &[&str]) -> Vec<&'a str> {
    let policies = policies.iter().map(|uid| Uid::parse(*uid).expect("a UID"));
    let policies = policies.collect();
    let deletable = deletable(operations, hours(24), &policies, now(), server(now()));
    deletable.iter().map(|one| one.key.name.as_str()).collect()
}

#[test]
fn they_are_kept_for_their_ttl() {
    assert_eq!(deleted(&[ended("a", 99), ended("b", 100)]), ["b"]);
}

#[test]
fn never_less_than_attempts_count() {
    let short = |name: &str, hours_ago| Operation {
        ttl: minutes(1),
        ..ended(name, hours_ago)
    };
    assert_eq!(deleted(&[short("a", 23), short("b", 24)]), ["b"]);
}

#[test]
fn what_has_not_ended_is_kept() {
    let old = Operation {
        outcome: None,
        ..ended("a", 1000)
    };
    assert!(deleted(&[old]).is_empty());
}

#[test]
fn of_the_automatic_ones_of_a_policy_only_the_latest_are_kept() {
    let latest = |hours_ago| -> Vec<_> {
        (0..MAX_KEPT)
            .map(|n| ended(&format!("b{n}"), hours_ago))
            .collect()
    };
    let beside = |mut others: Vec<Operation>, one: Operation| {
        others.push(one);
        deleted(&others).contains(&"a")
    };
    assert!(beside(latest(30), ended("a", 40)));
    assert!(!beside(latest(30).split_off(1), ended("a", 40)));
    assert!(!beside(latest(1), ended("a", 23)), "its attempt counts");
    let mut of_gone = latest(30);
    of_gone.push(ended("a", 40));
    let deleted = deleted_beside(&of_gone, &[]);
    assert!(deleted.is_empty(), "its policy may come again");
    let by_hand = Operation {
        trigger: Trigger::Manual,
        ..ended("a", 40)
    };
    assert!(!beside(latest(30), by_hand));
}
