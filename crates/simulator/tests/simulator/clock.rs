//! AWS's clock: its rate, its jumps, and the events within a jump.

use secret_rotation_simulator::{Cause, Entry, Options, Simulator};
use serde_json::json;

use crate::client::{START, ask, simulator};

fn starting(clock_rate: f64) -> Simulator {
    let start_time = Some(START.parse().unwrap());
    Simulator::start(Options {
        clock_rate,
        start_time,
        ..Options::default()
    })
    .unwrap()
}

#[test]
fn a_clock_of_rate_zero_does_not_move() {
    let aws = starting(0.0);
    assert_eq!(aws.now().to_string(), START);
    assert_eq!(aws.now().to_string(), START);
}

#[test]
fn a_clock_of_negative_rate_does_not_run_backwards() {
    let aws = starting(-1000.0);
    assert_eq!(aws.now().to_string(), START);
}

#[test]
fn a_fast_clock_runs_until_its_rate_is_zero() {
    let aws = starting(1e6);
    let start = aws.now();
    while aws.now() == start {}
    aws.set_clock_rate(0.0);
    let stopped = aws.now();
    assert!(stopped > start);
    assert_eq!(aws.now(), stopped);
}

#[test]
fn a_jump_moves_forward_and_back() {
    let aws = starting(0.0);
    aws.jump(90.5);
    assert_eq!(aws.now().to_string(), "2026-11-23T10:01:30.5Z");
    aws.jump(-90.5);
    assert_eq!(aws.now().to_string(), START);
}

#[test]
fn the_date_header_shows_aws_time() {
    let aws = simulator("{}");
    let reply = ask(&aws, "ListSecrets", &json!({}));
    assert!(
        reply.head.contains("date: mon, 23 nov 2026 10:00:00 gmt"),
        "{}",
        reply.head
    );
}

#[test]
fn events_within_a_jump_run_in_order_and_at_their_own_time() {
    let aws = simulator("generate: [{count: 1, name: app, state: rotating}]");
    aws.jump(86_400.0);
    let changes: Vec<_> = aws
        .trace()
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Change { time, cause, .. } => Some((time.to_string(), cause)),
            Entry::Request(_) => None,
        })
        .collect();
    let expected = [
        ("2026-11-23T10:30:10Z", Cause::Rotation),
        ("2026-11-23T10:30:12Z", Cause::Rotation),
    ];
    assert_eq!(
        changes,
        expected.map(|(time, cause)| (time.to_owned(), cause))
    );
}

#[test]
fn aws_rotates_at_the_next_date() {
    let aws = simulator("generate: [{count: 1, name: app, state: healthy}]");
    let before = aws.inspect("app").unwrap().labels;
    aws.jump(18.0 * 86_400.0 + 60.0);
    let truth = aws.inspect("app").unwrap();
    assert_ne!(truth.labels, before);
    assert_eq!(truth.invocations.into_values().collect::<Vec<_>>(), [1; 4]);
}

#[test]
fn a_scheduled_rotation_does_not_start_if_schedules_do_not_run() {
    let aws = simulator(
        "{world: {schedules_run: false}, generate: [{count: 1, name: app, state: healthy}]}",
    );
    let before = aws.inspect("app").unwrap().labels;
    aws.jump(30.0 * 86_400.0);
    assert_eq!(aws.inspect("app").unwrap().labels, before);
}
