//! Conditions that must be true at the end of every story.

use std::collections::BTreeMap;

use secret_rotation_simulator::{Cause, Entry, Labels, Request, Simulator};

/// The only operations of AWS that the controller may call.
const ALLOWED: [&str; 8] = [
    "ListSecrets",
    "DescribeSecret",
    "ListSecretVersionIds",
    "UpdateSecretVersionStage",
    "RotateSecret",
    "RestoreSecret",
    "ReceiveMessage",
    "DeleteMessageBatch",
];

/// The shortest time after which a rotation may count as stuck: the minimum of `stuckAfter`.
const STUCK_AFTER: f64 = 2.0 * 3600.0;

/// The shortest back-off that a story configures.
const BACKOFF: f64 = 15.0 * 60.0;

/// Checks the complete trace and the final state of all secrets; panics with a description of what is wrong.
pub fn hold(aws: &Simulator) {
    for request in aws.requests() {
        assert!(
            ALLOWED.contains(&request.operation.as_str()),
            "a call outside the allowed list: {request:?}"
        );
        moves_current_by_name_only(&request);
        rotates_by_its_own_schedule(&request);
    }
    for name in aws.names() {
        let snapshot = aws.inspect(&name).expect("a secret of the estate");
        assert!(
            snapshot.live_value_is_labelled || snapshot.accepted.is_empty(),
            "the only value that {name} accepts has no label: {snapshot:?}"
        );
    }
    switches_no_schedule_on(aws);
    clears_only_what_is_old(aws);
    looks_before_each_write(aws);
    spaces_rotations(aws);
}

/// Checks that every move of AWSCURRENT names both versions.
fn moves_current_by_name_only(request: &Request) {
    let parameters = &request.parameters;
    if request.operation == "UpdateSecretVersionStage" && parameters["VersionStage"] == "AWSCURRENT"
    {
        for version in ["RemoveFromVersionId", "MoveToVersionId"] {
            assert!(
                parameters[version].is_string(),
                "AWSCURRENT moved without {version}: {request:?}"
            );
        }
    }
}

/// Checks that AWSCURRENT was not moved and no secret was restored, because no person requested it.
pub fn moves_no_current(aws: &Simulator) {
    for request in aws.writes() {
        let moves = request.parameters["VersionStage"] == "AWSCURRENT";
        assert!(!moves, "AWSCURRENT moved: {request:?}");
        assert_ne!(request.operation, "RestoreSecret", "{request:?}");
    }
}

/// Checks that no rotation request names rules or a function, because it would change them.
fn rotates_by_its_own_schedule(request: &Request) {
    if request.operation == "RotateSecret" {
        for parameter in ["RotationRules", "RotationLambdaARN"] {
            assert!(
                request.parameters[parameter].is_null(),
                "{parameter} changed: {request:?}"
            );
        }
        assert!(
            request.parameters["ClientRequestToken"].is_string(),
            "a rotation without a token of ours: {request:?}"
        );
    }
}

/// Checks that no secret with rotation off was rotated, because `RotateSecret` would switch rotation on.
fn switches_no_schedule_on(aws: &Simulator) {
    let off: Vec<_> = aws
        .names()
        .into_iter()
        .filter(|name| {
            aws.inspect(name)
                .is_some_and(|snapshot| snapshot.rotation_enabled != Some(true))
        })
        .collect();
    for request in aws
        .writes()
        .iter()
        .filter(|request| request.operation == "RotateSecret")
    {
        let about = |name: &String| {
            request
                .secret
                .as_ref()
                .is_some_and(|id| id == name || id.contains(&format!(":secret:{name}-")))
        };
        assert!(
            !off.iter().any(about),
            "rotated though switched off: {request:?}"
        );
    }
}

/// Returns the requests to change a secret, in order.
pub fn writes_to(aws: &Simulator, name: &str) -> Vec<Request> {
    let arn = aws.inspect(name).expect("a secret of the estate").arn;
    let about = |request: &Request| {
        request
            .secret
            .as_ref()
            .is_some_and(|id| *id == arn || id == name)
    };
    aws.writes().into_iter().filter(about).collect()
}

