//! The upgrade from the previous release and the downgrade to it, with operations in every phase.
//!
//! `cargo xtask upgrade` runs the stories that need the controller of the previous release.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use secret_rotation_simulator::{Fault, FaultKind, Request};
use secret_rotation_tests::by_hand::{ByHand, holder};
use secret_rotation_tests::invariants::writes_to;
use secret_rotation_tests::objects::{is_finished, message, state, text};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Release, Story};
use serde_json::{Value, json};
use testenv::cluster::ADMIN;
use testenv::project;

/// One secret for each phase in which an operation can be during the change of releases.
const ESTATE: &str = "
functions: {slow: {stepSeconds: 600}, nope: {nope: true}}
generate:
- {count: 1, name: done/ended, state: stuck-empty}
- {count: 1, name: nope/refused, state: stuck-empty, function: nope}
- {count: 1, name: slow/verifying, state: stuck-empty, function: slow}
- {count: 1, name: late/settling, state: stuck-empty}
- {count: 1, name: stop/suspended, state: stuck-empty}
- {count: 1, name: gate/awaiting, state: stuck-empty}
- {count: 1, name: hand/queued, state: healthy}
- {count: 1, name: app/cleared, state: stuck-empty}
- {count: 1, name: app/rotating, state: stuck-empty}
";

/// Objects that the controller of the previous release stored, with its CRDs and admission policies.
fn golden(below: &str) -> PathBuf {
    project::root().join("tests/golden/previous").join(below)
}

/// Returns whether the second value contains everything in the first; it may contain more.
fn is_kept(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old
            .iter()
            .all(|(key, old)| new.get(key).is_some_and(|new| is_kept(old, new))),
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| is_kept(old, new))
        }
        _ => old == new,
    }
}

#[test]
fn stored_objects_stay_as_they_are_when_the_kinds_are_replaced() {
    let story = Story::bare(&[], "secrets: []");
    for part in ["crds", "admission.yaml"] {
        story.cluster.apply(&golden(part)).expect("it applies");
    }
    let written = fs::read_to_string(golden("objects.json")).expect("it is there");
    let stored: Value = serde_json::from_str(&written).expect("JSON");
    let items = stored["items"].as_array().expect("a list");
    story.apply(&stored);
    let status = "--server-side --subresource=status --field-manager=secret-rotation-controller";
    let apply: Vec<_> = ["apply", "-f", "-"]
        .into_iter()
        .chain(status.split(' '))
        .collect();
    story
        .kubectl_as(ADMIN, &apply, &written)
        .expect("the status applies");
    for part in ["deploy/crds", "deploy/admission"] {
        let part = project::root().join(part);
        story.cluster.apply(&part).expect("it applies over the old");
    }
    let all = ["awsap", "srp", "sro"]
        .map(|kind| story.list(kind))
        .concat();
    for old in items {
        let kind = text(&old["kind"]);
        let name = text(&old["metadata"]["name"]);
        let same = |one: &&Value| one["kind"] == kind && one["metadata"]["name"] == name;
        let new = all.iter().find(same).expect("it is still there");
        for part in ["spec", "status"] {
            assert!(
                is_kept(&old[part], &new[part]),
                "{kind} {name}: {old:#} is now {new:#}"
            );
        }
    }
    // The new release writes fields that the CRDs of the old one did not have.
    let mut newer = items
        .iter()
        .find(|one| one["status"]["baseline"].is_object())
        .expect("one has begun")
        .clone();
    newer["status"]["baseline"]["rotation"] = json!("On");
    newer["status"]["steps"][0]["foreignChangeTime"] = json!("2026-11-27T16:00:00Z");
    story
        .kubectl_as(ADMIN, &apply, &newer.to_string())
        .expect("the newer status applies");
    story.end();
}

/// Secrets that are finally recovered, each by one operation with one clear and one rotation.
const RECOVERED: [&str; 7] = [
    "done/ended",
    "slow/verifying",
    "late/settling",
    "stop/suspended",
    "gate/awaiting",
    "app/cleared",
    "app/rotating",
];

#[test]
#[ignore = "needs the release before this one: run `cargo xtask upgrade`"]
fn an_upgrade_loses_nothing_and_does_nothing_twice() {
    pass_on(&Release::previous(), &Release::current(), Approvals::Void);
}

#[test]
#[ignore = "needs the release before this one: run `cargo xtask upgrade`"]
fn a_rollback_loses_nothing_and_does_nothing_twice() {
    pass_on(&Release::current(), &Release::previous(), Approvals::Count);
}

