//! Tests of operations: requests, conversion of the journal in both directions, and conditions.

use std::{collections::BTreeSet, sync::LazyLock, time::Duration};

use fixtures::{REGION, arn, at, function, region, secret_name, server, stage_label};
use jiff::Timestamp;
use proptest::{collection, option, prelude::*};
use secret_rotation_api::{
    conditions::{ConditionType, find},
    operation::{
        SecretRotationOperation, SecretRotationOperationStatus, SecretTarget, StepReport,
        secret_label,
    },
    policy::SecretRotationPolicy,
};
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::advance::Phase;
use secret_rotation_core::approval::{Answer, Approval};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::consent::Consent;
use secret_rotation_core::journal::{
    Baseline, Intent, Journal, JournalEntry, MAX_EARLIER, ResultKind, StepResult, Try,
};
use secret_rotation_core::names::{ObjectName, StageLabel, VersionId};
use secret_rotation_core::operation::{Expectation, Failure, Operation, Outcome, Trigger};
use secret_rotation_core::plan::Proposal;
use secret_rotation_core::secret::PendingValue;
use secret_rotation_core::time::AwsTime;
use serde_json::{Value, json};

use crate::support;

const KIND: &str = "SecretRotationOperation";
const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:payments/db-AbCdEf";

fn request() -> Value {
    json!({
        "policyRef": { "name": "payments", "uid": "p-1" },
        "secret": { "arn": ARN },
        "action": "ClearAndRotate",
        "expect": { "currentVersionId": "v1", "pendingVersionId": "v2" },
        "reason": "stuck since 02:14 UTC",
        "trigger": "Policy",
        "approval": "Required",
        "requestedBy": "alice",
        "deadline": "2h",
        "ttlAfterFinished": "24h",
        "decision": { "verdict": "Approve", "by": "bob", "message": "checked" },
        "confirmAfter": "10m",
    })
}

fn object(spec: &Value, status: Option<Value>) -> SecretRotationOperation {
    let mut object = support::object(KIND, "payments-x7k2m4q9ab", spec);
    if let Some(status) = status {
        object["status"] = status;
    }
    serde_json::from_value(object).expect("an operation that the schema admits")
}

#[test]
fn an_operation_that_a_finalizer_keeps_has_its_deletion_time() {
    let deleted = server(at("2026-11-23T09:00:00Z"));
    let mut kept = object(&request(), None);
    assert_eq!(kept.to_core().expect("valid").deletion_requested, None);
    kept.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        deleted.timestamp(),
    ));
    let core = kept.to_core().expect("valid");
    assert_eq!(core.deletion_requested, Some(deleted));
}

fn operation() -> Operation {
    object(&request(), None).to_core().expect("valid")
}

fn status_of(
    operation: &Operation,
    previous: Option<&SecretRotationOperationStatus>,
) -> SecretRotationOperationStatus {
    let name = secret_name("payments/db");
    SecretRotationOperationStatus::after_step(
        previous,
        &StepReport {
            generation: 1,
            operation,
            secret: Some(&name),
            phase: Phase::Settling,
            message: "waiting until 2026-11-23T10:05:00Z",
            consent: None,
            next_step: Some(at("2026-11-23T10:05:00Z")),
            after: None,
            now: server(at("2026-11-23T10:00:00Z")),
        },
    )
}

