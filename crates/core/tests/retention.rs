//! How long the record of an ended operation is kept.

mod fixtures;

use fixtures::{ago, hours, minutes, now, operation, server};
use secret_rotation_core::operation::{Action, Operation, Outcome, Trigger};
use secret_rotation_core::retention::{MAX_KEPT, Retention, retention};

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

fn judge(operation: &Operation, others: &[Operation]) -> Retention {
    retention(operation, others, hours(24), now(), server(now()))
}

#[test]
fn it_is_kept_for_its_ttl() {
    assert_eq!(judge(&ended("a", 99), &[]), Retention::Keep);
    assert_eq!(judge(&ended("a", 100), &[]), Retention::Delete);
}

#[test]
fn never_less_than_attempts_count() {
    let short = |hours_ago| Operation {
        ttl: minutes(1),
        ..ended("a", hours_ago)
    };
    assert_eq!(judge(&short(23), &[]), Retention::Keep);
    assert_eq!(judge(&short(24), &[]), Retention::Delete);
}

#[test]
fn what_has_not_ended_is_kept() {
    let old = Operation {
        outcome: None,
        ..ended("a", 1000)
    };
    assert_eq!(judge(&old, &[]), Retention::Keep);
}

#[test]
fn of_the_automatic_ones_of_a_policy_only_the_latest_are_kept() {
    let later: Vec<_> = (0..MAX_KEPT).map(|n| ended(&format!("b{n}"), 30)).collect();
    let old = ended("a", 40);
    assert_eq!(judge(&old, &later), Retention::Delete);
    assert_eq!(judge(&old, &later[1..]), Retention::Keep);
    let recent = ended("a", 23);
    let latest: Vec<_> = (0..MAX_KEPT).map(|n| ended(&format!("b{n}"), 1)).collect();
    assert_eq!(
        judge(&recent, &latest),
        Retention::Keep,
        "its attempt counts"
    );
    let by_hand = Operation {
        trigger: Trigger::Manual,
        ..old
    };
    assert_eq!(judge(&by_hand, &later), Retention::Keep);
}
