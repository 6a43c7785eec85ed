//! Secrets that the controller does not touch, and other actors that it respects.

use secret_rotation_simulator::{Fault, FaultKind};
use secret_rotation_tests::by_hand::ByHand;
use secret_rotation_tests::context::{many, one, one_of};
use secret_rotation_tests::invariants::{changes_of, writes_to};
use secret_rotation_tests::objects::{count, finding, is_finished, message, state, text, verdict};
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};

/// The controller never writes to a secret with a slow but healthy rotation, or with versions that AWS itself left.
#[test]
fn healthy_rotations_are_left_alone_for_their_whole_life() {
    let story = Story::with(
        "
        functions: {slow: {stepSeconds: 840}}
        secrets:
        - name: app/slow
          lastChanged: -10s
          versions:
          - {id: 11111111-1111-1111-1111-111111111111, labels: [AWSCURRENT], created: -40d}
          - {id: 22222222-2222-2222-2222-222222222222, labels: [AWSPENDING], empty: true}
          rotation: {function: slow, everyDays: 30, lastRotated: -30d, next: -10s}
          rotating: {step: createSecret, ends: +840s}
        generate:
        - {count: 2, name: 'app/done-{n}', state: pending-on-current}
        - {count: 1, name: app/off, state: disabled}
        - {count: 1, name: app/rds, state: managed}
        - {count: 1, name: app/copy, state: replica}
        - {count: 1, name: app/gone, state: deleted}
        - {count: 1, name: app/broken, state: broken}
        ",
        &Policy::acting("apps").but(&json!({"detection": {"stuckAfter": "2h"}})),
    );
    story.eventually("the rotation is seen", || {
        finding(&story.get("srp", "apps"), "app/slow")["state"] == "Rotating"
    });
    story.while_time_flies("the rotation is done", 300.0, || {
        let policy = story.get("srp", "apps");
        count(&policy, "rotating") == 0 && finding(&policy, "app/slow").is_null()
    });
    assert_eq!(story.aws.writes(), [], "nobody may touch them");
    assert!(story.operations().is_empty());
    let policy = story.get("srp", "apps");
    assert_eq!(count(&policy, "healthy"), 4, "{policy:#}");
    assert_eq!(finding(&policy, "app/broken")["state"], "Broken");
    assert_eq!(finding(&policy, "app/off")["state"], "Disabled");
    story.end();
}

/// A rotation that seemed stuck finishes while the clear is in flight: nothing is lost, and nothing more is done.
#[test]
fn a_rotation_that_finishes_between_look_and_clear_is_not_disturbed() {
    let story = Story::recovering(
        "
        secrets:
        - name: app/db
          lastChanged: -26h
          versions:
          - {id: 11111111-1111-1111-1111-111111111111, labels: [AWSCURRENT], created: -40d}
          - {id: 22222222-2222-2222-2222-222222222222, labels: [AWSPENDING], empty: true}
          rotation: {function: ok-db, everyDays: 30, lastRotated: -31d, next: -1d}
          rotating: {step: createSecret, ends: +3000s}
        ",
    );
    let clear =
        Fault::on("UpdateSecretVersionStage", FaultKind::HangBefore).containing("AWSPENDING");
    story.aws.inject(clear.times(1));
    story.while_time_flies("the clear is on its way", 20.0, || {
        !story.aws.hanging().is_empty()
    });
    story.aws.jump(4000.0);
    story.aws.release();
    story.eventually("the operation has ended", || {
        story
            .operations_on("app/db")
            .first()
            .is_some_and(is_finished)
    });
    let operations = story.operations_on("app/db");
    assert_eq!(state(&operations[0]), "!Superseded", "{operations:#?}");
    assert!(
        !story
            .aws
            .writes()
            .iter()
            .any(|one| one.operation == "RotateSecret")
    );
    let snapshot = story.inspect("app/db");
    let current = &snapshot.labels["22222222-2222-2222-2222-222222222222"];
    assert!(
        current.contains("AWSCURRENT"),
        "the finished rotation stands: {snapshot:?}"
    );
    story.end();
}

/// A pending version that AWS's list omits although it has a value is pinned before it is cleared, or not cleared.
#[test]
fn a_value_that_the_version_list_omits_is_not_lost() {
    let story = Story::recovering(
        "
        world: {valued_pending_omitted: true}
        generate: [{count: 1, name: app/db, state: stuck-after-set, function: 'fail-createSecret'}]
        ",
    );
    let live = story.inspect("app/db").accepted;
    story.while_time_flies("an attempt with a clear has ended", 900.0, || {
        story.operations_on("app/db").iter().any(is_finished)
    });
    let snapshot = story.inspect("app/db");
    for version in &live {
        let labels = snapshot.labels.get(version).cloned().unwrap_or_default();
        assert!(
            !labels.is_empty(),
            "the only live value has lost all labels: {snapshot:?}"
        );
    }
    story.end();
}

