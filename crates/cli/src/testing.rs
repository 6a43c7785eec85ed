//! Policies and operations for the tests of this crate.

use fixtures::{arn, arn_in, merged, resource};
use jiff::Timestamp;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use serde_json::{Value, json};

/// Returns the time of the tests.
pub(crate) fn now() -> Option<Timestamp> {
    "2026-11-23T10:00:00Z".parse().ok()
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let changes = json!({"lastTransitionTime": "2026-11-23T09:00:00Z", "observedGeneration": 1});
    merged(fixtures::condition(kind, status, reason, message), &changes)
}

fn policy(namespace: &str, name: &str, spec: &Value, status: &Value) -> SecretRotationPolicy {
    let object = resource("SecretRotationPolicy", namespace, name, spec);
    let changes =
        json!({"metadata": {"generation": 1, "uid": format!("uid-{name}")}, "status": status});
    serde_json::from_value(merged(object, &changes)).expect("a policy")
}

/// Returns a policy that acts: one secret stuck and being cleared, one blocked, one rotating, one in two regions.
pub(crate) fn payments() -> SecretRotationPolicy {
    let finding = |name: &str, region: &str, state: &str, since: &str, more: &Value| {
        let finding = json!({"name": name, "region": region, "state": state, "since": since,
            "message": format!("in this state since {since}"), "arn": arn_in(region, name).as_str()});
        merged(finding, more)
    };
    let versions = json!({"currentVersionId": "a1b2c3d4-0000-4000-8000-000000000001", "pendingVersionId": "c3d4e5f6-0000-4000-8000-000000000002", "attempts": 1, "operation": "payments-x7k2m4q9ab"});
    let held = json!({"currentVersionId": "11111111-0000-4000-8000-000000000001", "pendingVersionId": "22222222-0000-4000-8000-000000000002", "blockedBy": "OutsideWindow", "nextAttemptTime": "2026-11-23T11:30:00Z", "attempts": 0});
    let rotating = json!({"currentVersionId": "33333333-0000-4000-8000-000000000001", "pendingVersionId": "44444444-0000-4000-8000-000000000002"});
    policy(
        "team-payments",
        "payments",
        &json!({"selector": {"include": [{"namePrefix": "payments/"}]}, "mode": "Remediate"}),
        &json!({
            "observedGeneration": 1, "lastCheckTime": "2026-11-23T09:59:46Z",
            "summary": {"selected": 15, "healthy": 11, "rotating": 1, "stuck": 2, "overdue": 1},
            "findings": [
                finding("payments/db/main", "eu-west-1", "Stuck", "2026-11-23T02:14:09Z", &versions),
                finding("payments/ledger", "eu-west-1", "Stuck", "2026-11-22T22:00:00Z", &held),
                finding("payments/ledger", "eu-central-1", "Overdue", "2026-11-21T10:00:00Z", &json!({"blockedBy": "ObserveOnly"})),
                finding("payments/batch", "eu-west-1", "Rotating", "2026-11-23T09:59:19Z", &rotating),
            ],
            "findingsOmitted": 0,
            "nextWindow": {"opens": "2026-11-23T11:30:00Z", "closes": "2026-11-23T13:30:00Z"},
            "conditions": [condition("Ready", "True", "Succeeded", "secrets selected and checked: 15"), condition("Healthy", "False", "RotationStuck", "Stuck: 2; payments/db/main in eu-west-1: stuck")],
        }),
    )
}

/// Returns a policy in mode `Observe` that is healthy.
pub(crate) fn search() -> SecretRotationPolicy {
    policy(
        "team-search",
        "search",
        &json!({"selector": {"include": [{"namePrefix": "search/"}]}}),
        &json!({
            "observedGeneration": 1, "lastCheckTime": "2026-11-23T09:50:00Z",
            "summary": {"selected": 8, "healthy": 8}, "findings": [],
            "conditions": [condition("Ready", "True", "Succeeded", "secrets selected and checked: 8"), condition("Healthy", "True", "AllRotationsHealthy", "no rotation needs attention")],
        }),
    )
}

/// Returns an operation in progress on a finding, a manual one on a healthy secret, and one that has ended.
pub(crate) fn operations() -> Vec<SecretRotationOperation> {
    let operation = |name: &str, created: &str, spec: &Value, status: &Value| {
        let object = resource("SecretRotationOperation", "team-payments", name, spec);
        let changes = json!({"metadata": {"creationTimestamp": created}, "status": status});
        serde_json::from_value(merged(object, &changes)).expect("an operation")
    };
    let spec = |action: &str, secret: &str, trigger: &str| {
        json!({"policyRef": {"name": "payments"}, "action": action, "trigger": trigger, "reason": "a test",
            "secret": {"arn": arn(secret).as_str()},
            "expect": {"currentVersionId": "a1b2c3d4-0000-4000-8000-000000000001", "pendingVersionId": "c3d4e5f6-0000-4000-8000-000000000002"}})
    };
    let settling = json!({
        "secretName": "payments/db/main", "startTime": "2026-11-23T09:56:00Z", "nextStepTime": "2026-11-23T10:04:00Z",
        "steps": [{"name": "Pin", "versionId": "c3d4e5f6-0000-4000-8000-000000000002", "tries": 1, "intentTime": "2026-11-23T09:56:00Z", "resultTime": "2026-11-23T09:56:01Z", "result": "Applied", "requestId": "r-1"}],
        "conditions": [condition("Complete", "False", "Settling", "looks again at 2026-11-23T10:04:00Z before it clears")],
    });
    let verifying = json!({
        "secretName": "payments/api-key",
        "conditions": [condition("Complete", "False", "Verifying", "waiting for the rotation function")],
    });
    let ended = json!({
        "secretName": "payments/old", "startTime": "2026-11-22T10:00:00Z", "completionTime": "2026-11-22T10:06:30Z",
        "conditions": [condition("Complete", "True", "Succeeded", "cleared and rotated")],
    });
    vec![
        operation(
            "payments-x7k2m4q9ab",
            "2026-11-23T09:55:00Z",
            &spec("ClearAndRotate", "payments/db/main", "Policy"),
            &settling,
        ),
        operation(
            "payments-manual-0a1b2c3d",
            "2026-11-23T09:58:00Z",
            &spec("Rotate", "payments/api-key", "Manual"),
            &verifying,
        ),
        operation(
            "payments-old0000000",
            "2026-11-22T09:59:00Z",
            &spec("ClearAndRotate", "payments/old", "Policy"),
            &ended,
        ),
    ]
}
