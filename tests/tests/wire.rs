//! An AWS that refuses, throttles, loses responses and returns invalid responses.

use secret_rotation_simulator::{Fault, FaultKind};
use secret_rotation_tests::context::{many, one};
use secret_rotation_tests::invariants::writes_to;
use secret_rotation_tests::objects::{count, finding, is_finished, message, state, verdict};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story};
use serde_json::json;

const ALL_WELL: &str = "True/AllRotationsHealthy";

/// Throttled reads make a sweep wait; throttled writes are not repeated without a new look.
#[test]
fn throttling_delays_and_loses_nothing() {
    let operations = [
        "ListSecrets",
        "DescribeSecret",
        "UpdateSecretVersionStage",
        "RotateSecret",
    ];
    let throttled = |operation| Fault::on(operation, FaultKind::Throttle).times(3);
    let story = Story::arranged(&many(4, "stuck-empty"))
        .faults(operations.map(throttled))
        .policy(&Policy::acting("apps"))
        .start();
    story.while_time_flies("all are well", 20.0, || {
        let policy = story.get("srp", "apps");
        count(&policy, "selected") == 4 && verdict(&policy, "Healthy") == ALL_WELL
    });
    let rotations = story
        .aws
        .writes()
        .into_iter()
        .filter(|one| one.operation == "RotateSecret" && one.code.as_deref() == Some("OK"));
    assert_eq!(rotations.count(), 4, "one rotation each");
    story.end();
}

/// A denial by the IAM policy is reported in a condition, and is not retried again and again.
#[test]
fn missing_permissions_are_reported_and_end_operations() {
    let story = Story::arranged(&one("stuck-empty"))
        .fault(Fault::on("ListSecrets", FaultKind::AccessDenied))
        .policy(&Policy::acting("apps"))
        .start();
    story.eventually("the policy says what is missing", || {
        verdict(&story.get("srp", "apps"), "Ready") == "False/AccessDenied"
    });
    let why = message(&story.get("srp", "apps"), "Ready");
    assert!(why.contains("AccessDenied"), "{why}");
    story.aws.clear_faults();
    story.aws.inject(Fault::on(
        "UpdateSecretVersionStage",
        FaultKind::AccessDenied,
    ));
    story.check("apps");
    story.while_time_flies("the operation has failed", 20.0, || {
        story
            .operations_on("app/db")
            .first()
            .is_some_and(is_finished)
    });
    assert_eq!(state(&story.operations_on("app/db")[0]), "!AccessDenied");
    let snapshot = story.inspect("app/db");
    assert!(
        snapshot
            .labels
            .values()
            .any(|labels| labels.contains("AWSPENDING")),
        "never cleared unpinned: {snapshot:?}"
    );
    story.meanwhile(std::time::Duration::from_secs(3));
    assert!(
        writes_to(&story.aws, "app/db").len() <= 3,
        "{:#?}",
        story.aws.writes()
    );
    story.end();
}

/// Errors, lost responses, truncated responses and HTML: each of them once for every type of request.
#[test]
fn whatever_the_wire_does_the_secrets_are_well_in_the_end() {
    let kinds = [
        FaultKind::ServerError,
        FaultKind::ServerErrorAfter,
        FaultKind::Truncate,
        FaultKind::Html,
    ];
    let operations = [
        "ListSecrets",
        "DescribeSecret",
        "ListSecretVersionIds",
        "UpdateSecretVersionStage",
        "RotateSecret",
    ];
    let faults = operations.into_iter().flat_map(|operation| {
        let kinds = (0..).zip(kinds.clone());
        kinds.map(move |(number, kind)| Fault::on(operation, kind).after(number).times(1))
    });
    let story = Story::arranged(
        "
        generate:
        - {count: 3, name: 'app/empty-{n}', state: stuck-empty}
        - {count: 3, name: 'app/valued-{n}', state: stuck-valued}
        - {count: 2, name: 'app/set-{n}', state: stuck-after-set}
        ",
    )
    .faults(faults)
    .policy(&Policy::acting("apps"))
    .start();
    story.while_time_flies("all are well", 120.0, || {
        let policy = story.get("srp", "apps");
        count(&policy, "selected") == 8 && verdict(&policy, "Healthy") == ALL_WELL
    });
    for number in 1..=2 {
        let snapshot = story.inspect(&format!("app/set-{number}"));
        assert!(snapshot.live_value_is_labelled, "{snapshot:?}");
    }
    story.end();
}