/// How the second release treats an approval under the admission policies of the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Approvals {
    /// The policies differ from its own: no approval counts, and no operation that was created under them can be approved.
    Void,
    /// It identifies them only by their names, and they refuse more than its own.
    Count,
}

/// One release brings operations into every phase, and the other one finishes them.
fn pass_on(from: &Release, to: &Release, approvals: Approvals) {
    let mut story = Story::bare(&[], ESTATE);
    // In both directions the newer CRDs are installed: those of an older release are not applied over them.
    install(&story, from);
    story.install(&Release::current(), "crds");
    story.until_approvals_count_again();
    // The previous release accepts no shorter time.
    story.profile(&json!({"minCheckInterval": "30s"}));
    act_one(&mut story, from);
    record(&story);
    let before = snapshot(&story);
    // The manifests of the other release, its admission policies last.
    story.install(to, "controller/rbac.yaml");
    story.start_release(to);
    act_two(&story, approvals);
    story.install(to, "admission");
    act_three(&story, approvals);
    judge(&story, &before);
    story.end();
}

fn install(story: &Story, release: &Release) {
    let parts = [
        "crds",
        "controller/namespace.yaml",
        "controller/rbac.yaml",
        "admission",
    ];
    for part in parts {
        story.install(release, part);
    }
}

fn policy(name: &str) -> Policy {
    let remediation = json!({"backoff": {"initial": "4h", "max": "4h"}});
    Policy::acting(name)
        .selecting(&format!("{name}/"))
        .but(&json!({"remediation": remediation}))
}

fn state_of(story: &Story, secret: &str) -> String {
    let operations = story.operations_on(secret);
    operations.first().map(state).unwrap_or_default()
}

/// Runs the first release until it is killed.
fn act_one(story: &mut Story, from: &Release) {
    // A second try of a pin: only one release keeps the first one.
    let pin = Fault::on("UpdateSecretVersionStage", FaultKind::Throttle).about("late/settling");
    story.aws.inject(pin.times(1));
    for name in ["done", "nope", "slow"] {
        story.apply_policy(&policy(name));
    }
    for name in ["late", "stop"] {
        let patient = json!({"remediation": {"confirmAfter": "1h"}});
        story.apply_policy(&policy(name).but(&patient));
    }
    let gated = json!({"remediation": {"approval": "Required"}});
    story.apply_policy(&policy("gate").but(&gated));
    story.apply_policy(&policy("hand"));
    story.start_release(from);
    story.while_time_flies("each is in its phase", 10.0, || {
        let is = |secret, wanted: &str| state_of(story, secret) == wanted;
        is("done/ended", "Succeeded")
            && state_of(story, "nope/refused").starts_with('!')
            && is("slow/verifying", "Verifying")
            && is("late/settling", "Settling")
            && is("stop/suspended", "Settling")
            && is("gate/awaiting", "AwaitingApproval")
    });
    let suspended = json!({"suspend": true, "remediation": {"confirmAfter": "1h"}});
    story.apply_policy(&policy("stop").but(&suspended));
    story.eventually("it stands still", || {
        state_of(story, "stop/suspended") == "Suspended"
    });
    let clear = Fault::on("UpdateSecretVersionStage", FaultKind::HangAfter)
        .about("app/cleared")
        .containing("AWSPENDING");
    let rotate = Fault::on("RotateSecret", FaultKind::HangAfter).about("app/rotating");
    story.aws.inject(clear.times(1));
    story.aws.inject(rotate.times(1));
    story.apply_policy(&policy("app"));
    story.while_time_flies("a clear and a rotation hang", 10.0, || {
        story.aws.hung_requests_total() == 2
    });
    story.controllers[0].kill();
    // Nobody has looked at this one yet.
    let truth = story.inspect("hand/queued");
    let current = json!({"currentVersionId": holder(&truth, "AWSCURRENT")});
    let rotate = ByHand::new("by-hand", "hand", "Rotate", "hand/queued").expecting(&current);
    story.apply(&rotate.object());
}

/// Writes the objects of the first release into the file that `SECRET_ROTATION_RECORD` names, if it is set.
/// `tests/golden/previous/objects.json` was created this way.
fn record(story: &Story) {
    if let Some(file) = std::env::var_os("SECRET_ROTATION_RECORD") {
        let all = story.kubectl(&["get", "awsap,srp,sro", "-A", "-o", "json"]);
        std::fs::write(file, all).expect("the file can be written");
    }
}

