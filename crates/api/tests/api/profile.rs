//! Tests of profiles: defaults, the ceiling, and the status after a pass.

use std::{collections::BTreeSet, time::Duration};

use fixtures::{at, server};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use secret_rotation_api::{
    Readiness,
    profile::{AWSAccessProfile, AWSAccessProfileStatus, ProfileReport, RegionSweep},
};
use secret_rotation_core::action::Permission;
use secret_rotation_core::names::{Namespace, Region, SecretName};
use secret_rotation_core::policy::Suspension;
use secret_rotation_core::profile::{NamespaceRule, RateLimit};
use serde_json::{Value, json};

use crate::support;

const KIND: &str = "AWSAccessProfile";

fn profile(spec: &Value) -> AWSAccessProfile {
    let object = support::object(KIND, "default", spec);
    serde_json::from_value(object).expect("a profile that the schema admits")
}

#[test]
fn a_profile_allows_nothing_by_default() {
    let schema = support::schema(KIND)["properties"]["spec"].clone();
    let least = json!({ "regions": ["eu-west-1"] });
    let old = profile(&least);
    assert_eq!(old, profile(&support::defaulted(&schema, least)));
    let core = old.to_core().expect("valid");
    assert_eq!(core.allowed_namespaces, NamespaceRule::default());
    assert_eq!(
        (
            core.allowed_secrets.len(),
            core.allowed_actions.len(),
            core.account
        ),
        (0, 0, None)
    );
    assert_eq!(
        (core.min_check_interval, core.max_concurrent_per_function),
        (Duration::from_mins(1), 1)
    );
    assert_eq!(
        core.rate_limit,
        RateLimit {
            reads_per_second: 20,
            writes_per_second: 2
        }
    );
}

#[test]
fn every_field_is_parsed_and_kept() {
    let spec = json!({
        "accountId": "111122223333",
        "regions": ["eu-west-1", "eu-central-1"],
        "allowedNamespaces": { "names": ["team-payments"], "selector": { "matchLabels": { "tier": "prod" } } },
        "allowedSecrets": [{ "namePrefix": "${namespace}/" }, { "namePrefix": "shared/" }],
        "allowedActions": ["Rotate", "ClearPending"],
        "suspend": true,
        "minCheckInterval": "5m",
        "maxConcurrentPerFunction": 3,
        "rateLimit": { "readsPerSecond": 40, "writesPerSecond": 4 },
        "eventQueue": { "arn": "arn:aws:sqs:eu-west-1:111122223333:secret-rotation" },
    });
    let schema = support::schema(KIND)["properties"]["spec"].clone();
    assert_eq!(support::violations(&schema, &spec), [""; 0]);
    let object = profile(&spec);
    assert_eq!(
        serde_json::to_value(&object.spec).expect("plain data"),
        spec
    );
    let core = object.to_core().expect("valid");
    assert_eq!(
        core.allowed_actions,
        BTreeSet::from([Permission::Rotate, Permission::ClearPending])
    );
    let namespace = Namespace::parse("prod").expect("valid");
    let covered = |name: &str| {
        let name = SecretName::parse(name).expect("valid");
        core.allowed_secrets
            .iter()
            .any(|pattern| pattern.covers(&namespace, &name))
    };
    assert!(covered("prod/db") && covered("shared/db") && !covered("production/db"));
    assert_eq!(core.suspension, Suspension::Suspended);
    let labels = [("tier".to_owned(), "prod".to_owned())].into();
    assert!(core.allowed_namespaces.admits(&namespace, &labels));
}

#[test]
fn a_profile_that_a_finalizer_keeps_has_its_deletion_time() {
    let deleted = server(at("2026-11-23T09:00:00Z"));
    let mut kept = profile(&json!({ "regions": ["eu-west-1"] }));
    assert_eq!(kept.to_core().expect("valid").deletion_requested, None);
    kept.metadata.deletion_timestamp = Some(Time(deleted.timestamp()));
    assert_eq!(
        kept.to_core().expect("valid").deletion_requested,
        Some(deleted)
    );
}

