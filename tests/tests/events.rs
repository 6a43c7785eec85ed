//! Rotation events: a secret with an event is checked immediately, and a change without an event is still found.

use std::time::Duration;

use secret_rotation_simulator::{Fault, FaultKind, Options, Simulator};
use secret_rotation_tests::objects::{finding, text};
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};
use testenv::project;

const QUEUE: &str = "arn:aws:sqs:eu-west-1:111122223333:rotation-events";

/// One secret that AWS rotates in an hour, with a function that hangs. The next regular check is a day later.
const ESTATE: &str = "
queues: [{name: rotation-events}]
functions: {hangs: {hang: createSecret}}
secrets:
- name: app/db
  created: -400d
  lastChanged: -30d
  versions:
  - {id: 11111111-1111-1111-1111-111111111111, labels: [AWSCURRENT], created: -30d}
  rotation: {function: hangs, everyDays: 30, lastRotated: -30d, next: +1h}
";

fn tomorrow() -> Policy {
    Policy::observing("apps").but(&json!({"checkInterval": "24h"}))
}

/// Begins a story with a policy that has seen its only secret healthy, in a profile with a queue.
fn story() -> Story {
    let story = Story::arranged(ESTATE)
        .profile(&json!({"eventQueue": {"arn": QUEUE}}))
        .policy(&tomorrow())
        .start();
    story.eventually("the policy has seen its secret", || {
        story.get("srp", "apps")["status"]["summary"]["healthy"] == 1
    });
    story
}

#[test]
fn a_rotation_that_aws_tells_of_is_in_the_status_long_before_the_next_check() {
    let story = story();
    let lists = story.aws.calls().get("ListSecrets").copied();
    story.aws.jump(3700.0);
    story.eventually("the rotation is in the status", || {
        text(&finding(&story.get("srp", "apps"), "app/db")["state"]) == "Rotating"
    });
    let policy = story.get("srp", "apps");
    assert!(
        finding(&policy, "app/db")["pendingVersionId"].is_string(),
        "{policy:#}"
    );
    assert_eq!(
        story.aws.calls().get("ListSecrets").copied(),
        lists,
        "one secret was looked at, and no list read"
    );
    story.eventually("the event was taken out of the queue", || {
        story.aws.messages(QUEUE) == Some(0)
    });
    story.end();
}

#[test]
fn a_queue_that_lets_nobody_in_changes_nothing_else() {
    let story = Story::arranged(ESTATE)
        .fault(Fault::on("ReceiveMessage", FaultKind::AccessDenied))
        .profile(&json!({"eventQueue": {"arn": QUEUE}}))
        .policy(&tomorrow())
        .start();
    story.eventually("the secret was seen, and the queue asked in vain", || {
        story.controllers[0]
            .metric(r#"secretrotation_aws_requests_total{code="access_denied",operation="ReceiveMessage"}"#)
            .is_some_and(|count| count > 0.0)
            && story.get("srp", "apps")["status"]["summary"]["healthy"] == 1
    });
    story.aws.jump(3700.0);
    story.meanwhile(Duration::from_secs(3));
    assert_eq!(
        text(&finding(&story.get("srp", "apps"), "app/db")["state"]),
        ""
    );
    story.check("apps");
    assert_eq!(
        text(&finding(&story.get("srp", "apps"), "app/db")["state"]),
        "Rotating"
    );
    assert_eq!(story.aws.messages(QUEUE), Some(1), "the event waits");
    story.end();
}

#[test]
fn messages_that_are_no_events_are_taken_away_and_do_nothing() {
    let story = story();
    let calls = || {
        let mut calls = story.aws.calls();
        calls.retain(|operation, _| !operation.contains("Message"));
        calls
    };
    let before = calls();
    for body in [
        "",
        "{",
        r#"{"source": "aws.secretsmanager", "resources": ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/other-AbCdEf"]}"#,
        r#"{"source": "aws.secretsmanager", "resources": ["arn:aws:secretsmanager:evil.example:111122223333:secret:app/db-AbCdEf"]}"#,
    ] {
        story.aws.send(QUEUE, body).expect("the queue is there");
    }
    story.eventually("they are gone", || story.aws.messages(QUEUE) == Some(0));
    story.meanwhile(Duration::from_secs(3));
    assert_eq!(calls(), before, "nothing was looked at");
    story.end();
}

/// The EventBridge rule of `deploy/`, in `CloudFormation` and in Terraform, matches the events of rotations.
#[test]
fn the_rule_lets_the_events_of_rotations_through() {
    let read = |file: &str| {
        std::fs::read_to_string(project::root().join("deploy/events").join(file)).expect(file)
    };
    let pattern: Value = serde_json::from_str(&read("pattern.json")).expect("JSON");
    let stack: Value = serde_saphyr::from_str(&read("cloudformation.yaml")).expect("YAML");
    assert_eq!(
        stack["Resources"]["Rule"]["Properties"]["EventPattern"],
        pattern
    );
    assert!(read("main.tf").contains(r#"file("${path.module}/pattern.json")"#));
    let aws = Simulator::start(Options::default()).expect("the simulator starts");
    aws.add(&ESTATE.replace("hangs: {hang", "hangs: {fail"))
        .expect("a valid estate");
    aws.jump(3700.0);
    let events = aws.events(QUEUE);
    assert!(!events.is_empty());
    for event in &events {
        for key in ["source", "detail-type"] {
            let allowed = pattern[key].as_array().expect("a list");
            assert!(allowed.contains(&event[key]), "{key} of {event:#}");
        }
    }
}
