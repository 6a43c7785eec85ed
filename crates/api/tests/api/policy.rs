//! Tests of policies: defaults, errors, remembered findings, and the status after a pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fixtures::{REGION, arn, at, region, secret_name, server};
use secret_rotation_api::{
    Invalid, Readiness,
    conditions::{ConditionType, find},
    policy::{PassReport, SecretRotationPolicy, SecretRotationPolicyStatus},
};
use secret_rotation_core::approval::Approval;
use secret_rotation_core::block::{Block, BlockReason};
use secret_rotation_core::maintenance_window::Opening;
use secret_rotation_core::names::{ObjectKey, ObjectName, ProfileName, VersionId};
use secret_rotation_core::plan::{Attempts, Plan};
use secret_rotation_core::policy::{
    Backoff, CircuitBreaker, DisabledReporting, Mode, OverdueRemedy, Reporting, StuckRemedy,
    Suspension,
};
use secret_rotation_core::secret::PendingValue;
use secret_rotation_core::survey::{Finding, RegionSurvey, RemedyKind, State, Survey};
use secret_rotation_core::time::AwsTime;
use serde_json::{Value, json};

use crate::support;

const KIND: &str = "SecretRotationPolicy";

fn least() -> Value {
    json!({ "selector": { "include": [{ "namePrefix": "payments/" }] } })
}

fn policy(spec: &Value) -> SecretRotationPolicy {
    let object = support::object(KIND, "payments", spec);
    serde_json::from_value(object).expect("a policy that the schema admits")
}

#[test]
fn a_policy_that_a_finalizer_keeps_has_its_deletion_time() {
    let deleted = server(at("2026-11-23T09:00:00Z"));
    let mut kept = policy(&json!({"selector": {"include": [{"namePrefix": "a/"}]}}));
    kept.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        deleted.timestamp(),
    ));
    let (core, _) = kept.to_core().expect("valid");
    assert_eq!(core.deletion_requested, Some(deleted));
    assert!(!core.acts());
}

#[test]
fn a_policy_without_defaults_is_parsed_with_the_defaults_of_the_schema() {
    let schema = support::schema(KIND)["properties"]["spec"].clone();
    let old = policy(&least());
    let new = policy(&support::defaulted(&schema, least()));
    assert_eq!(old, new);
    assert_eq!(
        serde_json::to_value(&old.spec).expect("plain data"),
        support::defaulted(&schema, least())
    );
}

#[test]
fn defaults_are_converted_to_core() {
    let (policy, memory) = policy(&least()).to_core().expect("valid");
    let hours = |hours| Duration::from_hours(hours);
    assert!(memory.findings.is_empty());
    assert_eq!(policy.profile.as_str(), "default");
    assert_eq!(
        (policy.regions.clone(), policy.selector.max_secrets),
        (None, 1_000)
    );
    assert_eq!(
        (policy.mode, policy.suspension),
        (Mode::Observe, Suspension::Active)
    );
    assert_eq!(policy.check_interval, Duration::from_mins(5));
    let detection = policy.detection;
    assert_eq!(
        (detection.stuck_after, detection.overdue_after),
        (hours(6), hours(1))
    );
    assert_eq!((detection.max_age, detection.expiry), (None, None));
    assert_eq!(detection.rotation_disabled, DisabledReporting::Report);
    assert_eq!(detection.scheduled_for_deletion, Reporting::Report);
    let remediation = policy.remediation;
    assert_eq!(
        (remediation.stuck, remediation.overdue),
        (StuckRemedy::Recover, OverdueRemedy::Rotate)
    );
    assert_eq!(remediation.confirm_after, Duration::from_mins(5));
    assert_eq!(
        (
            remediation.max_concurrent,
            remediation.max_attempts,
            remediation.attempt_window
        ),
        (5, 3, hours(24))
    );
    assert_eq!(
        remediation.backoff,
        Backoff {
            initial: Duration::from_mins(15),
            max: hours(4)
        }
    );
    assert_eq!(
        remediation.breaker,
        CircuitBreaker {
            stuck_percent: 40,
            min_stuck: 5
        }
    );
}

