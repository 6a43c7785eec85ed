//! Mistakes in manifests: the API server rejects them and explains what to write, or a condition does.

use fixtures::resource;
use secret_rotation_tests::context::{many, one};
use secret_rotation_tests::objects::{condition, message, state, verdict};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};
use testenv::cluster::ADMIN;
use testenv::project;

/// The beginning of an ARN.
const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:";

/// Checks that the object is rejected, with each of these texts in the message.
fn refused(story: &Story, object: &Value, words: &[&str]) {
    let error = match story.try_apply(object) {
        Ok(()) => panic!("it was taken: {object:#}"),
        Err(error) => format!("{error:#}"),
    };
    for word in words {
        assert!(error.contains(word), "{word:?} in: {error}");
    }
}

fn policy(changes: &Value) -> Value {
    Policy::observing("apps").but(changes).object()
}

fn operation(changes: &Value) -> Value {
    let spec = json!({
            "policyRef": {"name": "apps"},
            "secret": {"name": "app/db", "region": "eu-west-1"},
            "action": "ClearAndRotate",
            "expect": {"pendingVersionId": "v2"},
            "reason": "stuck since this morning",
    });
    let mut object = resource("SecretRotationOperation", TEAM, "by-hand", &spec);
    for (field, value) in changes.as_object().expect("fields") {
        object["spec"][field] = value.clone();
    }
    object
}

fn profile(changes: &Value) -> Value {
    let spec = json!({"regions": ["eu-west-1"], "allowedSecrets": [{"namePrefix": "app/"}]});
    let mut object = resource("AWSAccessProfile", "", "default", &spec);
    for (field, value) in changes.as_object().expect("fields") {
        object["spec"][field] = value.clone();
    }
    object
}

/// The API server rejects an invalid policy, and explains what to write.
#[test]
fn policies_that_make_no_sense_are_refused_with_advice() {
    let story = Story::begin("generate: []");
    let many: Vec<_> = (0..41).map(|n| format!("eu-west-{n}")).collect();
    let items: Vec<_> = (0..21)
        .map(|n| json!({"namePrefix": format!("a{n}/")}))
        .collect();
    let arn = format!("{ARN}payments/ledger-HLqSTB");
    let cases: [(Value, &[&str]); 23] = [
        (
            json!({"checkInterval": "5 minutes"}),
            &["spec.checkInterval", "30s", "24h"],
        ),
        (
            json!({"checkInterval": "10s"}),
            &["spec.checkInterval", "between 30s and 24h"],
        ),
        (
            json!({"checkInterval": 300}),
            &["spec.checkInterval", "string"],
        ),
        (
            json!({"detection": {"stuckAfter": "1h"}}),
            &["stuckAfter", "between 2h and 720h"],
        ),
        (
            json!({"selector": {"include": []}}),
            &["spec.selector.include", "at least 1"],
        ),
        (json!({"selector": null}), &["spec.selector", "Required"]),
        (
            json!({"selector": {"include": [{}]}}),
            &["include[0]", "names", "namePrefix", "tags"],
        ),
        (json!({"selector": {"include": items}}), &["include", "20"]),
        (json!({"regions": many}), &["spec.regions", "40"]),
        (
            json!({"regions": ["Ireland"]}),
            &["spec.regions[0]", "should match"],
        ),
        (
            json!({"mode": "Fix"}),
            &["spec.mode", "\"Observe\", \"Remediate\""],
        ),
        (
            json!({"remediation": {"stuck": "Restart"}}),
            &["stuck", "ClearAndRotate"],
        ),
        (
            json!({"remediation": {"backoff": {"initial": "2h", "max": "1h"}}}),
            &["backoff", "max that is not shorter"],
        ),
        (
            json!({"remediation": {"limits": {"maxAttempts": 0}}}),
            &["maxAttempts", "greater than or equal to 1"],
        ),
        (
            json!({"remediaton": {}}),
            &["unknown field \"spec.remediaton\""],
        ),
        (
            json!({"selector": {"include": [{"namePrefix": "x".repeat(513)}]}}),
            &["namePrefix", "512"],
        ),
        (
            json!({"selector": {"include": [{"names": ["payments/a", arn]}]}}),
            &[
                "spec.selector.include[0].names",
                "write the name payments/ledger instead of the ARN",
            ],
        ),
        (
            json!({"selector": {"exclude": [{"names": [arn]}]}}),
            &[
                "spec.selector.exclude[0].names",
                "write the name payments/ledger instead of the ARN",
            ],
        ),
        (
            json!({"selector": {"include": [{"names": [format!("{ARN}payments/a")]}]}}),
            &["write the name payments/a instead of the ARN"],
        ),
        (
            json!({"selector": {"include": [{"namePrefix": format!("{ARN}payments/")}]}}),
            &[
                "spec.selector.include[0].namePrefix",
                "write the beginning of names instead of an ARN: payments/,",
            ],
        ),
        (
            json!({"selector": {"include": [{"names": ["payments/*"]}]}}),
            &["no secret can have the name payments/*: write ASCII letters"],
        ),
        (
            json!({"selector": {"exclude": [{"namePrefix": "payments/*"}]}}),
            &["no name of a secret begins with payments/*"],
        ),
        (
            json!({"selector": {"include": [{"names": ["a/x", "b/y"], "namePrefix": "a/"}]}}),
            &["name b/y does not begin with namePrefix a/ of the same item"],
        ),
    ];
    for (changes, words) in cases {
        refused(&story, &policy(&changes), words);
    }
    let mut long = policy(&json!({}));
    long["metadata"]["name"] = json!("p".repeat(64));
    refused(&story, &long, &["63"]);
    story.apply(&policy(&json!({})));
    refused(
        &story,
        &policy(&json!({"profileRef": {"name": "other"}})),
        &["profileRef cannot be changed"],
    );
    story.end();
}