/// An approval is noticed once, and its condition preserves it.
#[test]
fn an_approval_is_a_condition_that_stays() {
    let operation = operation();
    let mut progress = StepReport {
        generation: 1,
        operation: &operation,
        secret: None,
        phase: Phase::Pinning,
        message: "",
        consent: Some(&Consent::Given {
            by: "bob".to_owned(),
        }),
        next_step: None,
        after: None,
        now: server(at("2026-11-23T10:00:00Z")),
    };
    let approved = SecretRotationOperationStatus::after_step(None, &progress);
    let condition = find(&approved.conditions, ConditionType::Approved).expect("it is there");
    assert_eq!(
        (condition.status.as_str(), condition.message.as_str()),
        ("True", "approved by bob")
    );
    progress.consent = None;
    progress.now = server(at("2026-11-23T11:00:00Z"));
    let later = SecretRotationOperationStatus::after_step(Some(&approved), &progress);
    assert_eq!(
        find(&later.conditions, ConditionType::Approved),
        Some(condition)
    );
    let status = serde_json::to_value(&later).expect("plain data");
    let read = object(&request(), Some(status)).to_core().expect("valid");
    assert_eq!(read.approved, Some(server(at("2026-11-23T10:00:00Z"))));
    progress.consent = Some(&Consent::NotNeeded);
    let unasked = SecretRotationOperationStatus::after_step(None, &progress);
    assert!(find(&unasked.conditions, ConditionType::Approved).is_none());
}

#[test]
fn a_request_is_converted_to_core() {
    let schema = support::schema(KIND)["properties"]["spec"].clone();
    assert_eq!(support::violations(&schema, &request()), [""; 0]);
    let object = object(&request(), None);
    assert_eq!(
        serde_json::to_value(&object.spec).expect("plain data"),
        request()
    );
    let operation = object.to_core().expect("valid");
    assert_eq!(
        operation.key.to_string(),
        "team-payments/payments-x7k2m4q9ab"
    );
    assert_eq!(
        (operation.action, operation.trigger),
        (Action::ClearAndRotate, Trigger::Policy)
    );
    assert_eq!(operation.arn.expect("named").as_str(), ARN);
    assert_eq!(
        operation.expect,
        Expectation {
            current: VersionId::parse("v1").ok(),
            pending: VersionId::parse("v2").ok(),
            ..Expectation::default()
        }
    );
    assert_eq!(operation.confirm_after, Duration::from_mins(10));
    assert_eq!(
        (operation.approval, operation.requested_by.as_deref()),
        (Approval::Required, Some("alice"))
    );
    assert_eq!(
        (operation.deadline, operation.ttl),
        (Duration::from_hours(2), Duration::from_hours(24))
    );
    let decision = operation.decision.expect("decided");
    assert_eq!(
        (
            decision.answer,
            decision.by.as_str(),
            decision.message.as_deref()
        ),
        (Answer::Approve, "bob", Some("checked"))
    );
    assert!(
        operation.baseline.is_none() && operation.journal.is_empty() && operation.outcome.is_none()
    );
}

#[test]
fn a_manual_operation_needs_few_fields() {
    let schema = support::schema(KIND)["properties"]["spec"].clone();
    let spec = json!({
        "policyRef": { "name": "payments" },
        "secret": { "name": "payments/db", "region": "eu-west-1" },
        "action": "Rotate",
        "expect": { "currentVersionId": "v1" },
        "reason": "partner asked",
    });
    let old = object(&spec, None);
    assert_eq!(old, object(&support::defaulted(&schema, spec), None));
    let operation = old.to_core().expect("valid");
    assert_eq!(
        (operation.trigger, operation.confirm_after),
        (Trigger::Manual, Duration::from_mins(5))
    );
    assert_eq!((operation.arn, operation.policy.uid), (None, None));
    let name = secret_name("payments/db");
    let region = region(REGION);
    assert_eq!(old.target(), Ok(SecretTarget::Name { name, region }));
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    let refusal = |path: &str, value: Value| {
        let mut spec = request();
        spec[path] = value;
        object(&spec, None)
            .to_core()
            .expect_err("refused")
            .to_string()
    };
    let union = "spec.secret: write either arn, or both name and region";
    assert_eq!(refusal("secret", json!({})), union);
    assert_eq!(refusal("secret", json!({ "name": "a" })), union);
    assert_eq!(
        refusal("secret", json!({ "arn": ARN, "region": "eu-west-1" })),
        union
    );
    assert_eq!(
        refusal("secret", json!({ "arn": "arn:aws:s3:::b" })),
        "spec.secret.arn: \"arn:aws:s3:::b\" is not the ARN of a secret"
    );
    assert_eq!(
        refusal("expect", json!({ "currentVersionId": "v1" })),
        "spec.expect.pendingVersionId is missing; write the pending version that the action acts on"
    );
    let mut rotate = request();
    rotate["action"] = json!("Rotate");
    rotate["expect"] = json!({ "pendingVersionId": "v2" });
    assert_eq!(
        object(&rotate, None)
            .to_core()
            .expect_err("refused")
            .to_string(),
        "spec.expect.currentVersionId is missing; write the version that Rotate replaces"
    );
}

