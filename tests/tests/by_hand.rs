//! Manual actions that only a person can decide on: promote, restore, revert, cancel a deletion.

use std::collections::BTreeMap;

use secret_rotation_tests::by_hand::{ByHand, holder, pinned};
use secret_rotation_tests::context::{one, one_of};
use secret_rotation_tests::objects::{is_finished, message, state, text};
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};

fn ended(story: &Story, name: &str) -> bool {
    is_finished(&story.get("sro", name))
}

fn labels(story: &Story, secret: &str, label: &str) -> String {
    let snapshot = story.inspect(secret);
    holder(&snapshot, label).unwrap_or_default()
}

/// A lock-out: the only live password is in a version whose label was cleared, and no later rotation can log in. Both
/// recoveries begin with the undo of the clear. No value is read.
#[test]
fn a_lock_out_is_healed_by_undoing_the_clear() {
    let clears =
        json!({"detection": {"stuckAfter": "2h"}, "remediation": {"stuck": "ClearAndRotate"}});
    let story = Story::arranged(
        "generate: [{count: 2, name: 'app/db-{n}', state: stuck-after-set, function: 'ok-{n}'}]",
    )
    .allowing_everything()
    .policy(&Policy::acting("apps").but(&clears))
    .start();
    let live: Vec<_> = ["app/db-1", "app/db-2"]
        .map(|name| labels(&story, name, "AWSPENDING"))
        .into();
    story.while_time_flies("both are locked out", 300.0, || {
        ["app/db-1", "app/db-2"].iter().all(|name| {
            let operations = story.operations_on(name);
            operations
                .first()
                .is_some_and(|one| state(one) == "!RotationDidNotFinish")
        })
    });
    story.apply_policy(&Policy::observing("apps").but(&clears));
    for (number, live) in live.iter().enumerate() {
        let secret = format!("app/db-{}", number + 1);
        let snapshot = story.inspect(&secret);
        assert_eq!(pinned(&snapshot).as_ref(), Some(live), "{snapshot:?}");
        assert!(
            snapshot.accepted.contains(live),
            "only the cleared value is accepted"
        );
        let restore = ByHand::new(
            &format!("restore-{}", number + 1),
            "apps",
            "RestorePending",
            &secret,
        );
        story.apply(
            &restore
                .expecting(&json!({
                    "currentVersionId": holder(&snapshot, "AWSCURRENT"),
                    "pendingVersionId": holder(&snapshot, "AWSPENDING"),
                    "pinnedVersionId": live,
                }))
                .object(),
        );
    }
    story.while_time_flies("both are restored", 20.0, || {
        ended(&story, "restore-1") && ended(&story, "restore-2")
    });
    for (number, live) in live.iter().enumerate() {
        let operation = story.get("sro", &format!("restore-{}", number + 1));
        assert_eq!(state(&operation), "Succeeded", "{operation:#}");
        assert_eq!(
            labels(&story, &format!("app/db-{}", number + 1), "AWSPENDING"),
            *live
        );
        let clears = story.operations_on(&format!("app/db-{}", number + 1));
        let cleared = clears.iter().find(|one| one["spec"]["trigger"] == "Policy");
        let before = &cleared.expect("the clear")["status"]["before"];
        assert_eq!(
            without_pins(&operation["status"]["after"]),
            without_pins(before),
            "as before the clear, though another version had failed since"
        );
    }
    story.aws.jump(3.0 * 3600.0);
    let expect = |secret: &str| {
        let snapshot = story.inspect(secret);
        json!({"currentVersionId": holder(&snapshot, "AWSCURRENT"), "pendingVersionId": holder(&snapshot, "AWSPENDING")})
    };
    let retry =
        ByHand::new("retry", "apps", "RetryRotation", "app/db-1").expecting(&expect("app/db-1"));
    let promote =
        ByHand::new("promote", "apps", "PromotePending", "app/db-2").expecting(&expect("app/db-2"));
    story.apply(&retry.object());
    story.apply(&promote.object());
    // AWS removes AWSPENDING shortly after a rotation has made the version current.
    story.while_time_flies("both are healed", 20.0, || {
        let settled = |secret| labels(&story, secret, "AWSPENDING").is_empty();
        ended(&story, "retry")
            && ended(&story, "promote")
            && settled("app/db-1")
            && settled("app/db-2")
    });
    for (number, (name, live)) in ["retry", "promote"].into_iter().zip(&live).enumerate() {
        let operation = story.get("sro", name);
        assert_eq!(state(&operation), "Succeeded", "{operation:#}");
        let secret = format!("app/db-{}", number + 1);
        assert_eq!(labels(&story, &secret, "AWSCURRENT"), *live);
        assert_eq!(labels(&story, &secret, "AWSPENDING"), "");
    }
    story.end();
}

