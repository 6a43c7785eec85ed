//! The behavior of rotation functions, from their name and from their script.

use secret_rotation_simulator::{STEPS, Script, SecretSnapshot, Simulator};
use serde_json::json;

use crate::client::{ask, quiet, simulator};

const NEW: &str = "99999999-9999-9999-9999-999999999999";

fn rotate(aws: &Simulator, token: &str) -> String {
    let parameters = json!({"SecretId": "app", "ClientRequestToken": token});
    ask(aws, "RotateSecret", &parameters).code()
}

fn scenario(function: &str) -> String {
    format!("generate: [{{count: 1, name: app, state: healthy, function: {function}}}]")
}

/// Runs one rotation with the function until no event is left.
fn rotated_by(function: &str) -> (Simulator, SecretSnapshot) {
    let aws = quiet(&scenario(function));
    assert_eq!(rotate(&aws, NEW), "OK");
    aws.jump(3600.0);
    let truth = aws.inspect("app").unwrap();
    assert!(!truth.rotating);
    (aws, truth)
}

fn holder(truth: &SecretSnapshot, label: &str) -> Option<String> {
    let mut labels = truth.labels.iter();
    labels
        .find(|(_, held)| held.contains(label))
        .map(|(id, _)| id.clone())
}

fn steps_run(truth: &SecretSnapshot) -> Vec<&'static str> {
    let ran = |step: &&str| truth.invocations.contains_key(*step);
    STEPS.into_iter().filter(ran).collect()
}

#[test]
fn a_function_with_any_other_name_rotates_successfully() {
    let (_aws, truth) = rotated_by("ok-main");
    assert_eq!(holder(&truth, "AWSCURRENT").as_deref(), Some(NEW));
    assert_eq!(holder(&truth, "AWSPENDING"), None);
    assert_eq!(truth.accepted.into_iter().collect::<Vec<_>>(), [NEW]);
    assert_eq!(truth.invocations.into_values().collect::<Vec<_>>(), [1; 4]);
}

#[test]
fn noop_leaves_an_empty_pending_version() {
    let (_aws, truth) = rotated_by("noop-main");
    assert_eq!(holder(&truth, "AWSPENDING").as_deref(), Some(NEW));
    assert!(!truth.versions[NEW]);
    assert_eq!(steps_run(&truth), ["createSecret"]);
}

#[test]
fn nope_cannot_be_invoked() {
    let aws = quiet(&scenario("nope-main"));
    assert_eq!(rotate(&aws, NEW), "AccessDeniedException");
    assert_eq!(holder(&aws.inspect("app").unwrap(), "AWSPENDING"), None);
}

#[test]
fn a_function_fails_in_the_step_of_its_name() {
    for (number, step) in STEPS.into_iter().enumerate() {
        let (_aws, truth) = rotated_by(&format!("fail-{step}-main"));
        assert_eq!(holder(&truth, "AWSPENDING").as_deref(), Some(NEW), "{step}");
        assert_eq!(steps_run(&truth), STEPS[..=number], "{step}");
        assert_eq!(truth.versions[NEW], number > 0, "{step}");
        assert_eq!(truth.accepted.contains(NEW), number > 1, "{step}");
    }
}

#[test]
fn a_function_that_crashes_after_a_step_has_done_it() {
    for (number, step) in STEPS.into_iter().enumerate() {
        let (_aws, truth) = rotated_by(&format!("crash-after-{step}"));
        assert_eq!(holder(&truth, "AWSPENDING").as_deref(), Some(NEW), "{step}");
        assert_eq!(steps_run(&truth), STEPS[..=number], "{step}");
        assert!(truth.versions[NEW], "{step}");
        assert_eq!(truth.accepted.contains(NEW), number > 0, "{step}");
        let promoted = holder(&truth, "AWSCURRENT").as_deref() == Some(NEW);
        assert_eq!(promoted, step == "finishSecret");
    }
}

#[test]
fn a_function_that_hangs_runs_for_fifteen_minutes() {
    for step in STEPS {
        let aws = quiet(&scenario(&format!("hang-{step}")));
        assert_eq!(rotate(&aws, NEW), "OK");
        aws.jump(14.0 * 60.0);
        assert!(aws.inspect("app").unwrap().rotating, "{step}");
        aws.jump(2.0 * 60.0);
        let truth = aws.inspect("app").unwrap();
        assert!(!truth.rotating, "{step}");
        assert_eq!(holder(&truth, "AWSPENDING").as_deref(), Some(NEW), "{step}");
    }
}