#[test]
fn every_field_is_parsed_and_kept() {
    let spec = json!({
        "profileRef": { "name": "prod" },
        "regions": ["eu-west-1"],
        "selector": {
            "include": [{ "names": ["payments/db/main"] }, { "namePrefix": "a", "tags": [{ "key": "team", "values": ["x", ""] }] }],
            "exclude": [{ "tags": [{ "key": "off" }] }],
            "maxSecrets": 7,
        },
        "mode": "Remediate",
        "suspend": true,
        "checkInterval": "1h30m",
        "detection": {
            "stuckAfter": "8h",
            "maxAge": "2160h",
            "overdueAfter": "0s",
            "expiry": { "tagKey": "expires-at", "rotateBefore": "24h" },
            "rotationDisabled": "ReportUnconfigured",
            "scheduledForDeletion": "Ignore",
        },
        "remediation": {
            "stuck": "ClearAndRotate",
            "overdue": "Report",
            "scheduledForDeletion": "RestoreSecret",
            "approval": "Required",
            "windows": {
                "allow": [{ "schedule": "0 2 * * 1-5", "duration": "2h", "timeZone": "Europe/Berlin" }],
                "deny": [{ "schedule": "0 0 20 11 *", "duration": "240h", "timeZone": "UTC" }],
            },
            "confirmAfter": "30s",
            "limits": { "maxConcurrent": 1, "maxAttempts": 10, "attemptWindow": "48h" },
            "backoff": { "initial": "1m", "max": "1m" },
            "circuitBreaker": { "stuckPercent": 100, "minStuck": 1 },
        },
    });
    let schema = support::schema(KIND)["properties"]["spec"].clone();
    assert_eq!(support::violations(&schema, &spec), [""; 0]);
    let policy = policy(&spec);
    assert_eq!(
        serde_json::to_value(&policy.spec).expect("plain data"),
        spec
    );
    let (core, _) = policy.to_core().expect("valid");
    assert_eq!(core.regions, Some(BTreeSet::from([region(REGION)])));
    assert_eq!(
        core.detection.expiry.expect("given").rotate_before,
        Duration::from_hours(24)
    );
    assert_eq!(core.check_interval, Duration::from_mins(90));
    assert_eq!(core.remediation.approval, Approval::Required);
    assert_eq!(
        core.remediation.windows.at(at("2026-11-23T01:00:00Z")),
        Opening::Closed {
            next: (at("2026-11-30T01:00:00Z"), Some(at("2026-11-30T03:00:00Z")))
        }
    );
    assert_eq!(
        core.selector
            .exclude
            .first()
            .expect("one")
            .tags
            .first()
            .expect("one")
            .key,
        "off"
    );
}

/// A window that cannot be parsed never opens. The policy is still watched.
#[test]
fn an_unreadable_window_never_opens() {
    for (window, part) in [
        (
            json!({ "schedule": "0 25 * * *", "duration": "2h" }),
            "allow[0]: 25 is not a valid hour",
        ),
        (
            json!({ "schedule": "@daily", "duration": "2h", "timeZone": "Mars/Olympus" }),
            "Mars/Olympus is not a time zone",
        ),
        (
            json!({ "schedule": "@daily", "duration": "2d" }),
            "allow[0].duration",
        ),
    ] {
        let mut spec = least();
        spec["remediation"] = json!({ "windows": { "allow": [window] } });
        let (core, _) = policy(&spec).to_core().expect("it can be watched");
        let now = at("2026-11-23T01:00:00Z");
        let problem = core
            .remediation
            .windows
            .problem(now)
            .expect("it never opens");
        assert!(problem.contains(part), "{problem}");
    }
}