/// Returns the labels by version, without pins.
fn without_pins(labels: &Value) -> BTreeMap<String, Vec<String>> {
    let versions = labels.as_object().expect("a map").iter();
    let others = versions.map(|(version, held)| {
        let held = held.as_array().expect("labels").iter().map(text);
        let others = held.filter(|label| !label.starts_with("srp-pin-"));
        (version.clone(), others.collect::<Vec<_>>())
    });
    others.filter(|(_, labels)| !labels.is_empty()).collect()
}

/// With the default remedy there is no lock-out: the same version is retried, and the secret recovers.
#[test]
fn the_default_remedy_never_locks_out() {
    let story = Story::recovering(&one_of("stuck-after-set", "ok-db"));
    let live = labels(&story, "app/db", "AWSPENDING");
    story.while_time_flies("it is healed", 20.0, || {
        labels(&story, "app/db", "AWSCURRENT") == live
    });
    let clears = story.aws.writes();
    assert!(
        !clears
            .iter()
            .any(|one| one.operation == "UpdateSecretVersionStage"),
        "{clears:?}"
    );
    story.end();
}

/// A manual clear and its undo: the labels are as before.
#[test]
fn the_undo_of_a_clear_brings_the_labels_back() {
    let story = Story::arranged(&one("stuck-valued"))
        .allowing_everything()
        .policy(&Policy::observing("apps"))
        .start();
    let snapshot = story.inspect("app/db");
    let (current, pending) = (
        holder(&snapshot, "AWSCURRENT"),
        holder(&snapshot, "AWSPENDING"),
    );
    let clear = ByHand::new("clear", "apps", "ClearPending", "app/db")
        .expecting(&json!({"currentVersionId": current, "pendingVersionId": pending}));
    story.apply(&clear.object());
    story.while_time_flies("it is cleared", 20.0, || ended(&story, "clear"));
    assert_eq!(state(&story.get("sro", "clear")), "Succeeded");
    let undo = ByHand::new("undo", "apps", "RestorePending", "app/db")
        .expecting(&json!({"currentVersionId": current, "pinnedVersionId": pending}));
    story.apply(&undo.object());
    story.while_time_flies("it is undone", 5.0, || ended(&story, "undo"));
    let (clear, undo) = (story.get("sro", "clear"), story.get("sro", "undo"));
    assert_eq!(state(&undo), "Succeeded", "{undo:#}");
    let labels = &undo["metadata"]["labels"];
    assert_eq!(labels["secretrotation.dev/policy"], "apps", "{labels:#}");
    let before = without_pins(&clear["status"]["before"]);
    assert_eq!(without_pins(&undo["status"]["after"]), before);
    story.end();
}

/// A revert moves the label and reports that the password does not change; a scheduled deletion is canceled.
#[test]
fn a_revert_and_a_restored_secret() {
    let restores = json!({"remediation": {"scheduledForDeletion": "RestoreSecret"}, "selector": {"include": [{"names": ["app/old-2"]}]}});
    let story = Story::arranged(
        "generate:
         - {count: 1, name: app/db, state: healthy}
         - {count: 2, name: 'app/old-{n}', state: deleted}",
    )
    .allowing_everything()
    .policy(&Policy::observing("apps"))
    .start();
    let snapshot = story.inspect("app/db");
    let (current, previous) = (
        holder(&snapshot, "AWSCURRENT"),
        holder(&snapshot, "AWSPREVIOUS"),
    );
    let revert = ByHand::new("revert", "apps", "RevertToPrevious", "app/db")
        .expecting(&json!({"currentVersionId": current, "previousVersionId": previous}));
    story.apply(&revert.object());
    let deleted = story.kubectl(&["get", "srp", "-A", "-o", "name"]);
    assert!(!deleted.is_empty());
    story.eventually("the deletion is seen", || {
        story.get("srp", "apps")["status"]["summary"]["scheduledForDeletion"] == 2
    });
    let finding =
        secret_rotation_tests::objects::finding(&story.get("srp", "apps"), "app/old-1").clone();
    let restore = ByHand::new("restore", "apps", "RestoreSecret", "app/old-1")
        .expecting(&json!({"deletedTime": finding["since"]}));
    story.apply(&restore.object());
    story.eventually("both have ended", || {
        ended(&story, "revert") && ended(&story, "restore")
    });
    let (revert, restore) = (story.get("sro", "revert"), story.get("sro", "restore"));
    assert_eq!(state(&revert), "Succeeded", "{revert:#}");
    assert!(message(&revert, "Complete").contains("does not move with it"));
    assert_eq!(Some(labels(&story, "app/db", "AWSCURRENT")), previous);
    assert_eq!(Some(labels(&story, "app/db", "AWSPREVIOUS")), current);
    assert_eq!(state(&restore), "Succeeded", "{restore:#}");
    story.apply_policy(&Policy::acting("restorer").but(&restores));
    story.while_time_flies("the policy restores the other one", 5.0, || {
        story
            .operations_on("app/old-2")
            .first()
            .is_some_and(|one| state(one) == "Succeeded")
    });
    let operation = &story.operations_on("app/old-2")[0];
    assert_eq!(operation["spec"]["action"], "RestoreSecret");
    story.end();
}