#[test]
fn a_journal_that_cannot_be_read_is_an_error() {
    let step = json!({ "name": "Clear", "tries": 1, "intentTime": "2026-11-23T10:00:00Z" });
    let refusal = |status: Value| {
        object(&request(), Some(status))
            .to_core()
            .expect_err("refused")
            .to_string()
    };
    let with = |field: &str, value: Value| {
        let mut step = step.clone();
        step[field] = value;
        refusal(json!({ "steps": [step] }))
    };
    let hands_off = "only the controller may write it";
    assert_eq!(
        with("name", json!("Explode")),
        format!("status.steps[0].name: \"Explode\" is not the name of a step; {hands_off}")
    );
    assert_eq!(
        with("intentTime", json!("noon")),
        format!("status.steps[0].intentTime: \"noon\" is not an RFC 3339 time; {hands_off}")
    );
    assert_eq!(
        with("tries", json!(0)),
        "status.steps[0].tries is 0; write a whole number between 1 and 1000"
    );
    assert_eq!(
        with("result", json!("Applied")),
        "status.steps[0]: result and resultTime belong together; create another operation"
    );
    assert_eq!(
        refusal(json!({ "steps": [step, step] })),
        "status.steps: a step appears twice; create another operation"
    );
    assert_eq!(
        refusal(json!({ "before": {} })),
        "status.before: labels without status.baseline; create another operation"
    );
    assert_eq!(
        refusal(json!({ "baseline": { "pendingValue": "Maybe" } })),
        format!(
            "status.baseline.pendingValue: \"Maybe\" is not None, Empty, Present or Unknown; {hands_off}"
        )
    );
    let other = ARN.replace("AbCdEf", "GhIjKl");
    assert_eq!(
        refusal(json!({ "arn": other })),
        "status.arn: differs from spec.secret.arn; create another operation"
    );
}

#[test]
fn a_running_operation_shows_its_phase() {
    let mut operation = operation();
    let labels = [("v1", "AWSCURRENT"), ("v2", "AWSPENDING")];
    let labels =
        labels.map(|(id, label)| (fixtures::version(id), BTreeSet::from([stage_label(label)])));
    let last_changed = Some(at("2026-11-23T02:14:09.713Z"));
    operation.baseline = Some(Baseline {
        labels: labels.into(),
        last_changed,
        pending_value: PendingValue::Present,
        rotates: Some(true),
        function: Some(function("rotate")),
    });
    let pinned = at("2026-11-23T10:00:01Z");
    let result = StepResult {
        kind: ResultKind::Applied,
        at: pinned,
        request_id: Some("r-1".to_owned()),
        code: None,
    };
    let entry = JournalEntry {
        step: Step::Pin,
        version: VersionId::parse("v2").ok(),
        tries: 1,
        intent: pinned,
        foreign_change: last_changed,
        earlier: Vec::new(),
        result: Some(result),
    };
    operation.journal = Journal(vec![entry]);
    let expected = json!({
        "observedGeneration": 1,
        "arn": ARN,
        "secretName": "payments/db",
        "startTime": "2026-11-23T10:00:01Z",
        "baseline": {
            "currentVersionId": "v1", "pendingVersionId": "v2",
            "lastChangedTime": "2026-11-23T02:14:09.713Z", "pendingValue": "Present",
            "rotation": "On",
            "functionArn": "arn:aws:lambda:eu-west-1:111122223333:function:rotate",
        },
        "before": { "v1": ["AWSCURRENT"], "v2": ["AWSPENDING"] },
        "steps": [{
            "name": "Pin", "versionId": "v2", "tries": 1, "intentTime": "2026-11-23T10:00:01Z",
            "foreignChangeTime": "2026-11-23T02:14:09.713Z", "resultTime": "2026-11-23T10:00:01Z", "result": "Applied", "requestId": "r-1",
        }],
        "clientRequestToken": operation.request_token().expect("derived").as_str(),
        "nextStepTime": "2026-11-23T10:05:00Z",
        "conditions": [{
            "type": "Complete", "status": "False", "reason": "Settling", "observedGeneration": 1,
            "message": "waiting until 2026-11-23T10:05:00Z", "lastTransitionTime": "2026-11-23T10:00:00Z",
        }],
    });
    assert_eq!(
        serde_json::to_value(status_of(&operation, None)).expect("plain data"),
        expected
    );
}