/// The older of two policies acts; the other one reports the conflict.
#[test]
fn one_secret_has_one_owner() {
    let mut story = Story::arranged(&many(3, "stuck-empty"))
        .policy(&Policy::acting("first"))
        .ready();
    // Creation times have seconds.
    story.meanwhile(std::time::Duration::from_millis(1100));
    story.apply_policy(&Policy::acting("second"));
    story.start_controller();
    story.eventually("the second policy steps back", || {
        finding(&story.get("srp", "second"), "app/db-1")["blockedBy"] == "Conflict"
    });
    story.while_time_flies("both policies are healthy", 20.0, || {
        ["first", "second"].iter().all(|name| {
            let policy = story.get("srp", name);
            verdict(&policy, "Healthy") == "True/AllRotationsHealthy"
                && count(&policy, "selected") == 3
        })
    });
    let operations = story.operations();
    assert_eq!(operations.len(), 3, "{operations:#?}");
    assert!(
        operations
            .iter()
            .all(|one| one["spec"]["policyRef"]["name"] == "first")
    );
    story.end();
}

/// A manual and an automatic operation run one after the other, and no automatic one starts soon after a manual one.
#[test]
fn a_manual_operation_goes_beside_an_automatic_one() {
    let story = Story::observing(&one_of("stuck-valued", "fail-testSecret"));
    story.eventually("it is found stuck", || {
        count(&story.get("srp", "apps"), "stuck") == 1
    });
    let stuck = finding(&story.get("srp", "apps"), "app/db").clone();
    for name in ["by-hand", "by-hand-too"] {
        let clear = ByHand::new(name, "apps", "ClearPending", "app/db").expecting(&json!({
            "currentVersionId": stuck["currentVersionId"],
            "pendingVersionId": stuck["pendingVersionId"],
        }));
        story.apply(&clear.object());
    }
    story.apply_policy(&Policy::acting("apps"));
    story.while_time_flies("both requests have ended", 60.0, || {
        ["by-hand", "by-hand-too"]
            .iter()
            .all(|name| is_finished(&story.get("sro", name)))
    });
    let states: Vec<_> = ["by-hand", "by-hand-too"]
        .iter()
        .map(|name| state(&story.get("sro", name)))
        .collect();
    assert!(states.contains(&"Succeeded".to_owned()), "{states:?}");
    assert!(
        states
            .iter()
            .any(|state| state == "!Superseded" || state == "!PreconditionFailed"),
        "{states:?}"
    );
    let clears = writes_to(&story.aws, "app/db")
        .into_iter()
        .filter(|one| one.parameters["VersionStage"] == "AWSPENDING");
    assert_eq!(clears.count(), 1);
    story.check("apps");
    let found = finding(&story.get("srp", "apps"), "app/db").clone();
    assert_eq!(found["blockedBy"], "ManualHold", "{found:#}");
    let automatic = story
        .operations()
        .into_iter()
        .filter(|one| one["spec"]["trigger"] == "Policy");
    assert!(
        automatic
            .clone()
            .all(|one| is_finished(&one) || state(&one) == "Queued"),
        "{:#?}",
        automatic.collect::<Vec<_>>()
    );
    story.end();
}

/// Secrets outside the ceiling are not read in detail, and actions that are not allowed are not done.
#[test]
fn a_profile_bounds_what_its_policies_may_do() {
    let bounds = json!({
        "allowedSecrets": [{"namePrefix": "app/"}, {"namePrefix": "prod/"}],
        "allowedActions": ["Rotate"],
    });
    let story = Story::arranged(
        "
        generate:
        - {count: 2, name: 'app/db-{n}', state: stuck-empty}
        - {count: 2, name: 'production/db-{n}', state: stuck-empty}
        - {count: 2, name: 'prod/db-{n}', state: stuck-empty}
        ",
    )
    .profile(&bounds)
    .policy(&Policy::acting("apps"))
    .policy(&Policy::acting("prod").selecting("prod"))
    .start();
    story.eventually("the policies are judged", || {
        count(&story.get("srp", "apps"), "stuck") == 2
            && count(&story.get("srp", "prod"), "stuck") == 2
    });
    for name in ["app/db-1", "app/db-2"] {
        let policy = story.get("srp", "apps");
        assert_eq!(
            finding(&policy, name)["blockedBy"],
            "ActionNotAllowed",
            "{policy:#}"
        );
    }
    story.aws.jump(3600.0);
    story.check("apps");
    story.check("prod");
    assert_eq!(story.aws.writes(), []);
    let beyond = story.aws.requests().into_iter().filter(|one| {
        one.secret
            .as_ref()
            .is_some_and(|id| id.contains("production/"))
    });
    assert_eq!(beyond.count(), 0, "a secret beyond the ceiling was read");
    story.end();
}