/// A rule for new objects does not prevent users from suspending or correcting an old one.
#[test]
fn a_stored_policy_that_would_be_refused_today_can_still_be_changed_elsewhere() {
    let story = Story::begin("generate: []");
    let file = project::root().join("deploy/crds/secretrotationpolicies.secretrotation.dev.yaml");
    let text = std::fs::read_to_string(file).expect("it is there");
    let current: Value = serde_saphyr::from_str(&text).expect("it is YAML");
    let mut older = current.clone();
    let selector = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/selector";
    without_rules(
        older
            .pointer_mut(selector)
            .expect("policies have a selector"),
    );
    let define = |definition: &Value| story.cluster.replace_text(&definition.to_string());
    define(&older).expect("the older definition applies");
    let excluded = json!({"names": [format!("{ARN}app/db-HLqSTB")]});
    let stored = policy(&json!({"selector": {"exclude": [excluded]}, "mode": "Remediate"}));
    story.eventually("it is stored", || story.try_apply(&stored).is_ok());
    define(&current).expect("the definition of today applies");
    story.eventually("a new one is refused", || {
        let mut new = stored.clone();
        new["metadata"]["name"] = json!("new");
        let dry_run = ["create", "--dry-run=server", "-f", "-"];
        story
            .kubectl_as(ADMIN, &dry_run, &new.to_string())
            .is_err_and(|error| error.contains("write the name app/db instead of the ARN"))
    });
    let patch = |change: &Value, more: &[&str]| {
        let change = change.to_string();
        let how = [
            "patch",
            "srp",
            "apps",
            "-n",
            TEAM,
            "--type=merge",
            "-p",
            &change,
        ];
        story.kubectl_as(ADMIN, &[&how, more].concat(), "")
    };
    for change in [
        json!({"spec": {"suspend": true}}),
        json!({"spec": {"mode": "Observe"}}),
        json!({"spec": {"selector": {"maxSecrets": 7}}}),
        json!({"spec": {"selector": {"include": [{"namePrefix": "app/d"}]}}}),
        json!({"metadata": {"labels": {"team": "payments"}}}),
    ] {
        patch(&change, &[]).unwrap_or_else(|error| panic!("{change}: {error}"));
    }
    let status = json!({"status": {"observedGeneration": 1}});
    let written = patch(&status, &["--subresource=status"]);
    if story
        .kubectl(&["version"])
        .contains("Server Version: v1.32.")
    {
        // Kubernetes 1.32 judges the whole object when a status is written. Later versions judge what has changed.
        let error = written.expect_err("its status cannot be written");
        assert!(error.contains("write the name app/db"), "{error}");
    } else {
        written.expect("its status can be written");
    }
    let more = json!({"spec": {"selector": {"exclude": [excluded, {"namePrefix": "app/old"}]}}});
    let error = patch(&more, &[]).expect_err("what is written anew is judged");
    assert!(error.contains("write the name app/db"), "{error}");
    let corrected = json!({"spec": {"selector": {"exclude": [{"names": ["app/db"]}]}}});
    patch(&corrected, &[]).expect("the advice is followed");
    story.end();
}

