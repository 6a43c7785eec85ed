//! The states that scenarios generate, and that each is stable.

use std::collections::BTreeSet;

use secret_rotation_simulator::{SecretSnapshot, Simulator};
use serde_json::{Value, json};

use crate::client::{ask, simulator};

/// Returns a secret in a state, after one minute.
fn in_state(state: &str) -> (Simulator, SecretSnapshot, Value) {
    let aws = simulator(&format!(
        "generate: [{{count: 1, name: app, state: {state}}}]"
    ));
    aws.jump(60.0);
    let truth = aws.inspect("app").unwrap();
    let answer = ask(&aws, "DescribeSecret", &json!({"SecretId": "app"})).json();
    (aws, truth, answer)
}

/// Returns the labels of each version, without the ids.
fn labels(truth: &SecretSnapshot) -> BTreeSet<String> {
    let joined = |labels: &BTreeSet<String>| labels.iter().cloned().collect::<Vec<_>>().join("+");
    truth.labels.values().map(joined).collect()
}

fn set<const N: usize>(labels: [&str; N]) -> BTreeSet<String> {
    labels.map(str::to_owned).into()
}

fn pending(truth: &SecretSnapshot) -> &str {
    let mut labels = truth.labels.iter();
    labels
        .find(|(_, held)| held.contains("AWSPENDING"))
        .unwrap()
        .0
}

#[test]
fn healthy_is_at_rest() {
    let (_aws, truth, answer) = in_state("healthy");
    assert_eq!(labels(&truth), set(["AWSCURRENT", "AWSPREVIOUS"]));
    assert!(truth.live_value_is_labelled && !truth.rotating);
    assert_eq!(answer["RotationEnabled"], true);
}

#[test]
fn pending_on_current_has_both_labels_on_one_version() {
    let (_aws, truth, _) = in_state("pending-on-current");
    assert_eq!(
        labels(&truth),
        set(["AWSCURRENT+AWSPENDING", "AWSPREVIOUS"])
    );
}

#[test]
fn stuck_empty_has_a_pending_version_without_a_value() {
    let (_aws, truth, _) = in_state("stuck-empty");
    assert!(!truth.versions[pending(&truth)] && !truth.rotating);
    assert_eq!(truth.last_changed, "2026-11-22T08:00:00Z".parse().unwrap());
}

#[test]
fn stuck_valued_has_a_pending_value_that_the_target_does_not_accept() {
    let (_aws, truth, _) = in_state("stuck-valued");
    let pending = pending(&truth);
    assert!(truth.versions[pending] && !truth.accepted.contains(pending));
    assert!(truth.live_value_is_labelled && !truth.rotating);
}

#[test]
fn stuck_after_set_has_the_only_value_that_the_target_accepts() {
    let (_aws, truth, _) = in_state("stuck-after-set");
    assert_eq!(truth.accepted, set([pending(&truth)]));
    assert!(!truth.rotating);
}

#[test]
fn rotating_is_in_progress_and_then_done() {
    let (aws, truth, _) = in_state("rotating");
    assert!(truth.rotating && truth.versions[pending(&truth)]);
    aws.jump(1800.0);
    assert_eq!(
        labels(&aws.inspect("app").unwrap()),
        set(["AWSCURRENT", "AWSPREVIOUS"])
    );
}

#[test]
fn overdue_stays_overdue() {
    let (_aws, truth, answer) = in_state("overdue");
    assert_eq!(labels(&truth), set(["AWSCURRENT", "AWSPREVIOUS"]));
    assert_eq!(answer["NextRotationDate"], 1_795_255_200.0);
}

#[test]
fn disabled_has_its_rotation_turned_off() {
    let (_aws, truth, answer) = in_state("disabled");
    assert_eq!(truth.rotation_enabled, Some(false));
    assert_eq!(answer.get("NextRotationDate"), None);
}

#[test]
fn deleted_is_scheduled_for_deletion() {
    let (aws, _, answer) = in_state("deleted");
    assert!(answer["DeletedDate"].is_number());
    let listed = ask(&aws, "ListSecrets", &json!({})).json();
    assert_eq!(listed["SecretList"], json!([]));
}

#[test]
fn managed_has_an_owning_service_and_no_function() {
    let (_aws, _, answer) = in_state("managed");
    assert_eq!(answer["OwningService"], "rds");
    assert_eq!(answer.get("RotationLambdaARN"), None);
}

#[test]
fn a_replica_refuses_to_be_written_in_every_region() {
    for region in ["eu-west-1", "us-east-1"] {
        let state = format!("{{count: 1, name: app, state: replica, region: {region}}}");
        let aws = simulator(&format!("generate: [{state}]"));
        let arn = aws.inspect("app").unwrap().arn;
        let tagged = ask(&aws, "TagResource", &json!({"SecretId": arn, "Tags": []}));
        assert_eq!(tagged.code(), "InvalidRequestException", "{region}");
    }
}

#[test]
fn broken_has_no_current_version() {
    let (_aws, truth, _) = in_state("broken");
    assert_eq!(labels(&truth), set(["AWSPENDING"]));
    assert!(!truth.live_value_is_labelled);
}

#[test]
fn many_secrets_are_numbered_from_one() {
    let aws =
        simulator("generate: [{count: 3, name: 'app-{n}', state: healthy, function: 'fn-{n}'}]");
    assert_eq!(aws.names(), ["app-1", "app-2", "app-3"]);
    let answer = ask(&aws, "DescribeSecret", &json!({"SecretId": "app-2"})).json();
    let function = answer["RotationLambdaARN"].as_str().unwrap();
    assert!(function.ends_with(":function:fn-2"), "{function}");
}