/// Too many stuck secrets at once mean a fault of the functions, not of the secrets: the circuit breaker opens.
#[test]
fn the_breaker_stops_a_policy_in_which_everything_is_stuck() {
    let breaker = json!({"remediation": {"circuitBreaker": {"stuckPercent": 40, "minStuck": 5}}});
    let story = Story::with(
        "
        generate:
        - {count: 6, name: 'app/stuck-{n}', state: stuck-empty}
        - {count: 6, name: 'app/well-{n}', state: healthy}
        ",
        &Policy::acting("apps").but(&breaker),
    );
    story.eventually("the breaker is open", || {
        finding(&story.get("srp", "apps"), "app/stuck-1")["blockedBy"] == "CircuitBreakerOpen"
    });
    story.aws.jump(3600.0);
    story.check("apps");
    assert_eq!(story.aws.writes(), []);
    assert!(story.operations().is_empty());
    story.eventually("it is told", || story.tells("CircuitBreakerOpen"));
    let labels = r#"policy="apps",policy_namespace="team-payments""#;
    let open = format!("secretrotation_policy_circuit_breaker_open{{{labels}}}");
    let blocked =
        format!(r#"secretrotation_operations_blocked{{{labels},reason="CircuitBreakerOpen"}}"#);
    let metric = |series: &str| story.controllers[0].metric(series);
    assert_eq!((metric(&open), metric(&blocked)), (Some(1.0), Some(6.0)));
    // One fewer than 40 % of the eligible ones.
    story
        .aws
        .add("generate: [{count: 4, name: 'app/more-{n}', state: healthy}]")
        .expect("a valid estate");
    story.while_time_flies("the breaker has closed and all are well", 20.0, || {
        let policy = story.get("srp", "apps");
        count(&policy, "selected") == 16
            && verdict(&policy, "Healthy") == "True/AllRotationsHealthy"
    });
    assert_eq!((metric(&open), metric(&blocked)), (Some(0.0), Some(0.0)));
    story.end();
}

/// An object that only an older schema accepts does not affect other objects.
#[test]
fn a_policy_that_cannot_be_decoded_stands_beside_good_ones() {
    let mut story = Story::begin(&many(2, "stuck-empty"));
    story.profile(&json!({}));
    let definition: Value = serde_json::from_str(&story.kubectl(&[
        "get",
        "crd",
        "secretrotationpolicies.secretrotation.dev",
        "-o",
        "json",
    ]))
    .expect("JSON");
    let mut lax = definition.clone();
    lax["metadata"] = json!({"name": definition["metadata"]["name"]});
    lax["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    lax["spec"]["versions"][0]["selectableFields"] = json!([]);
    story
        .cluster
        .replace_text(&lax.to_string())
        .expect("the lax definition applies");
    let mut odd = Policy::acting("odd").object();
    odd["spec"]["mode"] = json!({"act": 7});
    story.eventually("the odd policy is let in", || story.try_apply(&odd).is_ok());
    let mut strict = definition.clone();
    strict["metadata"] = lax["metadata"].clone();
    story
        .cluster
        .replace_text(&strict.to_string())
        .expect("the definition applies");
    story.apply_policy(&Policy::acting("apps"));
    story.start_controller();
    story.while_time_flies("the good policy is healthy", 20.0, || {
        let policy = story.get("srp", "apps");
        count(&policy, "selected") == 2 && verdict(&policy, "Healthy") == "True/AllRotationsHealthy"
    });
    story.eventually("the odd policy says what is wrong", || {
        verdict(&story.get("srp", "odd"), "Ready") == "False/InvalidSpec"
    });
    let why = message(&story.get("srp", "odd"), "Ready");
    assert!(why.contains("kubectl explain"), "{why}");
    let asked = ByHand::new("asked", "odd", "ReleasePins", "app/db-1");
    story.apply(&asked.object());
    story.eventually("its operation says so, too", || {
        message(&story.get("sro", "asked"), "Complete").contains("is invalid")
    });
    story.end();
}

/// A suspended policy does nothing, and continues where it stopped.
#[test]
fn a_suspended_policy_stops_its_operations_and_goes_on() {
    let story = Story::recovering(&one("stuck-empty"));
    story.eventually("the version is pinned", || {
        changes_of(&story.aws, "app/db") == 1
    });
    story.apply_policy(&Policy::acting("apps").but(&json!({"suspend": true})));
    story.eventually("the policy is suspended", || {
        verdict(&story.get("srp", "apps"), "Ready") == "True/Suspended"
    });
    story.eventually("its operation waits", || {
        story
            .operations_on("app/db")
            .first()
            .is_some_and(|one| state(one) == "Suspended")
    });
    let writes = story.aws.writes().len();
    for _ in 0..4 {
        story.aws.jump(600.0);
        story.poke();
        story.meanwhile(std::time::Duration::from_millis(500));
    }
    assert_eq!(
        story.aws.writes().len(),
        writes,
        "nothing is written while suspended"
    );
    story.apply_policy(&Policy::acting("apps").but(&json!({"suspend": false})));
    story.while_time_flies("the policy is healthy", 20.0, || {
        verdict(&story.get("srp", "apps"), "Healthy") == "True/AllRotationsHealthy"
    });
    assert_eq!(
        text(&story.operations_on("app/db")[0]["spec"]["action"]),
        "ClearAndRotate"
    );
    story.end();
}