/// After an intent whose request was never sent, the written status equals the one before, so that the intent does
/// not count as a try.
#[test]
fn a_removed_intent_leaves_no_trace() {
    let nothing_yet = operation();
    let before = status_of(&nothing_yet, None);
    let intend = |operation: &Operation, step| {
        let mut intended = operation.clone();
        intended.journal.intend(&Intent {
            step,
            version: VersionId::parse("v2").ok(),
            at: at("2026-11-23T10:00:01Z"),
            foreign_change: None,
            baseline: None,
        });
        intended.baseline.get_or_insert(Baseline {
            labels: std::collections::BTreeMap::new(),
            last_changed: None,
            pending_value: PendingValue::Empty,
            rotates: Some(true),
            function: None,
        });
        intended
    };
    let pinning = intend(&nothing_yet, Step::Pin);
    let stored = status_of(&pinning, Some(&before));
    assert!(stored.start_time.is_some() && stored.baseline.is_some());
    assert_eq!(status_of(&nothing_yet, Some(&stored)), before);
    let again = intend(&pinning, Step::Pin);
    let twice = status_of(&again, Some(&stored));
    assert_ne!(twice, stored);
    assert_eq!(status_of(&pinning, Some(&twice)), stored, "one try stays");
}

#[test]
fn an_ended_operation_is_complete_or_failed() {
    let ended = |outcome| {
        let completed = Some(at("2026-11-23T11:00:00Z"));
        let status = status_of(
            &Operation {
                outcome: Some(outcome),
                completed,
                ..operation()
            },
            None,
        );
        assert_eq!(status.next_step_time, None);
        let head = |kind| {
            find(&status.conditions, kind)
                .map(|condition| format!("{}/{}", condition.status, condition.reason))
        };
        (head(ConditionType::Complete), head(ConditionType::Failed))
    };
    let message = "done".to_owned();
    assert_eq!(
        ended(Outcome::Succeeded {
            message: message.clone()
        }),
        (Some("True/Succeeded".to_owned()), None)
    );
    let reason = Failure::PinExhausted;
    let failed = ended(Outcome::Failed { reason, message });
    assert_eq!(
        failed,
        (
            Some("False/PinExhausted".to_owned()),
            Some("True/PinExhausted".to_owned())
        )
    );
}

#[test]
fn a_failure_that_only_a_newer_release_knows_stays_a_failure() {
    let condition = json!({
        "type": "Failed", "status": "True", "reason": "FromTheFuture", "message": "too late", "lastTransitionTime": "2026-11-23T10:00:00Z",
    });
    let operation = object(&request(), Some(json!({ "conditions": [condition] })))
        .to_core()
        .expect("valid");
    assert_eq!(
        operation.outcome,
        Some(Outcome::Failed {
            reason: Failure::Unexpected,
            message: "too late".to_owned()
        })
    );
}

