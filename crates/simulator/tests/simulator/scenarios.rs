//! Scenario files and the errors for invalid ones.

use secret_rotation_simulator::{Scenario, Simulator};
use serde_json::{Value, json};

use crate::client::{ask, simulator};

const CURRENT: &str = "11111111-1111-1111-1111-111111111111";
const PENDING: &str = "22222222-2222-2222-2222-222222222222";

/// A scenario file with every feature.
const WHOLE: &str = "
world: {label_on_empty: invalid_parameter}
functions:
  slow: {stepSeconds: 600}
secrets:
- name: payments/db/main
  region: eu-west-1
  tags: {team: payments}
  created: -400d
  lastChanged: -26h
  versions:
  - {id: 11111111-1111-1111-1111-111111111111, labels: [AWSCURRENT], created: -40d}
  - {id: 22222222-2222-2222-2222-222222222222, labels: [AWSPENDING], empty: true}
  rotation: {function: slow, enabled: true, everyDays: 30, lastRotated: -40d, next: -10d}
  target: {strategy: single-user, accepts: 11111111-1111-1111-1111-111111111111}
generate:
- {count: 2, name: 'app-{n}', state: healthy}
faults:
- {operation: RotateSecret, kind: throttle, count: 2}
";

/// Returns the error of a refused scenario with all causes.
fn refusal(aws: &Simulator, yaml: &str) -> String {
    format!("{:#}", aws.add(yaml).unwrap_err())
}

/// Asserts that the error of a scenario contains each of the texts.
fn complains(yaml: &str, texts: &[&str]) {
    let complaint = refusal(&simulator("{}"), yaml);
    for text in texts {
        assert!(complaint.contains(text), "{complaint:?} lacks {text:?}");
    }
}

fn one_secret(rest: &str) -> String {
    format!("secrets: [{{name: app, {rest}}}]")
}

fn described() -> Value {
    let aws = simulator(WHOLE);
    ask(
        &aws,
        "DescribeSecret",
        &json!({"SecretId": "payments/db/main"}),
    )
    .json()
}

#[test]
fn every_date_of_a_secret_is_added() {
    let answer = described();
    let dates = [
        "CreatedDate",
        "LastChangedDate",
        "LastRotatedDate",
        "NextRotationDate",
    ];
    let now = 1_795_428_000;
    let ago = |hours: i32| json!(f64::from(now - hours * 3600));
    assert_eq!(
        dates.map(|name| answer[name].clone()),
        [ago(9600), ago(26), ago(960), ago(240)]
    );
}

#[test]
fn versions_tags_and_rotation_of_a_secret_are_added() {
    let answer = described();
    assert_eq!(
        answer["VersionIdsToStages"],
        json!({CURRENT: ["AWSCURRENT"], PENDING: ["AWSPENDING"]})
    );
    assert_eq!(
        answer["Tags"],
        json!([{"Key": "team", "Value": "payments"}])
    );
    assert_eq!(
        answer["RotationRules"],
        json!({"AutomaticallyAfterDays": 30})
    );
    assert_eq!(
        answer["RotationLambdaARN"],
        "arn:aws:lambda:eu-west-1:111122223333:function:slow"
    );
}

#[test]
fn the_target_of_a_secret_accepts_the_given_version() {
    let truth = simulator(WHOLE).inspect("payments/db/main").unwrap();
    assert_eq!(truth.accepted.into_iter().collect::<Vec<_>>(), [CURRENT]);
    assert_eq!(
        truth.versions.into_iter().collect::<Vec<_>>(),
        [(CURRENT.to_owned(), true), (PENDING.to_owned(), false)]
    );
}

#[test]
fn a_second_scenario_adds_to_the_first() {
    let aws = simulator(WHOLE);
    aws.add("generate: [{count: 1, name: late, state: healthy}]")
        .unwrap();
    assert_eq!(aws.names(), ["app-1", "app-2", "late", "payments/db/main"]);
}

#[test]
fn an_empty_scenario_changes_nothing() {
    assert_eq!(Scenario::parse("{}").unwrap(), Scenario::default());
}