/// Returns the label changes of a secret, by the rotation engine and by requests.
pub fn changes_of(aws: &Simulator, name: &str) -> usize {
    let trace = aws.trace();
    trace
        .iter()
        .filter(|entry| matches!(entry, Entry::Change { secret, .. } if secret == name))
        .count()
}

/// Checks that every clear came long enough after the last change other than a pin of the controller, by AWS's clock.
fn clears_only_what_is_old(aws: &Simulator) {
    let mut changed = BTreeMap::new();
    let mut clears = BTreeMap::new();
    for entry in aws.trace() {
        match entry {
            Entry::Request(request) if is_clear(&request) => {
                clears.insert(request.request_id.clone(), request);
            }
            Entry::Request(_) => {}
            Entry::Change {
                time,
                cause,
                secret,
                before,
                after,
            } => {
                let clear = match &cause {
                    Cause::Request(id) => clears.get(id),
                    Cause::Rotation => None,
                };
                let stale = clear.filter(|clear| !drops_from_current(clear, &before));
                if let (Some(clear), Some(last)) = (stale, changed.get(&secret)) {
                    let age = time.duration_since(*last).as_secs_f64();
                    assert!(
                        age >= STUCK_AFTER,
                        "cleared {age} s after a change: {clear:?}"
                    );
                }
                if without_pins(&before) != without_pins(&after) {
                    changed.insert(secret, time);
                }
            }
        }
    }
}

/// Returns whether AWSPENDING was removed from the current version, where it marks no pending version.
fn drops_from_current(clear: &Request, before: &Labels) -> bool {
    let from = clear.parameters["RemoveFromVersionId"].as_str();
    let labels = from.and_then(|from| before.get(from));
    labels.is_some_and(|labels| labels.contains("AWSCURRENT"))
}

fn is_clear(request: &Request) -> bool {
    request.operation == "UpdateSecretVersionStage"
        && request.parameters["VersionStage"] == "AWSPENDING"
        && request.parameters["MoveToVersionId"].is_null()
}

fn without_pins(labels: &Labels) -> Vec<(String, String)> {
    let all = labels.iter().flat_map(|(version, labels)| {
        labels
            .iter()
            .map(move |label| (version.clone(), label.clone()))
    });
    all.filter(|(_, label)| !label.starts_with("srp-pin-"))
        .collect()
}

/// Checks that the secret was read between two writes to it.
fn looks_before_each_write(aws: &Simulator) {
    let mut looked: BTreeMap<String, bool> = BTreeMap::new();
    for request in aws.requests() {
        let snapshot = request.secret.as_ref().and_then(|id| aws.inspect(id));
        let Some(secret) = snapshot.map(|snapshot| snapshot.arn) else {
            continue;
        };
        if request.operation == "DescribeSecret" {
            looked.insert(secret, true);
        } else if request.is_write() {
            let seen = looked.insert(secret, false);
            assert_eq!(
                seen,
                Some(true),
                "a write without a look before it: {request:?}"
            );
        }
    }
}

/// Checks that two rotations of one secret never start closer together than a back-off.
fn spaces_rotations(aws: &Simulator) {
    let mut last: BTreeMap<String, Request> = BTreeMap::new();
    let rotations = aws.writes().into_iter();
    for request in
        rotations.filter(|one| one.operation == "RotateSecret" && one.code.as_deref() == Some("OK"))
    {
        let secret = request.secret.clone().expect("RotateSecret names a secret");
        if let Some(before) = last.insert(secret, request.clone()) {
            let same =
                before.parameters["ClientRequestToken"] == request.parameters["ClientRequestToken"];
            let apart = request.time.duration_since(before.time).as_secs_f64();
            assert!(
                same || apart >= BACKOFF,
                "{apart} s apart: {before:?} {request:?}"
            );
        }
    }
}