/// A release that finds an unknown word cannot count the attempt.
#[test]
fn every_result_has_a_word_that_the_first_release_knows() {
    let words = [
        "Applied",
        "Unreachable",
        "Throttled",
        "RotationPending",
        "Refused",
        "Denied",
        "Credentials",
        "Mismatch",
        "Gone",
        "LimitExceeded",
        "Malformed",
        "Unexpected",
    ];
    let steps = &STATUS["properties"]["steps"]["items"]["properties"];
    assert_eq!(steps["result"]["enum"], json!(words));
    let earlier = &steps["earlierTries"]["items"]["properties"];
    assert_eq!(earlier["result"]["enum"], json!(words));
}

#[test]
fn an_ended_operation_counts_though_only_a_newer_release_knows_what_it_did() {
    let time = "2026-11-23T10:00:00Z";
    let step = |name: &str, result: &str| json!({"name": name, "tries": 1, "intentTime": time, "resultTime": time, "result": result});
    let mut rotate = step("Rotate", "FromTheFuture");
    rotate["earlierTries"] = json!([{"intentTime": time, "result": "FromTheFuture"}]);
    let journal = json!([step("Pin", "Applied"), step("Leap", "Applied"), rotate]);
    let baseline = json!({"pendingValue": "Quantum"});
    let failed = json!({
        "type": "Failed", "status": "True", "reason": "FromTheFuture", "message": "too late", "lastTransitionTime": time,
    });
    let at_work = json!({"steps": journal, "baseline": baseline});
    let ended = json!({"steps": journal, "baseline": baseline, "conditions": [failed]});
    assert!(object(&request(), Some(at_work)).to_core().is_err());
    let ended = object(&request(), Some(ended))
        .to_core()
        .expect("it has ended");
    let steps: Vec<_> = ended.journal.0.iter().map(|entry| entry.step).collect();
    assert_eq!(steps, [Step::Pin, Step::Rotate]);
    let result = ended.journal.0[1].result.as_ref().map(|result| result.kind);
    let unknown = Some(ResultKind::Refused(ErrorClass::Unexpected));
    assert_eq!(result, unknown);
    assert_eq!(ended.journal.0[1].earlier[0].result, unknown);
    let value = ended.baseline.map(|baseline| baseline.pending_value);
    assert_eq!(value, Some(PendingValue::Unknown));
}

/// Statuses as the controller of the previous release left them, in every phase.
#[test]
fn operations_of_the_previous_release_are_parsed_without_loss() {
    let stored = include_str!("../../../../tests/golden/previous/objects.json");
    let stored: Value = serde_json::from_str(stored).expect("JSON");
    let items = stored["items"].as_array().expect("a list");
    let begun = items
        .iter()
        .filter(|one| one["kind"] == KIND && one["status"].is_object());
    let mut phases = BTreeSet::new();
    for written in begun {
        let mut written = written.clone();
        // An API server adds this field.
        written["metadata"]["creationTimestamp"] = json!("2026-11-27T18:00:00Z");
        let read: SecretRotationOperation =
            serde_json::from_value(written.clone()).expect("an operation");
        let operation = read.to_core().expect("understood");
        let reason = &written["status"]["conditions"][0]["reason"];
        phases.insert(reason.as_str().unwrap_or("not seen").to_owned());
        let next = status_of(&operation, read.status.as_ref());
        let next = serde_json::to_value(next).expect("plain data");
        for part in [
            "arn",
            "startTime",
            "completionTime",
            "baseline",
            "before",
            "after",
            "steps",
            "clientRequestToken",
        ] {
            let kept = &written["status"][part];
            assert!(
                kept.is_null() || *kept == next[part],
                "{part} of {written:#}"
            );
        }
    }
    let expected = [
        "AccessDenied",
        "AwaitingApproval",
        "Clearing",
        "Rotating",
        "Settling",
        "Succeeded",
        "Suspended",
        "Verifying",
        "not seen",
    ];
    assert_eq!(phases, expected.map(str::to_owned).into());
}

