//! What users see and do with `kubectl`.

use std::collections::BTreeSet;

use secret_rotation_tests::objects::{count, is_finished, message, state, text, verdict};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};

/// The usual number of columns of a terminal.
const WIDTH: usize = 80;

/// Every reason that an event may have.
const EVENTS: [&str; 21] = [
    "RotationStuck",
    "RotationOverdue",
    "SecretExpiring",
    "RemediationFailed",
    "AttemptsExhausted",
    "CircuitBreakerOpen",
    "AccessDenied",
    "PolicyInvalid",
    "ConflictingPolicy",
    "RotationRecovered",
    "OperationCreated",
    "PendingPinned",
    "PendingCleared",
    "PendingRestored",
    "PendingPromoted",
    "RotationTriggered",
    "RotationCompleted",
    "VersionReverted",
    "SecretRestored",
    "PinsReleased",
    "OperationDeferred",
];

const ESTATE: &str = "
    generate:
    - {count: 12, name: 'app/service-{n}', state: healthy}
    - {count: 1, name: app/ledger, state: stuck-empty}
    - {count: 1, name: app/old-tenant, state: disabled}
";

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).collect()
}

fn cells(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn fits(table: &str) {
    for line in lines(table) {
        assert!(line.chars().count() <= WIDTH, "too wide:\n{table}");
    }
}

/// Tables, waits and events show a stuck secret from detection to recovery.
#[test]
fn a_recovery_can_be_followed_with_kubectl_alone() {
    let story = Story::with(ESTATE, &Policy::observing("payments"));
    story.eventually("the first check is done", || {
        count(&story.get("srp", "payments"), "selected") == 14
    });
    let table = story.kubectl(&["get", "srp", "-n", TEAM]);
    fits(&table);
    let table = lines(&table);
    let titles = "NAME MODE READY HEALTHY SECRETS STUCK LAST-CHECK AGE";
    assert_eq!(cells(table[0]).join(" "), titles);
    assert_eq!(
        cells(table[1])[..6],
        ["payments", "Observe", "True", "False", "14", "1"]
    );
    let wide = story.kubectl(&["get", "srp", "-n", TEAM, "-o", "wide"]);
    assert!(
        lines(&wide)[0].ends_with("OVERDUE   SUSPENDED   PROFILE   REASON      MESSAGE"),
        "{wide}"
    );
    describes_the_stuck_secret(&story);

    story.apply_policy(
        &Policy::acting("payments").but(&json!({"detection": {"rotationDisabled": "Ignore"}})),
    );
    story.while_time_flies("the policy is healthy", 20.0, || {
        verdict(&story.get("srp", "payments"), "Healthy") == "True/AllRotationsHealthy"
    });
    let waited = story.kubectl(&[
        "wait",
        "--for=condition=Healthy",
        "srp/payments",
        "-n",
        TEAM,
        "--timeout=30s",
    ]);
    assert!(waited.contains("condition met"), "{waited}");
    let operations = story.operations_on("app/ledger");
    let name = format!("sro/{}", text(&operations[0]["metadata"]["name"]));
    let waited = story.kubectl(&[
        "wait",
        "--for=condition=Complete",
        &name,
        "-n",
        TEAM,
        "--timeout=30s",
    ]);
    assert!(waited.contains("condition met"), "{waited}");
    let table = story.kubectl(&["get", "sro", "-n", TEAM]);
    fits(&table);
    let table = lines(&table);
    assert_eq!(cells(table[0]).join(" "), "NAME ACTION SECRET STATE AGE");
    assert_eq!(
        cells(table[1])[1..4],
        ["ClearAndRotate", "app/ledger", "Succeeded"]
    );
    let wide = story.kubectl(&["get", "sro", "-n", TEAM, "-o", "wide"]);
    assert!(
        wide.contains("TRIGGER") && wide.contains("rotated"),
        "{wide}"
    );
    fits(&story.kubectl(&["get", "awsap"]));
    let all = story.kubectl(&["get", "secret-rotation", "-n", TEAM]);
    for kind in ["policy", "operation"] {
        let name = format!("secretrotation{kind}.secretrotation.dev/payments");
        assert!(all.contains(&name), "{all}");
    }
    assert!(
        all.contains("awsaccessprofile.secretrotation.dev/default"),
        "{all}"
    );
    tells_only_known_events(&story);
    story.end();
}

fn describes_the_stuck_secret(story: &Story) {
    let description = story.kubectl(&["describe", "srp", "payments", "-n", TEAM]);
    let told: Vec<_> = description
        .lines()
        .map(|line| cells(line).join(" "))
        .collect();
    for line in [
        "Reason: RotationStuck",
        "Name: app/ledger",
        "State: Stuck",
        "Blocked By: ObserveOnly",
        "Healthy: 12",
        "Stuck: 1",
    ] {
        assert!(
            told.iter().any(|one| one == line),
            "{line:?} in\n{description}"
        );
    }
    for words in [
        "rotation has not progressed since 2",
        "Warning  RotationStuck",
    ] {
        assert!(description.contains(words), "{words:?} in\n{description}");
    }
}

fn tells_only_known_events(story: &Story) {
    let known: BTreeSet<_> = EVENTS.into_iter().map(str::to_owned).collect();
    let told: BTreeSet<_> = story
        .list("events")
        .iter()
        .filter(|event| text(&event["involvedObject"]["apiVersion"]).starts_with("secretrotation"))
        .map(|event| text(&event["reason"]))
        .collect();
    let expected = [
        "RotationStuck",
        "OperationCreated",
        "PendingCleared",
        "RotationTriggered",
        "RotationCompleted",
        "RotationRecovered",
    ];
    for reason in expected {
        assert!(told.contains(reason), "{reason} among {told:?}");
    }
    let unknown: Vec<_> = told.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// An impossible manual operation fails with a reason, and `kubectl wait` can wait for that.
#[test]
fn a_failure_can_be_waited_for() {
    let story = Story::with(ESTATE, &Policy::observing("payments"));
    story.apply(&rotate(
        "wrong",
        "app/service-1",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ));
    story.apply(&rotate(
        "gone",
        "app/nothing",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ));
    for (name, reason, words) in [
        (
            "wrong",
            "!PreconditionFailed",
            "AWSCURRENT is on another version",
        ),
        ("gone", "!Gone", "no secret of this name"),
    ] {
        let waited = story.kubectl(&[
            "wait",
            "--for=condition=Failed",
            &format!("sro/{name}"),
            "-n",
            TEAM,
            "--timeout=60s",
        ]);
        assert!(waited.contains("condition met"), "{waited}");
        let operation = story.get("sro", name);
        assert_eq!(state(&operation), reason);
        let message = message(&operation, "Failed");
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(story.aws.writes(), []);
    story.end();
}

fn rotate(name: &str, secret: &str, current: &str) -> Value {
    json!({
        "apiVersion": "secretrotation.dev/v1alpha1",
        "kind": "SecretRotationOperation",
        "metadata": {"name": name, "namespace": TEAM},
        "spec": {
            "policyRef": {"name": "payments"},
            "secret": {"name": secret, "region": "eu-west-1"},
            "action": "Rotate",
            "expect": {"currentVersionId": current},
            "reason": "tried by hand",
        },
    })
}

/// Lists can be filtered by field selectors and labels.
#[test]
fn fields_select_policies_and_operations() {
    let story = Story::arranged("generate: []")
        .policy(&Policy::observing("looks"))
        .policy(&Policy::acting("acts"))
        .ready();
    story.apply(&rotate("by-hand", "app/a", "v"));
    let names = |kind: &str, field: &str| {
        let selector = format!("--field-selector={field}");
        story.kubectl(&["get", kind, "-n", TEAM, &selector, "-o", "name"])
    };
    let policy = "secretrotationpolicy.secretrotation.dev";
    assert_eq!(
        names("srp", "spec.mode=Remediate"),
        format!("{policy}/acts\n")
    );
    assert_eq!(
        names("srp", "spec.mode=Observe"),
        format!("{policy}/looks\n")
    );
    assert_eq!(names("srp", "spec.profileRef.name=other"), "");
    let operation = "secretrotationoperation.secretrotation.dev/by-hand\n";
    assert_eq!(names("sro", "spec.action=Rotate"), operation);
    assert_eq!(names("sro", "spec.policyRef.name=payments"), operation);
    assert_eq!(names("sro", "spec.action=ClearPending"), "");
    story.end();
}

/// `kubectl explain` has a sentence for every field of every CRD.
#[test]
fn every_field_is_explained() {
    let story = Story::begin("generate: []");
    let kinds = story.list("customresourcedefinitions");
    assert_eq!(kinds.len(), 3);
    for kind in kinds {
        let schema = &kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let name = text(&kind["spec"]["names"]["kind"]);
        let mut unexplained = Vec::new();
        unexplained_fields(schema, &name, &mut unexplained);
        assert_eq!(unexplained, Vec::<String>::new());
    }
    let words = "How long a rotation may make no progress";
    story.eventually("kubectl explains a field", || {
        let field = "secretrotationpolicies.spec.detection.stuckAfter";
        let explained = story.cluster.kubectl().args(["explain", field]).output();
        explained.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains(words))
    });
    story.end();
}

fn unexplained_fields(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let given = text(&field["description"]);
        // apiVersion, kind and metadata are explained by Kubernetes.
        let standard =
            path.matches('.').count() == 1 && !["spec", "status"].contains(&name.as_str());
        if !standard && (given.len() < 10 || !given.contains(' ')) {
            found.push(path.clone());
        }
        unexplained_fields(field, &path, found);
        unexplained_fields(&field["items"], &path, found);
        unexplained_fields(&field["additionalProperties"], &path, found);
    }
}

/// An edit takes effect immediately, and the status names the generation that it describes.
#[test]
fn an_edit_takes_effect_and_is_acknowledged() {
    let story = Story::with(ESTATE, &Policy::observing("payments"));
    story.eventually("it is checked", || {
        count(&story.get("srp", "payments"), "selected") == 14
    });
    story.apply_policy(&Policy::observing("payments").selecting("app/service-"));
    story.eventually("the edit is seen", || {
        let policy = story.get("srp", "payments");
        count(&policy, "selected") == 12
            && policy["status"]["observedGeneration"] == policy["metadata"]["generation"]
    });
    let policy = story.get("srp", "payments");
    assert_eq!(verdict(&policy, "Healthy"), "True/AllRotationsHealthy");
    assert_eq!(verdict(&policy, "Ready"), "True/Succeeded");
    let stale = policy["status"]["conditions"]
        .as_array()
        .is_some_and(|all| {
            all.iter()
                .any(|one| one["observedGeneration"] != policy["metadata"]["generation"])
        });
    assert!(!stale, "{policy:#}");
    story.end();
}

/// The waiting operations of a deleted policy end before their next write, with a reason.
#[test]
fn an_operation_does_not_outlive_its_policy() {
    let story = Story::with(
        "generate: [{count: 1, name: app/ledger, state: stuck-empty}]",
        &Policy::acting("payments").but(&json!({"remediation": {"confirmAfter": "1h"}})),
    );
    story.eventually("the version is pinned", || story.aws.writes().len() == 1);
    story.kubectl(&["delete", "srp", "payments", "-n", TEAM]);
    story.while_time_flies("the operation has ended", 1200.0, || {
        story.operations().iter().all(is_finished)
    });
    let operations = story.operations();
    assert_eq!(state(&operations[0]), "!PolicyGone", "{operations:#?}");
    assert_eq!(
        story.aws.writes().len(),
        1,
        "nothing was written afterwards"
    );
    let series = story.controllers[0].metrics().expect("it answers");
    assert!(
        !series.contains(
            r#"secretrotation_policy_secrets{policy="payments",policy_namespace="team-payments""#
        ),
        "series of a policy end with it"
    );
    story.end();
}