#[test]
fn a_ceiling_that_does_not_mean_what_it_appears_to_mean_is_refused() {
    let refusal = |prefix: &str| {
        let spec = json!({ "regions": ["eu-west-1"], "allowedSecrets": [{ "namePrefix": "a/" }, { "namePrefix": prefix }] });
        profile(&spec).to_core().expect_err("refused").to_string()
    };
    let variable = "spec.allowedSecrets[1].namePrefix: write ${namespace} once and follow it with one of / _ . + = @, as in ${namespace}/";
    for prefix in [
        "${namespace}",
        "${namespace}-x",
        "${namespace}/${namespace}/",
        "${name}/",
        "$x",
        "",
    ] {
        assert_eq!(refusal(prefix), variable, "{prefix}");
    }
    assert_eq!(
        refusal("prod*"),
        "spec.allowedSecrets[1].namePrefix: write * alone to allow every name, or a prefix without it"
    );
}

#[test]
fn errors_name_the_field() {
    let refusal = |spec: Value| profile(&spec).to_core().expect_err("refused").to_string();
    assert_eq!(
        refusal(json!({ "regions": ["eu-west-1"], "accountId": "12" })),
        "spec.accountId: \"12\" is not an account id of 12 digits"
    );
    assert_eq!(
        refusal(json!({ "regions": ["eu-west-1", "evil.example"] })),
        "spec.regions[1]: \"evil.example\" is not a region such as eu-west-1"
    );
    assert_eq!(
        refusal(json!({ "regions": ["eu-west-1"], "rateLimit": { "readsPerSecond": 0 } })),
        "spec.rateLimit.readsPerSecond is 0; write a whole number between 1 and 1000"
    );
}

/// A controller that starts knows nothing yet. The last condition of this generation is kept, good or bad.
#[test]
fn before_the_first_answer_the_condition_of_the_same_generation_is_kept() {
    let regions = BTreeSet::new();
    let after = |previous: Option<&AWSAccessProfileStatus>, generation, readiness: &Readiness| {
        let pass = ProfileReport {
            generation,
            readiness,
            sweeps: &[],
            regions: &regions,
            now: server(at("2026-11-23T10:00:03Z")),
        };
        AWSAccessProfileStatus::after(previous, &pass)
    };
    let reason = |status: &AWSAccessProfileStatus| status.conditions[0].reason.clone();
    let wrong = after(None, 3, &Readiness::WrongAccount("of somebody".to_owned()));
    assert_eq!(after(Some(&wrong), 3, &Readiness::Progressing), wrong);
    let corrected = after(Some(&wrong), 4, &Readiness::Progressing);
    assert_eq!(reason(&corrected), "Progressing");
    assert_eq!(
        reason(&after(Some(&wrong), 3, &Readiness::Succeeded)),
        "Succeeded"
    );
}

#[test]
fn a_region_that_was_not_swept_keeps_what_is_known_of_it() {
    let region = |name: &str| Region::parse(name).expect("valid");
    let sweep = |name: &str, time: &str| RegionSweep {
        region: region(name),
        time: at(time),
        secrets: 214,
        complete: true,
    };
    let regions = BTreeSet::from([region("eu-west-1"), region("eu-central-1")]);
    let after = |previous: Option<&AWSAccessProfileStatus>, sweeps: &[RegionSweep]| {
        let (readiness, now) = (&Readiness::Succeeded, server(at("2026-11-23T10:00:03Z")));
        AWSAccessProfileStatus::after(
            previous,
            &ProfileReport {
                generation: 3,
                readiness,
                sweeps,
                regions: &regions,
                now,
            },
        )
    };
    let sweeps = [
        sweep("eu-west-1", "2026-11-23T10:00:00Z"),
        sweep("eu-central-1", "2026-11-23T10:00:00Z"),
    ];
    let first = after(None, &sweeps);
    let second = after(Some(&first), &[sweep("eu-west-1", "2026-11-23T10:05:00Z")]);
    assert!(!second.differs_beyond_check_time(&first));
    let expected = json!({
        "observedGeneration": 3,
        "regions": [
            { "name": "eu-central-1", "lastSweepTime": "2026-11-23T10:00:00Z", "secrets": 214, "complete": true },
            { "name": "eu-west-1", "lastSweepTime": "2026-11-23T10:05:00Z", "secrets": 214, "complete": true },
        ],
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Succeeded", "observedGeneration": 3,
            "message": "everything that is requested can be done", "lastTransitionTime": "2026-11-23T10:00:03Z",
        }],
    });
    let status = serde_json::to_value(&second).expect("plain data");
    assert_eq!(
        support::violations(&support::schema(KIND)["properties"]["status"], &status),
        [""; 0]
    );
    assert_eq!(status, expected);
}