#[test]
fn an_automatic_operation_matches_its_proposal() {
    let spec = json!({ "selector": { "include": [{ "namePrefix": "payments/" }] } });
    let policy = support::object("SecretRotationPolicy", "payments", &spec);
    let policy: SecretRotationPolicy = serde_json::from_value(policy).expect("a policy");
    let (policy, _) = policy.to_core().expect("valid");
    let proposal = Proposal {
        name: ObjectName::parse("payments-x7k2m4q9ab").expect("valid"),
        arn: arn("payments/db"),
        secret: secret_name("payments/db"),
        region: region(REGION),
        action: Action::ClearAndRotate,
        expect: Expectation {
            current: VersionId::parse("v1").ok(),
            pending: VersionId::parse("v2").ok(),
            ..Expectation::default()
        },
        reason: "stuck since 2026-11-23T02:14:09Z".to_owned(),
        approval: Approval::Required,
        confirm_after: Duration::from_mins(5),
    };
    let expected = json!({
        "apiVersion": "secretrotation.dev/v1alpha1",
        "kind": KIND,
        "metadata": {
            "name": "payments-x7k2m4q9ab",
            "namespace": "team-payments",
            "labels": {
                "secretrotation.dev/policy": "payments",
                "secretrotation.dev/policy-uid": "6e1f0c1a-0000-4000-8000-000000000001",
                "secretrotation.dev/secret": secret_label(&proposal.arn),
            },
        },
        "spec": {
            "policyRef": { "name": "payments", "uid": "6e1f0c1a-0000-4000-8000-000000000001" },
            "secret": { "arn": ARN },
            "action": "ClearAndRotate",
            "expect": { "currentVersionId": "v1", "pendingVersionId": "v2" },
            "reason": "stuck since 2026-11-23T02:14:09Z",
            "trigger": "Policy",
            "approval": "Required",
            "deadline": "24h",
            "ttlAfterFinished": "168h",
            "confirmAfter": "5m",
        },
    });
    let made = SecretRotationOperation::automatic(&proposal, &policy);
    assert_eq!(serde_json::to_value(made).expect("plain data"), expected);
    let mut far_sighted = policy;
    far_sighted.remediation.attempt_window = Duration::from_hours(720);
    let made = SecretRotationOperation::automatic(&proposal, &far_sighted);
    assert_eq!(
        made.spec.ttl_after_finished.as_str(),
        "720h",
        "it counts as an attempt for so long"
    );
}

#[test]
fn the_label_of_a_secret_never_changes() {
    let label = secret_label(&arn("payments/db"));
    assert_eq!(label, "eb2eda2a121157fda3e5c865c1e2d52b");
}

fn version() -> impl Strategy<Value = VersionId> {
    "[A-Za-z0-9-]{1,64}".prop_map(|text| VersionId::parse(text).expect("valid"))
}

/// Times up to the year 9999, to the nanosecond.
fn time() -> impl Strategy<Value = AwsTime> {
    (0_i64..253_402_200_000, 0_i32..1_000_000_000).prop_map(|(second, nanosecond)| {
        AwsTime::new(Timestamp::new(second, nanosecond).expect("in range"))
    })
}

