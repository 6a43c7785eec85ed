//! The remedies for a stuck rotation.

use secret_rotation_simulator::Script;
use secret_rotation_tests::context::one_of;
use secret_rotation_tests::invariants::writes_to;
use secret_rotation_tests::objects::{count, finding, is_finished, state, steps, text, verdict};
use secret_rotation_tests::{Policy, Story};
use serde_json::json;

/// A pending version without a value is useless: it is pinned and cleared, and a new rotation runs.
#[test]
fn a_value_less_stuck_version_is_cleared_and_rotated() {
    let story = Story::recovering(&one_of("stuck-empty", "ok-db"));
    story.eventually("the secret is found stuck", || {
        count(&story.get("srp", "apps"), "stuck") == 1
    });
    let stuck = story.inspect("app/db");
    story.while_time_flies(
        "the policy is healthy and its operation has ended",
        20.0,
        || {
            verdict(&story.get("srp", "apps"), "Healthy") == "True/AllRotationsHealthy"
                && story.operations().iter().all(is_finished)
        },
    );
    let operations = story.operations_on("app/db");
    assert_eq!(operations.len(), 1, "{operations:#?}");
    assert_eq!(operations[0]["spec"]["action"], "ClearAndRotate");
    assert_eq!(state(&operations[0]), "Succeeded");
    assert_eq!(steps(&operations[0]), ["Pin", "Clear", "Rotate", "Unpin"]);
    let well = story.inspect("app/db");
    assert_ne!(well.labels, stuck.labels);
    assert!(well.live_value_is_labelled && !well.rotating);
    let names: Vec<_> = writes_to(&story.aws, "app/db")
        .into_iter()
        .map(|one| one.operation)
        .collect();
    let relabel = "UpdateSecretVersionStage";
    assert_eq!(names, [relabel, relabel, "RotateSecret", relabel]);
    story.end();
}

/// If the stuck value never reached the target, the same version is retried before anything is cleared.
#[test]
fn a_valued_stuck_version_is_retried_first() {
    let story = Story::recovering(&one_of("stuck-valued", "ok-db"));
    story.while_time_flies("the policy is healthy", 20.0, || {
        verdict(&story.get("srp", "apps"), "Healthy") == "True/AllRotationsHealthy"
            && count(&story.get("srp", "apps"), "selected") == 1
    });
    let operations = story.operations_on("app/db");
    assert_eq!(operations.len(), 1, "{operations:#?}");
    assert_eq!(operations[0]["spec"]["action"], "RetryRotation");
    assert_eq!(steps(&operations[0]), ["Rotate"]);
    let names: Vec<_> = writes_to(&story.aws, "app/db")
        .into_iter()
        .map(|one| one.operation)
        .collect();
    assert_eq!(names, ["RotateSecret"]);
    story.end();
}

/// A single-user function died after setSecret: the pending value is the only one that works. It is never cleared.
#[test]
fn a_value_that_only_the_pending_version_holds_is_never_cleared() {
    let story = Story::recovering(&one_of("stuck-after-set", "ok-db"));
    let pending = story.inspect("app/db").accepted;
    story.while_time_flies("the policy is healthy", 20.0, || {
        verdict(&story.get("srp", "apps"), "Healthy") == "True/AllRotationsHealthy"
            && count(&story.get("srp", "apps"), "selected") == 1
    });
    let well = story.inspect("app/db");
    assert_eq!(
        well.accepted, pending,
        "the target's password is still the one that was set"
    );
    let current = well
        .labels
        .iter()
        .find(|(_, labels)| labels.contains("AWSCURRENT"));
    assert!(current.is_some_and(|(version, _)| pending.contains(version)));
    assert!(
        !story
            .aws
            .writes()
            .iter()
            .any(|one| one.operation == "UpdateSecretVersionStage")
    );
    story.end();
}

/// A rotation that fails again and again: the pauses grow, and finally no attempt is left.
#[test]
fn a_rotation_that_keeps_failing_exhausts_its_attempts() {
    let story = Story::with(
        &one_of("stuck-valued", "fail-testSecret-db"),
        &Policy::acting("apps").but(&json!({"remediation": {"limits": {"maxAttempts": 2}}})),
    );
    story.while_time_flies("two attempts are used up", 900.0, || {
        finding(&story.get("srp", "apps"), "app/db")["blockedBy"] == "AttemptsExhausted"
    });
    let operations = story.operations_on("app/db");
    let actions: Vec<_> = operations
        .iter()
        .map(|one| text(&one["spec"]["action"]))
        .collect();
    assert_eq!(actions, ["RetryRotation", "ClearAndRotate"]);
    assert!(
        operations.iter().all(|one| state(one).starts_with('!')),
        "{operations:#?}"
    );
    let writes = story.aws.writes().len();
    story.aws.jump(3600.0);
    story.check("apps");
    assert_eq!(story.aws.writes().len(), writes, "nothing more is tried");
    let metric = r#"secretrotation_policy_secrets{policy="apps",policy_namespace="team-payments",state="Stuck"}"#;
    assert_eq!(story.controllers[0].metric(metric), Some(1.0));
    story.end();
}

/// The function is fixed between two attempts: the second one recovers the secret.
#[test]
fn a_mended_function_lets_the_next_attempt_succeed() {
    let story = Story::recovering(&one_of("stuck-empty", "fail-setSecret-db"));
    story.while_time_flies("the first attempt has failed", 900.0, || {
        story
            .operations_on("app/db")
            .first()
            .is_some_and(|one| state(one).starts_with('!'))
    });
    story.aws.script("fail-setSecret-db", Script::default());
    story.while_time_flies("the policy is healthy", 900.0, || {
        verdict(&story.get("srp", "apps"), "Healthy") == "True/AllRotationsHealthy"
    });
    story.end();
}