#[test]
fn a_script_takes_precedence_over_the_name() {
    let aws = quiet(&scenario("nope-main"));
    aws.script(
        "nope-main",
        Script {
            step_seconds: Some(60),
            ..Script::default()
        },
    );
    assert_eq!(rotate(&aws, NEW), "OK");
    aws.jump(239.0);
    assert!(aws.inspect("app").unwrap().rotating);
    aws.jump(1.0);
    assert_eq!(
        holder(&aws.inspect("app").unwrap(), "AWSCURRENT").as_deref(),
        Some(NEW)
    );
}

#[test]
fn a_function_that_fails_twice_succeeds_when_aws_retries() {
    let fails = |failures: u32| {
        let aws = simulator(&scenario("main"));
        let fail = Some("setSecret".to_owned());
        aws.script(
            "main",
            Script {
                fail,
                failures: Some(failures),
                ..Script::default()
            },
        );
        assert_eq!(rotate(&aws, NEW), "OK");
        aws.jump(2.0 * 3600.0);
        aws
    };
    let current = |aws: &Simulator| holder(&aws.inspect("app").unwrap(), "AWSCURRENT");
    assert_eq!(current(&fails(2)).as_deref(), Some(NEW));
    // AWS retries three times automatically, and one more time after each refused request.
    let aws = fails(4);
    assert_ne!(current(&aws).as_deref(), Some(NEW));
    assert_eq!(
        rotate(&aws, &NEW.replace('9', "8")),
        "InvalidRequestException"
    );
    aws.jump(60.0);
    assert_eq!(current(&aws).as_deref(), Some(NEW));
}

#[test]
fn a_rotation_after_a_clear_does_not_wait_for_a_hanging_function() {
    let aws = quiet(&scenario("main"));
    let hang = Some("setSecret".to_owned());
    aws.script(
        "main",
        Script {
            hang,
            failures: Some(1),
            ..Script::default()
        },
    );
    assert_eq!(rotate(&aws, NEW), "OK");
    aws.jump(60.0);
    let clear =
        json!({"SecretId": "app", "VersionStage": "AWSPENDING", "RemoveFromVersionId": NEW});
    assert_eq!(ask(&aws, "UpdateSecretVersionStage", &clear).code(), "OK");
    let newer = NEW.replace('9', "8");
    assert_eq!(rotate(&aws, &newer), "OK");
    aws.jump(60.0);
    assert_eq!(
        holder(&aws.inspect("app").unwrap(), "AWSCURRENT"),
        Some(newer)
    );
}

#[test]
fn the_timeout_of_a_hanging_function_does_not_end_the_next_rotation() {
    let aws = quiet(&scenario("main"));
    let hang = Some("createSecret".to_owned());
    let script = Script {
        hang,
        failures: Some(1),
        step_seconds: Some(600),
        ..Script::default()
    };
    aws.script("main", script);
    assert_eq!(rotate(&aws, NEW), "OK");
    aws.jump(900.0);
    let clear =
        json!({"SecretId": "app", "VersionStage": "AWSPENDING", "RemoveFromVersionId": NEW});
    assert_eq!(ask(&aws, "UpdateSecretVersionStage", &clear).code(), "OK");
    let newer = NEW.replace('9', "8");
    assert_eq!(rotate(&aws, &newer), "OK");
    aws.jump(2400.0);
    let truth = aws.inspect("app").unwrap();
    assert_eq!(holder(&truth, "AWSCURRENT"), Some(newer));
}

#[test]
fn with_alternating_users_the_previous_value_stays_valid() {
    let aws = quiet(
        "secrets:
- name: app
  versions: [{id: 11111111-1111-1111-1111-111111111111, labels: [AWSCURRENT]}]
  rotation: {function: ok, everyDays: 30}
  target: {strategy: alternating-users}",
    );
    assert_eq!(rotate(&aws, NEW), "OK");
    aws.jump(60.0);
    assert_eq!(aws.inspect("app").unwrap().accepted.len(), 2);
}