fn result() -> impl Strategy<Value = StepResult> {
    let kinds = [
        ResultKind::Applied,
        ResultKind::Refused(ErrorClass::Unreachable),
        ResultKind::Refused(ErrorClass::Throttled),
        ResultKind::Refused(ErrorClass::RotationPending),
        ResultKind::Refused(ErrorClass::Refused),
        ResultKind::Refused(ErrorClass::CannotInvoke),
        ResultKind::Refused(ErrorClass::Denied),
        ResultKind::Refused(ErrorClass::Credentials),
        ResultKind::Refused(ErrorClass::Mismatch),
        ResultKind::Refused(ErrorClass::Gone),
        ResultKind::Refused(ErrorClass::LimitExceeded),
        ResultKind::Refused(ErrorClass::Malformed),
        ResultKind::Refused(ErrorClass::Unexpected),
    ];
    let text = || option::of("[ -~]{0,200}");
    (prop::sample::select(kinds.to_vec()), time(), text(), text()).prop_map(
        |(kind, at, request_id, code)| StepResult {
            kind,
            at,
            request_id,
            code: if kind == ResultKind::Refused(ErrorClass::CannotInvoke) {
                Some("AccessDeniedException".to_owned())
            } else {
                code
            },
        },
    )
}

fn earlier_try() -> impl Strategy<Value = Try> {
    // A step whose function cannot be invoked is not retried.
    let again = |kind: &ResultKind| *kind != ResultKind::Refused(ErrorClass::CannotInvoke);
    let kind = result().prop_map(|result| result.kind);
    let result = option::of(kind.prop_filter("is tried again", again));
    (time(), option::of(time()), result).prop_map(|(intent, foreign_change, result)| Try {
        intent,
        foreign_change,
        result,
    })
}

fn journal() -> impl Strategy<Value = Journal> {
    let rest = (
        option::of(version()),
        1_u32..=1_000,
        time(),
        option::of(time()),
        collection::vec(earlier_try(), 0..=MAX_EARLIER),
        option::of(result()),
    );
    (
        Just(Step::ALL.to_vec()).prop_shuffle(),
        collection::vec(rest, 0..=Step::ALL.len()),
    )
        .prop_map(|(steps, rests)| {
            let entry =
                |(step, (version, tries, intent, foreign_change, earlier, result))| JournalEntry {
                    step,
                    version,
                    tries,
                    intent,
                    foreign_change,
                    earlier,
                    result,
                };
            Journal(steps.into_iter().zip(rests).map(entry).collect())
        })
}

fn baseline() -> impl Strategy<Value = Baseline> {
    let label = "[ -~]{1,256}".prop_map(|text| StageLabel::parse(text).expect("valid"));
    let labels = collection::btree_map(version(), collection::btree_set(label, 1..4), 0..6);
    let values = vec![
        PendingValue::None,
        PendingValue::Empty,
        PendingValue::Present,
        PendingValue::Unknown,
    ];
    (labels, option::of(time()), prop::sample::select(values)).prop_map(
        |(labels, last_changed, pending_value)| Baseline {
            function: None,
            labels,
            last_changed,
            pending_value,
            rotates: Some(pending_value == PendingValue::Empty),
        },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let succeeded = "\\PC{0,200}".prop_map(|message| Outcome::Succeeded { message });
    let failed = (prop::sample::select(Failure::ALL.to_vec()), "\\PC{0,200}");
    prop_oneof![
        succeeded,
        failed.prop_map(|(reason, message)| Outcome::Failed { reason, message })
    ]
}

static STATUS: LazyLock<Value> =
    LazyLock::new(|| support::schema(KIND)["properties"]["status"].clone());

proptest! {
    #[test]
    fn an_operation_is_unchanged_after_a_round_trip_through_its_status(
        journal in journal(), baseline in option::of(baseline()), ended in option::of((outcome(), time())),
    ) {
        let (outcome, completed) = ended.unzip();
        let ended = outcome.is_some().then(|| server(at("2026-11-23T10:00:00Z")));
        let before = Operation { journal, baseline, outcome, completed, ended, ..operation() };
        let status = serde_json::to_value(status_of(&before, None)).expect("plain data");
        prop_assert_eq!(support::violations(&STATUS, &status), [""; 0]);
        let after = object(&request(), Some(status)).to_core().expect("what we write we read");
        prop_assert_eq!(&after, &before);
        let (first, second) = (status_of(&before, None), status_of(&after, Some(&status_of(&before, None))));
        prop_assert_eq!(first, second);
    }
}