/// The secrets of a region that does not answer are reported as unknown, not as deleted.
#[test]
fn a_sweep_that_saw_nothing_forgets_nothing() {
    let story = Story::observing(
        "generate: [{count: 2, name: 'app/db-{n}', state: stuck-empty}, {count: 2, name: 'app/well-{n}', state: healthy}]",
    );
    story.eventually("both are found", || {
        count(&story.get("srp", "apps"), "stuck") == 2
    });
    story
        .aws
        .inject(Fault::on("ListSecrets", FaultKind::ServerError));
    story.poke();
    story.eventually("the policy is not ready", || {
        let ready = verdict(&story.get("srp", "apps"), "Ready");
        ready == "False/AWSUnavailable" || ready == "False/SweepIncomplete"
    });
    let policy = story.get("srp", "apps");
    assert_eq!(
        (count(&policy, "selected"), count(&policy, "stuck")),
        (4, 2),
        "{policy:#}"
    );
    assert_eq!(finding(&policy, "app/db-1")["state"], "Stuck");
    story.aws.clear_faults();
    story.eventually("the policy is ready again", || {
        story.poke();
        verdict(&story.get("srp", "apps"), "Ready") == "True/Succeeded"
    });
    story.end();
}

/// The values of the simulated secrets appear nowhere: not in logs, objects, events or metrics.
#[test]
fn no_secret_value_shows_anywhere() {
    let story = Story::arranged(
        "generate: [{count: 2, name: 'app/empty-{n}', state: stuck-empty}, {count: 2, name: 'app/valued-{n}', state: stuck-valued}]",
    ).policy(&Policy::acting("apps")).start_with(&["--log-level", "trace"]);
    story.while_time_flies("all are well", 20.0, || {
        let policy = story.get("srp", "apps");
        count(&policy, "selected") == 4 && verdict(&policy, "Healthy") == ALL_WELL
    });
    let controller = &story.controllers[0];
    let objects = story.kubectl(&["get", "srp,sro,awsap,events,leases", "-A", "-o", "yaml"]);
    let metrics = controller.metrics().expect("metrics");
    for (place, text) in [
        ("log", controller.log()),
        ("objects", objects),
        ("metrics", metrics),
    ] {
        assert!(
            text.len() > 1000,
            "there is something to search in the {place}"
        );
        // Every value in the simulator begins with this.
        assert!(!text.contains("value of "), "a value shows in the {place}");
        assert!(
            !text.contains("AWS_SECRET_ACCESS_KEY") && !text.contains("Credential=story"),
            "a credential shows in the {place}"
        );
    }
    let values = ["GetSecretValue", "BatchGetSecretValue", "PutSecretValue"];
    assert!(
        story
            .aws
            .calls()
            .keys()
            .all(|call| !values.contains(&call.as_str()))
    );
    story.end();
}

/// At most two secrets are recovered at a time, with at most one rotation per function.
#[test]
fn budgets_hold_at_the_wire() {
    let story = Story::arranged(
        "
        generate:
        - {count: 4, name: 'app/shared-{n}', state: stuck-empty, function: ok-shared}
        - {count: 4, name: 'app/own-{n}', state: stuck-empty}
        ",
    )
    .profile(&json!({"maxConcurrentPerFunction": 1}))
    .policy(&Policy::acting("apps").but(&json!({"remediation": {"limits": {"maxConcurrent": 2}}})))
    .start();
    let started = |one: &serde_json::Value| !one["status"]["steps"].is_null() && !is_finished(one);
    story.while_time_flies("all are well", 20.0, || {
        let operations = story.operations();
        let at_work: Vec<_> = operations.iter().filter(|one| started(one)).collect();
        assert!(at_work.len() <= 2, "{at_work:#?}");
        let shared = at_work.iter().filter(|one| {
            one["status"]["secretName"]
                .as_str()
                .is_some_and(|name| name.starts_with("app/shared"))
        });
        assert!(shared.count() <= 1, "{at_work:#?}");
        let policy = story.get("srp", "apps");
        count(&policy, "selected") == 8 && verdict(&policy, "Healthy") == ALL_WELL
    });
    assert_eq!(story.operations().len(), 8);
    assert!(
        story
            .kubectl(&["get", "sro", "-n", TEAM])
            .contains("Succeeded")
    );
    story.end();
}