fn without_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("x-kubernetes-validations");
            fields.values_mut().for_each(without_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(without_rules),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The API server rejects an invalid operation: an action on a secret must be explicit.
#[test]
fn operations_that_are_not_spelt_out_are_refused_with_advice() {
    let story = Story::begin("generate: []");
    let arn = format!("{ARN}app/db-AbCdEf");
    let cases: [(Value, &[&str]); 10] = [
        (
            json!({"action": "DeleteSecret"}),
            &["spec.action", "RetryRotation"],
        ),
        (json!({"expect": {}}), &["write expect.pendingVersionId"]),
        (
            json!({"action": "Rotate"}),
            &["write expect.currentVersionId"],
        ),
        (
            json!({"secret": {"name": "app/db"}}),
            &["write either arn, or both name and region"],
        ),
        (
            json!({"secret": {"name": "app/db", "region": "eu-west-1", "arn": arn}}),
            &["write either arn, or both name and region"],
        ),
        (
            json!({"secret": {"arn": "arn:aws:s3:::a-bucket/app/db"}}),
            &["spec.secret.arn", "should match"],
        ),
        (
            json!({"secret": {"name": arn, "region": "eu-west-1"}}),
            &["spec.secret.name", "write the ARN into secret.arn"],
        ),
        (
            json!({"secret": {"name": "app/{db}", "region": "eu-west-1"}}),
            &["no secret can have the name app/{db}"],
        ),
        (json!({"reason": ""}), &["spec.reason", "at least 1"]),
        (
            json!({"confirmAfter": "1s"}),
            &["confirmAfter", "between 30s and 6h"],
        ),
    ];
    for (changes, words) in cases {
        refused(&story, &operation(&changes), words);
    }
    story.apply(&operation(&json!({})));
    refused(
        &story,
        &operation(&json!({"reason": "changed my mind"})),
        &[
            "the spec of an operation cannot be changed, except that decision can be set once; create another operation",
        ],
    );
    story.end();
}

/// The API server rejects an invalid profile: a ceiling must not be wider than it looks.
#[test]
fn profiles_that_reach_further_than_they_look_are_refused_with_advice() {
    let story = Story::begin("generate: []");
    let cases: [(Value, &[&str]); 9] = [
        (
            json!({"allowedSecrets": [{"namePrefix": format!("{ARN}app/")}]}),
            &[
                "spec.allowedSecrets[0].namePrefix",
                "write the beginning of names instead of an ARN: app/,",
            ],
        ),
        (
            json!({"allowedSecrets": [{"namePrefix": format!("{ARN}${{namespace}}/")}]}),
            &["write the beginning of names instead of an ARN: ${namespace}/,"],
        ),
        (
            json!({"allowedSecrets": [{"namePrefix": "{namespace}/"}]}),
            &["no name of a secret begins with {namespace}/"],
        ),
        (json!({"regions": []}), &["spec.regions", "at least 1"]),
        (
            json!({"allowedSecrets": [{"namePrefix": "${namespace}"}]}),
            &["follow it with one of / _ . + = @"],
        ),
        (
            json!({"allowedSecrets": [{"namePrefix": "app*"}]}),
            &["write * alone"],
        ),
        (
            json!({"allowedActions": ["Everything"]}),
            &["allowedActions", "Rotate"],
        ),
        (json!({"accountId": "1234"}), &["spec.accountId"]),
        (
            json!({"endpoint": "http://localhost"}),
            &["unknown field \"spec.endpoint\""],
        ),
    ];
    for (changes, words) in cases {
        refused(&story, &profile(&changes), words);
    }
    story.end();
}

/// Mistakes that no schema can find are reported in conditions, without a request to AWS.
#[test]
fn what_is_out_of_reach_is_said_by_conditions() {
    let mut story = Story::arranged(&many(2, "stuck-empty"))
        .profile(&json!({"allowedActions": ["Rotate"], "allowedSecrets": [{"namePrefix": "app/"}]}))
        .profile_called(
            "closed",
            &json!({"allowedNamespaces": {"names": ["somebody-else"]}}),
        )
        .ready();
    let wanted: [(&str, Value, &str, &[&str]); 5] = [
        (
            "no-profile",
            json!({"profileRef": {"name": "nowhere"}}),
            "False/ProfileNotFound",
            &["AWSAccessProfile", "nowhere"],
        ),
        (
            "no-entry",
            json!({"profileRef": {"name": "closed"}}),
            "False/NamespaceNotAllowed",
            &["closed", TEAM],
        ),
        (
            "no-region",
            json!({"regions": ["us-east-1"]}),
            "False/RegionNotAllowed",
            &["us-east-1"],
        ),
        (
            "no-secret",
            json!({"selector": {"include": [{"names": ["other/db"]}]}}),
            "False/SecretNotAllowed",
            &["other/db"],
        ),
        (
            "no-action",
            json!({"mode": "Remediate", "remediation": {"stuck": "ClearAndRotate"}}),
            "False/ActionNotAllowed",
            &["ClearPending", "allowedActions"],
        ),
    ];
    for (name, changes, _, _) in &wanted {
        story.apply_policy(&Policy::observing(name).but(changes));
    }
    story.apply(&operation(&json!({"policyRef": {"name": "no-action"}, "secret": {"name": "app/db-1", "region": "eu-west-1"}})));
    story.start_controller();
    for (name, _, reason, words) in &wanted {
        story.eventually(&format!("{name} says {reason}"), || {
            verdict(&story.get("srp", name), "Ready") == *reason
        });
        let message = message(&story.get("srp", name), "Ready");
        for word in *words {
            assert!(message.contains(word), "{word:?} in {name}: {message}");
        }
    }
    story.eventually("the operation has failed", || {
        state(&story.get("sro", "by-hand")) == "!NotAuthorised"
    });
    let message = message(&story.get("sro", "by-hand"), "Failed");
    assert!(message.contains("ClearPending"), "{message}");
    assert_eq!(story.aws.writes(), []);
    story.end();
}

/// The account in a profile is misspelled: the credentials are valid, but the secrets belong to another account.
#[test]
fn a_profile_of_another_account_is_never_ready_and_nothing_is_healthy() {
    let story = Story::arranged(&many(2, "stuck-empty"))
        .profile(&json!({"accountId": "999999999999"}))
        .policy(&Policy::acting("apps"))
        .start();
    story.eventually("the profile says so", || {
        let profile = story.get("awsap", "default");
        assert_ne!(verdict(&profile, "Ready"), "True/Succeeded");
        verdict(&profile, "Ready") == "False/WrongAccount"
    });
    let said = message(&story.get("awsap", "default"), "Ready");
    assert!(
        said.contains("111122223333") && said.contains("999999999999"),
        "{said}"
    );
    story.eventually("the policy says so", || {
        let policy = story.get("srp", "apps");
        assert!(!verdict(&policy, "Healthy").starts_with("True"));
        verdict(&policy, "Ready") == "False/ProfileNotReady"
    });
    assert_eq!(
        verdict(&story.get("srp", "apps"), "Healthy"),
        "Unknown/Unknown"
    );
    assert_eq!(story.operations(), Vec::<Value>::new());
    story.profile(&json!({"accountId": "111122223333"}));
    story.eventually("the corrected profile is ready", || {
        verdict(&story.get("awsap", "default"), "Ready") == "True/Succeeded"
            && verdict(&story.get("srp", "apps"), "Healthy") == "False/RotationStuck"
    });
    story.end();
}

/// A stored policy of a newer release cannot be parsed until someone writes a spec that this release knows.
#[test]
fn a_policy_that_is_mended_is_stalled_no_more() {
    const MODES: &str =
        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/mode/enum/-";
    let story = Story::arranged(&one("healthy")).start();
    let wider = json!([{"op": "add", "path": MODES, "value": "Sometimes"}]).to_string();
    let crd = "secretrotationpolicies.secretrotation.dev";
    story.kubectl(&["patch", "crd", crd, "--type=json", "-p", &wider]);
    let strange = Policy::observing("apps")
        .but(&json!({"mode": "Sometimes"}))
        .object();
    story.eventually("the API server takes it", || {
        story.try_apply(&strange).is_ok()
    });
    story.eventually("the policy is stalled", || {
        verdict(&story.get("srp", "apps"), "Stalled") == "True/InvalidSpec"
    });
    for _ in 0..2 {
        story.apply_policy(&Policy::observing("apps"));
        story.eventually("the policy is stalled no more", || {
            let policy = story.get("srp", "apps");
            verdict(&policy, "Ready") == "True/Succeeded" && condition(&policy, "Stalled").is_null()
        });
        story.check("apps");
        assert!(condition(&story.get("srp", "apps"), "Stalled").is_null());
        story.apply_policy(&Policy::observing("apps").but(&json!({"regions": ["us-east-1"]})));
        story.eventually("another reason stalls it", || {
            verdict(&story.get("srp", "apps"), "Stalled") == "True/RegionNotAllowed"
        });
        story.kubectl(&[
            "patch",
            "srp",
            "apps",
            "-n",
            TEAM,
            "--type=json",
            "-p",
            r#"[{"op": "remove", "path": "/spec/regions"}]"#,
        ]);
    }
    story.end();
}