/// The state after the first release was stopped.
fn snapshot(story: &Story) -> BTreeMap<String, Value> {
    let operations = story.operations().into_iter();
    operations
        .map(|one| (text(&one["metadata"]["uid"]), one))
        .collect()
}

/// The second release under the admission policies of the first one: operations that need no approval continue.
fn act_two(story: &Story, approvals: Approvals) {
    approve(story);
    story.while_time_flies("what was begun is brought to its end", 240.0, || {
        let is_done = |secret: &&str| state_of(story, secret) == "Succeeded";
        let secrets = [
            "slow/verifying",
            "late/settling",
            "app/cleared",
            "app/rotating",
            "hand/queued",
        ];
        secrets.iter().all(is_done)
    });
    assert_eq!(state_of(story, "stop/suspended"), "Suspended");
    if approvals == Approvals::Void {
        stays_unapproved(story, "of another version");
    }
}

/// The second release under its own admission policies: one person approves, and another one resumes the policy.
fn act_three(story: &Story, approvals: Approvals) {
    let patient = json!({"suspend": false, "remediation": {"confirmAfter": "1h"}});
    story.apply_policy(&policy("stop").but(&patient));
    if approvals == Approvals::Void {
        story.until_approvals_count_again();
        story.poke();
        story.eventually("it says that the operation is too old", || {
            message(&awaiting(story), "Complete").contains("when this operation was created")
        });
        stays_unapproved(story, "when this operation was created");
        let old = awaiting(story);
        story.kubectl(&["delete", "sro", &text(&old["metadata"]["name"]), "-n", TEAM]);
        story.while_time_flies("there is another one", 60.0, || {
            let uid = &awaiting(story)["metadata"]["uid"];
            uid.is_string() && *uid != old["metadata"]["uid"]
        });
        approve(story);
    }
    story.while_time_flies("all is done", 240.0, || {
        story.operations().iter().all(is_finished)
            && RECOVERED
                .iter()
                .all(|secret| state_of(story, secret) == "Succeeded")
    });
}

fn awaiting(story: &Story) -> Value {
    story
        .operations_on("gate/awaiting")
        .pop()
        .unwrap_or_default()
}

fn approve(story: &Story) {
    let name = text(&awaiting(story)["metadata"]["name"]);
    let decision = json!({"spec": {"decision": {"verdict": "Approve", "by": "admin"}}});
    story.patch(&["sro", &name], &decision);
}

/// Checks that an approval does not count, with the reason in the status.
#[track_caller]
fn stays_unapproved(story: &Story, why: &str) {
    let operation = awaiting(story);
    assert_eq!(state(&operation), "AwaitingApproval", "{operation:#}");
    let told = message(&operation, "Complete");
    assert!(told.contains(why), "{told}");
    assert_eq!(writes_to(&story.aws, "gate/awaiting").len(), 0);
}

fn judge(story: &Story, before: &BTreeMap<String, Value>) {
    let after = snapshot(story);
    let gated = awaiting(story)["spec"]["policyRef"]["name"].clone();
    for (uid, old) in before {
        if old["spec"]["policyRef"]["name"] == gated {
            // An operation that could not be approved was deleted manually.
            continue;
        }
        let new = after.get(uid).unwrap_or_else(|| panic!("lost: {old:#}"));
        if is_finished(old) {
            assert_eq!(old["status"], new["status"], "a record is final");
        }
    }
    // No further operation within its back-off, which is longer than the story.
    let refused = story.operations_on("nope/refused");
    assert_eq!(refused.len(), 1, "{refused:#?}");
    for secret in RECOVERED {
        let operations = story.operations_on(secret);
        assert_eq!(operations.len(), 1, "{secret}: {operations:#?}");
        let writes = writes_to(&story.aws, secret);
        let accepted = |wanted: fn(&Request) -> bool| {
            let fit = |request: &&Request| wanted(request) && request.code.as_deref() == Some("OK");
            writes.iter().filter(fit).count()
        };
        let clears = accepted(|request| {
            request.operation == "UpdateSecretVersionStage"
                && request.parameters["VersionStage"] == "AWSPENDING"
        });
        let rotations = accepted(|request| request.operation == "RotateSecret");
        assert_eq!((clears, rotations), (1, 1), "{secret}: {writes:#?}");
        let truth = story.inspect(secret);
        assert_eq!(truth.invocations.get("finishSecret"), Some(&1), "{secret}");
    }
}
