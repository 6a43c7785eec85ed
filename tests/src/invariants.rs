//! What must hold at the end of every story, whatever it was about.

use secret_rotation_simulator::{Entry, Request, Simulator};

/// All that the controller may ever ask of AWS.
const ALLOWED: [&str; 5] = [
    "ListSecrets",
    "DescribeSecret",
    "ListSecretVersionIds",
    "UpdateSecretVersionStage",
    "RotateSecret",
];

/// Checks the whole trace and the end state of all secrets; panics with what is wrong.
pub fn hold(aws: &Simulator) {
    for request in aws.requests() {
        assert!(
            ALLOWED.contains(&request.operation.as_str()),
            "a call outside the allowed list: {request:?}"
        );
        moves_no_current(&request);
        rotates_by_its_own_schedule(&request);
    }
    for name in aws.names() {
        let truth = aws.truth(&name).expect("a secret of the estate");
        assert!(
            truth.live_value_is_labelled || truth.accepted.is_empty(),
            "the only value that {name} accepts has no label: {truth:?}"
        );
    }
    switches_no_schedule_on(aws);
}

fn moves_no_current(request: &Request) {
    if request.operation == "UpdateSecretVersionStage" {
        let stage = request.parameters["VersionStage"].as_str();
        assert_ne!(stage, Some("AWSCURRENT"), "AWSCURRENT moved: {request:?}");
    }
}

/// A request that names rules or a function would change them.
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

/// RotateSecret on a secret whose rotation is switched off would switch it on.
fn switches_no_schedule_on(aws: &Simulator) {
    let off: Vec<_> = aws
        .names()
        .into_iter()
        .filter(|name| {
            aws.truth(name)
                .is_some_and(|truth| truth.rotation_enabled != Some(true))
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

/// Requests that asked AWS to change a secret, in their order.
pub fn writes_to(aws: &Simulator, name: &str) -> Vec<Request> {
    let arn = aws.truth(name).expect("a secret of the estate").arn;
    let about = |request: &Request| {
        request
            .secret
            .as_ref()
            .is_some_and(|id| *id == arn || id == name)
    };
    aws.writes().into_iter().filter(about).collect()
}

/// Label changes that the rotation engine or a request made to a secret.
pub fn changes_of(aws: &Simulator, name: &str) -> usize {
    let trace = aws.trace();
    trace
        .iter()
        .filter(|entry| matches!(entry, Entry::Change { secret, .. } if secret == name))
        .count()
}