#[test]
fn the_scenario_of_the_readme_is_valid() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("```yaml\n").unwrap();
    let (yaml, _) = rest.split_once("```").unwrap();
    let aws = simulator(yaml);
    assert_eq!(aws.names().len(), 121);
}

#[test]
fn an_unknown_field_is_reported_with_its_line_and_the_known_fields() {
    complains(
        "secrets:\n- name: app\n  labels: [x]\n",
        &["the scenario is not valid", "labels", "versions", "3"],
    );
    complains("secret: []", &["secret", "generate"]);
}

#[test]
fn an_unknown_state_is_reported_with_the_known_states() {
    complains(
        "generate: [{count: 1, name: app, state: stuck}]",
        &["stuck", "stuck-empty", "healthy"],
    );
}

#[test]
fn an_unknown_kind_of_fault_is_reported_with_the_known_kinds() {
    complains(
        "faults: [{kind: explode}]",
        &["explode", "throttle", "resetAfter"],
    );
}

#[test]
fn an_unknown_switch_is_reported_with_the_known_switches() {
    complains("world: {lag: 5}", &["lag", "own_retries"]);
}

#[test]
fn a_probability_above_one_is_refused() {
    complains(
        "faults: [{kind: throttle, probability: 30}]",
        &["30", "between 0 and 1"],
    );
}

#[test]
fn an_unknown_step_is_refused() {
    let texts = [
        "setSecrets",
        "createSecret, setSecret, testSecret, finishSecret",
    ];
    complains(
        "functions: {bad: {fail: setSecrets}}",
        &[&texts[..], &["function \"bad\""]].concat(),
    );
    let stuck =
        "versions: [{id: a, labels: [AWSPENDING]}], rotating: {step: setSecrets, ends: +5s}";
    complains(
        &one_secret(stuck),
        &[&texts[..], &["secret \"app\""]].concat(),
    );
}

#[test]
fn an_invalid_duration_is_reported_with_the_secret_and_examples() {
    for field in ["created", "lastChanged", "deleted"] {
        complains(
            &one_secret(&format!("{field}: 6 hours")),
            &["secret \"app\"", "6 hours", "-6h"],
        );
    }
    for field in ["lastRotated", "next"] {
        complains(
            &one_secret(&format!("rotation: {{{field}: soon}}")),
            &["secret \"app\"", "soon", "-6h"],
        );
    }
    complains(
        &one_secret("versions: [{id: a, created: -6w}]"),
        &["secret \"app\"", "-6w", "-6h"],
    );
}

#[test]
fn an_impossible_scenario_is_refused() {
    complains("secrets: [{tags: {}}]", &["the name is missing"]);
    complains(
        &one_secret("versions: [{labels: [x]}]"),
        &["the id of a version is missing"],
    );
    complains(
        &one_secret("versions: [{id: a}, {id: a}]"),
        &["version \"a\" is defined twice"],
    );
    let labels = "versions: [{id: a, labels: [AWSCURRENT]}, {id: b, labels: [AWSCURRENT]}]";
    complains(&one_secret(labels), &["two versions have AWSCURRENT"]);
    complains(
        &one_secret("target: {accepts: a}"),
        &["its target accepts a version that does not exist"],
    );
    complains(
        &one_secret("rotating: {step: setSecret, ends: +5s}"),
        &["needs a version with AWSPENDING and without AWSCURRENT"],
    );
    complains(
        "secrets: [{name: app}, {name: app}]",
        &["secret \"app\" exists already"],
    );
    complains(
        "generate: [{count: 2, name: app, state: healthy}]",
        &["\"app\"", "{n}"],
    );
}

#[test]
fn nothing_of_a_refused_scenario_is_added() {
    let aws = simulator("generate: [{count: 1, name: app, state: healthy}]");
    let faulty = format!("{WHOLE}- {{operation: ListSecrets, kind: throttle, probability: 2}}\n");
    refusal(&aws, &faulty);
    refusal(&aws, "secrets: [{name: early}, {name: app}]");
    assert_eq!(aws.names(), ["app"]);
    assert_eq!(ask(&aws, "ListSecrets", &json!({})).code(), "OK");
}