#[test]
fn errors_name_the_field_and_what_to_write() {
    let refusal = |path: &str, value: Value| {
        let mut spec = support::defaulted(&support::schema(KIND)["properties"]["spec"], least());
        *spec
            .pointer_mut(path)
            .unwrap_or_else(|| panic!("{path} exists")) = value;
        policy(&spec).to_core().expect_err("refused").to_string()
    };
    let cases = [
        (
            "/checkInterval",
            json!("1d"),
            "spec.checkInterval is \"1d\"; write a duration between 30s and 24h, in hours (h), minutes (m) or seconds (s)",
        ),
        (
            "/detection/stuckAfter",
            json!("1h"),
            "spec.detection.stuckAfter is \"1h\"; write a duration between 2h and 720h, in hours (h), minutes (m) or seconds (s)",
        ),
        (
            "/selector/maxSecrets",
            json!(0),
            "spec.selector.maxSecrets is 0; write a whole number between 1 and 500000",
        ),
        (
            "/selector/include",
            json!([]),
            "spec.selector.include is missing; write at least one item with names, namePrefix or tags",
        ),
        (
            "/selector/include/0",
            json!({}),
            "spec.selector.include[0]: write at least one of names, namePrefix and tags",
        ),
        (
            "/selector/include/0",
            json!({ "names": ["a", ""] }),
            "spec.selector.include[0].names[1]: \"\" is not a secret name of 1 to 512 characters",
        ),
        (
            "/selector/include/0",
            json!({ "names": ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:payments/db-AbCdEf"] }),
            "spec.selector.include[0].names[0]: write the name payments/db instead of the ARN",
        ),
        (
            "/selector/include/0",
            json!({ "namePrefix": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:payments/" }),
            "spec.selector.include[0].namePrefix: write the name payments/ instead of the ARN",
        ),
        (
            "/selector/include/0",
            json!({ "namePrefix": "arn:aws:secretsmanager:eu" }),
            "spec.selector.include[0].namePrefix: write the beginning of names, not of an ARN",
        ),
        (
            "/selector/include/0",
            json!({ "namePrefix": "payments/*" }),
            "spec.selector.include[0].namePrefix: write only letters, digits and / _ + = . @ -: the name of a secret has no other characters",
        ),
        (
            "/selector/include/0",
            json!({ "names": [" payments/db"] }),
            "spec.selector.include[0].names[0]: write only letters, digits and / _ + = . @ -: the name of a secret has no other characters",
        ),
        (
            "/selector/include/0",
            json!({ "names": ["payments/db"], "namePrefix": "billing/" }),
            "spec.selector: name payments/db does not begin with namePrefix billing/ of the same item; write it into an item of its own",
        ),
        (
            "/remediation/backoff/max",
            json!("1m"),
            "spec.remediation.backoff: write a max that is not shorter than initial",
        ),
        (
            "/profileRef/name",
            json!(""),
            "spec.profileRef.name: \"\" is not a profile name of 1 to 253 characters",
        ),
    ];
    for (path, value, expected) in cases {
        assert_eq!(refusal(path, value), expected);
    }
}

/// An exclusion that was stored before this rule existed must continue to exclude its secret.
#[test]
fn a_stored_arn_excludes_that_secret() {
    let whole = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:payments/db-AbCdEf";
    let mut spec = least();
    spec["selector"] = json!({
        "include": [{ "namePrefix": "payments/" }],
        "exclude": [{ "names": [whole, "payments/other"] }],
    });
    let (policy, _) = policy(&spec).to_core().expect("it is understood");
    let [exclusion] = policy.selector.exclude.as_slice() else {
        panic!("one exclusion");
    };
    let arns: Vec<_> = exclusion.arns.iter().map(ToString::to_string).collect();
    assert_eq!(arns, [whole]);
    assert_eq!(exclusion.names.len(), 1);
}

#[test]
fn a_policy_that_was_never_stored_is_refused() {
    let unstored = SecretRotationPolicy::new("payments", policy(&least()).spec);
    assert!(
        matches!(unstored.to_core(), Err(Invalid::Missing { path, .. }) if path == "metadata.namespace")
    );
}

#[test]
fn remembered_findings_are_kept_if_credible_and_dropped_otherwise() {
    let finding = |name: &str, state: &str, first: &str| json!({ "name": name, "region": "eu-west-1", "state": state, "message": "", "pendingVersionId": "v2", "firstObservedTime": first });
    let mut object = policy(&least());
    let status = json!({
        "lastCheckTime": "2026-11-23T10:00:00Z",
        "findings": [
            finding("good", "Stuck", "2026-11-23T02:19:00Z"),
            finding("ancient", "Stuck", "2001-01-01T00:00:00Z"),
            finding("future", "Stuck", "2099-01-01T00:00:00Z"),
            finding("garbled", "Stuck", "yesterday"),
            finding("unheard-of", "Exploded", "2026-11-23T02:19:00Z"),
            finding("", "Stuck", "2026-11-23T02:19:00Z"),
        ],
    });
    object.status = Some(serde_json::from_value(status).expect("any status is read"));
    let (_, memory) = object.to_core().expect("valid");
    let remembered: Vec<_> = memory
        .findings
        .iter()
        .map(|((_, name), memory)| (name.as_str(), memory.first_observed))
        .collect();
    let seen = Some(at("2026-11-23T02:19:00Z"));
    assert_eq!(
        remembered,
        [
            ("ancient", None),
            ("future", None),
            ("garbled", None),
            ("good", seen)
        ]
    );
}

fn finding(name: &str, state: State) -> Finding {
    Finding {
        name: secret_name(name),
        region: region(REGION),
        arn: Some(arn(name)),
        state,
        since: Some(at("2026-11-23T02:14:09.123Z")),
        message: "rotation has not progressed since 2026-11-23T02:14:09Z".to_owned(),
        current: VersionId::parse("v1").ok(),
        pending: VersionId::parse("v2").ok(),
        first_observed: Some(at("2026-11-23T02:19:00Z")),
        pending_value: PendingValue::Empty,
        remedy_kind: RemedyKind::Stuck,
        stability: None,
        secret: None,
        unseen_since: None,
        unreadable: None,
    }
}

fn survey(findings: Vec<Finding>, time: AwsTime) -> Survey {
    let count = |state| {
        (
            state,
            findings
                .iter()
                .filter(|finding| finding.state == state)
                .count(),
        )
    };
    Survey {
        time,
        counts: State::ALL.into_iter().map(count).collect(),
        selected: findings.len(),
        checked: Some(time),
        regions: BTreeMap::new(),
        findings,
        pinned: vec![],
    }
}

fn pass<'a>(readiness: &'a Readiness, seen: Option<(&'a Survey, &'a Plan)>) -> PassReport<'a> {
    PassReport {
        generation: 3,
        readiness,
        seen,
        retry_request: None,
        handled_request: None,
        now: server(at("2026-11-23T10:00:03.5Z")),
    }
}

fn checked(findings: Vec<Finding>) -> SecretRotationPolicyStatus {
    let survey = survey(findings, at("2026-11-23T10:00:00Z"));
    SecretRotationPolicyStatus::after(
        None,
        &pass(&Readiness::Succeeded, Some((&survey, &Plan::default()))),
    )
}

fn condition(status: &SecretRotationPolicyStatus, kind: ConditionType) -> String {
    find(&status.conditions, kind).map_or_else(
        || "-".to_owned(),
        |condition| {
            format!(
                "{}/{}: {}",
                condition.status, condition.reason, condition.message
            )
        },
    )
}

#[test]
fn a_stuck_rotation_is_unhealthy_but_the_policy_is_ready() {
    let survey = survey(
        vec![finding("payments/db", State::Stuck)],
        at("2026-11-23T10:00:00Z"),
    );
    let mut plan = Plan::default();
    plan.attempts.insert(
        arn("payments/db"),
        Attempts {
            count: 1,
            next: Some(at("2026-11-23T10:44:00Z")),
        },
    );
    plan.blocked.insert(
        arn("payments/db"),
        Block {
            reason: BlockReason::BackingOff,
            until: Some(at("2026-11-23T10:44:00Z")),
        },
    );
    let name = ObjectName::parse("payments-x7k2m4q9ab").expect("valid");
    let namespace = secret_rotation_core::names::Namespace::parse("team-payments").expect("valid");
    plan.in_progress
        .insert(arn("payments/db"), ObjectKey { namespace, name });
    let pass = PassReport {
        handled_request: Some("1764000000"),
        ..pass(&Readiness::Succeeded, Some((&survey, &plan)))
    };
    let status = SecretRotationPolicyStatus::after(None, &pass);
    let expected = json!({
        "observedGeneration": 3,
        "lastCheckTime": "2026-11-23T10:00:00Z",
        "lastHandledRequest": "1764000000",
        "summary": {
            "selected": 1, "healthy": 0, "rotating": 0, "stuck": 1, "overdue": 0, "expiring": 0, "disabled": 0, "broken": 0,
            "scheduledForDeletion": 0, "notFound": 0, "ineligible": 0, "unknown": 0, "tooOld": 0, "outsideCeiling": 0,
        },
        "findings": [{
            "name": "payments/db",
            "region": "eu-west-1",
            "arn": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:payments/db-AbCdEf",
            "state": "Stuck",
            "since": "2026-11-23T02:14:09Z",
            "message": "rotation has not progressed since 2026-11-23T02:14:09Z",
            "currentVersionId": "v1",
            "pendingVersionId": "v2",
            "firstObservedTime": "2026-11-23T02:19:00Z",
            "attempts": 1,
            "nextAttemptTime": "2026-11-23T10:44:00Z",
            "blockedBy": "BackingOff",
            "operation": "payments-x7k2m4q9ab",
        }],
        "findingsOmitted": 0,
        "conditions": [
            {
                "type": "Ready", "status": "True", "reason": "Succeeded", "observedGeneration": 3,
                "message": "secrets selected and checked: 1", "lastTransitionTime": "2026-11-23T10:00:03Z",
            },
            {
                "type": "Healthy", "status": "False", "reason": "RotationStuck", "observedGeneration": 3,
                "message": "Stuck: 1; payments/db in eu-west-1: rotation has not progressed since 2026-11-23T02:14:09Z",
                "lastTransitionTime": "2026-11-23T10:00:03Z",
            },
        ],
    });
    assert_eq!(serde_json::to_value(&status).expect("plain data"), expected);
}

#[test]
fn the_next_attempt_is_not_before_the_end_of_its_block() {
    let survey = survey(
        vec![finding("payments/db", State::Stuck)],
        at("2026-11-23T10:00:00Z"),
    );
    let next = |attempt: Option<&str>, until: Option<&str>| {
        let mut plan = Plan::default();
        let next = attempt.map(at);
        let attempts = Attempts { count: 3, next };
        plan.attempts.insert(arn("payments/db"), attempts);
        let hold = Block {
            reason: BlockReason::AttemptsExhausted,
            until: until.map(at),
        };
        plan.blocked.insert(arn("payments/db"), hold);
        let pass = pass(&Readiness::Succeeded, Some((&survey, &plan)));
        let status = SecretRotationPolicyStatus::after(None, &pass);
        let next = status.findings[0].next_attempt_time.clone();
        next.map(|time| time.to_string())
    };
    let (early, late) = (Some("2026-11-23T10:44:00Z"), Some("2026-11-23T14:00:00Z"));
    assert_eq!(next(early, late).as_deref(), late);
    assert_eq!(next(late, early).as_deref(), late);
    assert_eq!(next(None, late).as_deref(), late);
    assert_eq!(next(early, None), None, "time does not end that hold");
}

#[test]
fn a_requested_check_is_identified_by_its_token() {
    let mut object = policy(&least());
    assert_eq!(object.requested_check(), None);
    let token = "1".repeat(300);
    object.metadata.annotations =
        Some([("secretrotation.dev/check-requested-at".to_owned(), token)].into());
    let handled = object.requested_check();
    let pass = PassReport {
        handled_request: handled,
        ..pass(&Readiness::Succeeded, None)
    };
    let status = SecretRotationPolicyStatus::after(None, &pass);
    assert_eq!(status.last_handled_request.as_deref(), handled);
}

#[test]
fn the_worst_state_gives_the_reason() {
    let reason = |states: &[State]| {
        let findings = states
            .iter()
            .map(|state| finding(&format!("{state}"), *state))
            .collect();
        condition(&checked(findings), ConditionType::Healthy)
            .split(':')
            .next()
            .expect("a head")
            .to_owned()
    };
    assert_eq!(reason(&[]), "True/NothingSelected");
    assert_eq!(reason(&[State::Rotating]), "True/AllRotationsHealthy");
    assert_eq!(
        reason(&[State::Unknown, State::Rotating]),
        "Unknown/Unknown"
    );
    assert_eq!(
        reason(&[State::Disabled, State::Unknown]),
        "False/RotationDisabled"
    );
    assert_eq!(reason(&[State::NotFound]), "False/SecretNotFound");
    assert_eq!(
        reason(&[State::ScheduledForDeletion]),
        "False/ScheduledForDeletion"
    );
    assert_eq!(
        reason(&[State::Overdue, State::Disabled]),
        "False/RotationOverdue"
    );
    assert_eq!(
        reason(&[State::Expiring, State::Overdue]),
        "False/SecretExpiring"
    );
    assert_eq!(reason(&[State::Broken, State::Stuck]), "False/SecretBroken");
}

#[test]
fn unseen_secrets_are_not_reported_as_healthy() {
    let incomplete = Survey {
        regions: [(region(REGION), RegionSurvey::default())].into(),
        ..survey(vec![], at("2026-11-23T10:00:00Z"))
    };
    let status = SecretRotationPolicyStatus::after(
        None,
        &pass(&Readiness::Succeeded, Some((&incomplete, &Plan::default()))),
    );
    assert_eq!(
        condition(&status, ConditionType::Healthy),
        "Unknown/Unknown: the last check did not see every secret, and found nothing unhealthy among the others"
    );
}

#[test]
fn a_pass_without_changes_updates_only_the_time_of_the_check() {
    let first = checked(vec![finding("a", State::Stuck)]);
    let stored: SecretRotationPolicyStatus =
        serde_json::from_value(serde_json::to_value(&first).expect("plain data"))
            .expect("a status");
    let later = survey(vec![finding("a", State::Stuck)], at("2026-11-23T10:05:00Z"));
    let plan = Plan::default();
    let pass = PassReport {
        now: server(at("2026-11-23T10:05:03Z")),
        ..pass(&Readiness::Succeeded, Some((&later, &plan)))
    };
    let second = SecretRotationPolicyStatus::after(Some(&stored), &pass);
    assert!(!second.differs_beyond_check_time(&stored));
    assert_ne!(second, stored);
}

#[test]
fn a_transition_time_changes_only_with_the_status() {
    let first = checked(vec![finding("a", State::Stuck)]);
    let changed = |findings, now| {
        let survey = survey(findings, at("2026-11-23T11:00:00Z"));
        let plan = Plan::default();
        let pass = PassReport {
            now: server(at(now)),
            ..pass(&Readiness::Succeeded, Some((&survey, &plan)))
        };
        let status = SecretRotationPolicyStatus::after(Some(&first), &pass);
        find(&status.conditions, ConditionType::Healthy)
            .expect("always there")
            .last_transition_time
            .0
            .to_string()
    };
    assert_eq!(
        changed(vec![finding("b", State::Overdue)], "2026-11-23T11:00:00Z"),
        "2026-11-23T10:00:03Z"
    );
    assert_eq!(
        changed(vec![], "2026-11-23T11:00:00Z"),
        "2026-11-23T11:00:00Z"
    );
}

#[test]
fn a_suspended_policy_keeps_its_findings() {
    let before = checked(vec![finding("a", State::Stuck)]);
    let survey = survey(vec![], at("2026-11-23T11:00:00Z"));
    let plan = Plan::default();
    let pass = PassReport {
        generation: 4,
        ..pass(&Readiness::Suspended, Some((&survey, &plan)))
    };
    let after = SecretRotationPolicyStatus::after(Some(&before), &pass);
    assert_eq!(
        (&after.findings, &after.summary, &after.last_check_time),
        (&before.findings, &before.summary, &before.last_check_time)
    );
    assert_eq!(
        find(&after.conditions, ConditionType::Healthy),
        find(&before.conditions, ConditionType::Healthy)
    );
    assert_eq!(after.observed_generation.expect("set").value(), 4);
    assert!(condition(&after, ConditionType::Ready).starts_with("True/Suspended"));
}

#[test]
fn a_policy_of_a_suspended_profile_reports_it_and_keeps_its_findings() {
    let before = checked(vec![finding("a", State::Stuck)]);
    let suspended = Readiness::ProfileSuspended(ProfileName::parse("shared").expect("valid"));
    let pass = PassReport {
        generation: 4,
        ..pass(&suspended, None)
    };
    let after = SecretRotationPolicyStatus::after(Some(&before), &pass);
    assert_eq!(after.findings, before.findings);
    let ready = condition(&after, ConditionType::Ready);
    assert!(ready.starts_with("True/Suspended"), "{ready}");
    assert!(ready.contains("AWSAccessProfile shared"), "{ready}");
}

#[test]
fn every_readiness_has_its_conditions() {
    let text = || "why".to_owned();
    let profile = || ProfileName::parse("default").expect("valid");
    let heads = |readiness: &Readiness| {
        let status = SecretRotationPolicyStatus::after(None, &pass(readiness, None));
        let heads = [
            ConditionType::Ready,
            ConditionType::Healthy,
            ConditionType::Stalled,
            ConditionType::Reconciling,
        ]
        .map(|kind| {
            let text = condition(&status, kind);
            text.split(':').next().expect("a head").to_owned()
        });
        heads.join(" ")
    };
    let retried =
        |reason: &str| format!("False/{reason} Unknown/Unknown - True/ProgressingWithRetry");
    let stalled = |reason: &str| format!("False/{reason} Unknown/Unknown True/{reason} -");
    let cases = [
        (
            Readiness::Succeeded,
            "True/Succeeded Unknown/Unknown - -".to_owned(),
        ),
        (
            Readiness::Suspended,
            "True/Suspended Unknown/Unknown - -".to_owned(),
        ),
        (
            Readiness::Progressing,
            "Unknown/Progressing Unknown/Unknown - True/Progressing".to_owned(),
        ),
        (
            Readiness::ProfileNotFound(profile()),
            retried("ProfileNotFound"),
        ),
        (
            Readiness::ProfileNotReady(profile()),
            retried("ProfileNotReady"),
        ),
        (
            Readiness::NamespaceNotAllowed(text()),
            stalled("NamespaceNotAllowed"),
        ),
        (
            Readiness::RegionNotAllowed(text()),
            stalled("RegionNotAllowed"),
        ),
        (
            Readiness::SecretNotAllowed(text()),
            retried("SecretNotAllowed"),
        ),
        (
            Readiness::ActionNotAllowed(text()),
            retried("ActionNotAllowed"),
        ),
        (Readiness::WrongAccount(text()), retried("WrongAccount")),
        (Readiness::AccessDenied(text()), retried("AccessDenied")),
        (
            Readiness::CredentialsUnavailable(text()),
            retried("CredentialsUnavailable"),
        ),
        (Readiness::Throttled(text()), retried("Throttled")),
        (Readiness::AwsUnavailable(text()), retried("AWSUnavailable")),
        (
            Readiness::SweepIncomplete(text()),
            retried("SweepIncomplete"),
        ),
        (
            Readiness::InvalidSchedule(text()),
            stalled("InvalidSchedule"),
        ),
        (Readiness::InvalidSpec(text()), stalled("InvalidSpec")),
    ];
    for (readiness, expected) in cases {
        assert_eq!(heads(&readiness), expected);
    }
}

#[test]
fn a_restarted_controller_does_not_unsettle_a_ready_policy() {
    let before = checked(vec![]);
    let after =
        SecretRotationPolicyStatus::after(Some(&before), &pass(&Readiness::Progressing, None));
    assert!(!after.differs_beyond_check_time(&before));
    let changed = PassReport {
        generation: 4,
        ..pass(&Readiness::Progressing, None)
    };
    let after = SecretRotationPolicyStatus::after(Some(&before), &changed);
    assert!(condition(&after, ConditionType::Ready).starts_with("Unknown/Progressing"));
}

#[test]
fn unhealthy_findings_survive_aws_errors_and_a_healthy_verdict_does_not() {
    let healthy = |before: &SecretRotationPolicyStatus, readiness: Readiness| {
        let status = SecretRotationPolicyStatus::after(Some(before), &pass(&readiness, None));
        condition(&status, ConditionType::Healthy)
    };
    let (stuck, well) = (checked(vec![finding("a", State::Stuck)]), checked(vec![]));
    let unknown = "Unknown/Unknown: the secrets were not checked: no";
    let trouble = || "no".to_owned();
    for readiness in [
        Readiness::Throttled(trouble()),
        Readiness::AwsUnavailable(trouble()),
        Readiness::AccessDenied(trouble()),
        Readiness::CredentialsUnavailable(trouble()),
    ] {
        let kept = healthy(&stuck, readiness);
        assert!(kept.starts_with("False/RotationStuck"), "{kept}");
    }
    for readiness in [
        Readiness::AccessDenied(trouble()),
        Readiness::CredentialsUnavailable(trouble()),
    ] {
        assert_eq!(healthy(&well, readiness), unknown);
    }
    let other = healthy(&stuck, Readiness::SecretNotAllowed(trouble()));
    assert_eq!(other, unknown, "it is not about the same secrets any more");
}

#[test]
fn fifty_findings_are_listed_and_the_rest_counted_and_all_obey_the_schema() {
    let schema = support::schema(KIND)["properties"]["status"].clone();
    let mut findings: Vec<_> = (0..70)
        .map(|index| finding(&format!("s{index:03}"), State::Stuck))
        .collect();
    findings.insert(
        1,
        Finding {
            message: "x".repeat(5_000),
            ..finding("s000", State::Overdue)
        },
    );
    let status = checked(findings);
    assert_eq!(
        (
            status.findings.len(),
            status.findings_omitted.expect("set").value()
        ),
        (50, 21)
    );
    assert_eq!(
        support::violations(&schema, &serde_json::to_value(&status).expect("plain data")),
        [""; 0]
    );
    let listed = State::ALL.into_iter().filter(|state| {
        (state.is_unhealthy() || *state == State::Rotating) && *state != State::TooOld
    });
    let all = checked(
        listed
            .map(|state| Finding {
                message: "ä".repeat(5_000),
                ..finding(state.name(), state)
            })
            .collect(),
    );
    assert_eq!(
        support::violations(&schema, &serde_json::to_value(&all).expect("plain data")),
        [""; 0]
    );
}

/// After a restart during an outage, the counts of the last complete check are all that remains of most findings.
#[test]
fn findings_known_only_by_number_stay_omitted() {
    let mut survey = survey(
        vec![finding("a", State::Stuck), finding("b", State::Overdue)],
        at("2026-11-23T10:00:00Z"),
    );
    survey
        .counts
        .extend([(State::Healthy, 129), (State::Stuck, 121)]);
    let seen = (&survey, &Plan::default());
    let incomplete = Readiness::SweepIncomplete("the second page".to_owned());
    let status = SecretRotationPolicyStatus::after(None, &pass(&incomplete, Some(seen)));
    assert_eq!(status.findings_omitted.expect("set").value(), 120);
}
