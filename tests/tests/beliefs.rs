//! What the controller knows about secrets and regions, and that it acts only on that.

use secret_rotation_simulator::{Fault, FaultKind};
use secret_rotation_tests::by_hand::{ByHand, holder};
use secret_rotation_tests::invariants::writes_to;
use secret_rotation_tests::objects::{count, finding, state, text, verdict};
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};

/// Secrets that a person has changed, and one whose tags a job keeps writing.
const DECIDED: &str = "
generate:
- {count: 1, name: app/both, state: pending-on-current, function: ok-both}
- {count: 1, name: app/tagged, state: stuck-empty, function: ok-tagged}
secrets:
- name: app/reverted
  created: -200d
  lastChanged: -26h
  versions:
  - {id: 0a11d0c2-1111-4c6e-9d0b-8f6a5e3b2c01, labels: [AWSCURRENT], created: -40d}
  - {id: 0a11d0c2-2222-4c6e-9d0b-8f6a5e3b2c02, labels: [AWSPENDING, AWSPREVIOUS], created: -27h}
  rotation: {function: ok-reverted, everyDays: 30, lastRotated: -27h, next: +20d}
  target: {strategy: alternating-users, accepts: 0a11d0c2-1111-4c6e-9d0b-8f6a5e3b2c01}
- name: app/cancelled
  created: -200d
  lastChanged: -9d
  versions:
  - {id: 0a11d0c2-1111-4c6e-9d0b-8f6a5e3b2c11, labels: [AWSCURRENT], created: -60d}
  - {id: 0a11d0c2-2222-4c6e-9d0b-8f6a5e3b2c12, labels: [AWSPENDING], empty: true}
  rotation: {function: ok-cancelled, enabled: false, everyDays: 30, lastRotated: -60d}
";

/// Decisions of a person last for days: a rolled-back version, a manual revert, a canceled rotation. A job that writes tags
/// delays a recovery for a day at most.
#[test]
fn what_a_person_decided_stands() {
    let mut story = Story::begin(DECIDED);
    story
        .aws
        .set_quirks(|quirks| quirks.label_moves_date = false);
    story.profile(&json!({"allowedActions": ["Rotate", "ClearPending", "RevertToPrevious"]}));
    story.apply_policy(&Policy::acting("apps"));
    let both = story.inspect("app/both");
    let before = holder(&both, "AWSPREVIOUS");
    let revert = ByHand::new("revert", "apps", "RevertToPrevious", "app/both").expecting(
        &json!({"currentVersionId": holder(&both, "AWSCURRENT"), "previousVersionId": before}),
    );
    story.apply(&revert.object());
    let left = json!({"pendingVersionId": "0a11d0c2-2222-4c6e-9d0b-8f6a5e3b2c12"});
    let clear = ByHand::new("clear", "apps", "ClearPending", "app/cancelled").expecting(&left);
    story.apply(&clear.object());
    story
        .aws
        .tag("app/tagged", "last-synced", "never")
        .expect("it exists");
    let reverted = labelled(&story, "app/reverted", "AWSCURRENT");
    story.start_controller();
    story.while_time_flies("the person has what was asked for", 20.0, || {
        ["revert", "clear"]
            .iter()
            .all(|name| state(&story.get("sro", name)) == "Succeeded")
    });
    for hour in 0..30 {
        story
            .aws
            .tag("app/tagged", "last-synced", &hour.to_string())
            .expect("it exists");
        story.check("apps");
        if hour == 20 {
            assert_eq!(
                finding(&story.get("srp", "apps"), "app/tagged")["blockedBy"],
                "RecentlyChanged"
            );
            assert_eq!(writes_to(&story.aws, "app/tagged"), []);
        }
        story.aws.jump(3600.0);
    }
    for (secret, version) in [("app/reverted", reverted), ("app/both", before)] {
        assert_eq!(labelled(&story, secret, "AWSCURRENT"), version, "{secret}");
    }
    for secret in ["app/reverted", "app/both", "app/cancelled"] {
        assert_eq!(labelled(&story, secret, "AWSPENDING"), None, "{secret}");
        let rotations = writes_to(&story.aws, secret);
        assert!(
            rotations.iter().all(|one| one.operation != "RotateSecret"),
            "{secret}: {rotations:#?}"
        );
    }
    story.while_time_flies("the tagged one is recovered", 20.0, || {
        finding(&story.get("srp", "apps"), "app/tagged").is_null()
    });
    let operations = story.operations_on("app/tagged");
    assert_eq!(operations.len(), 1, "{operations:#?}");
    assert_eq!(
        (
            text(&operations[0]["spec"]["action"]),
            state(&operations[0])
        ),
        ("ClearAndRotate".into(), "Succeeded".into())
    );
    story.end();
}

fn labelled(story: &Story, secret: &str, label: &str) -> Option<String> {
    holder(&story.inspect(secret), label)
}

/// 250 secrets on three pages, 121 of them stuck: most of these on the later pages.
const PAGES: &str = "
generate:
- {count: 129, name: 'app/a-{n}', state: healthy}
- {count: 121, name: 'app/b-{n}', state: stuck-empty}
";

/// A sweep that fails after the first page starts no operation, and the secrets that it did not see keep their state.
#[test]
fn a_partial_view_opens_no_gate_and_forgets_nothing() {
    let later_pages = || Fault::on("ListSecrets", FaultKind::ServerError).containing("NextToken");
    let small = json!({"selector": {"maxSecrets": 150}});
    let mut story = Story::arranged(PAGES)
        .fault(later_pages())
        .policy(&Policy::acting("apps").but(&small))
        .start();
    story.eventually("the policy says what is missing", || {
        verdict(&story.get("srp", "apps"), "Ready") == "False/SweepIncomplete"
    });
    sweep(&story, 5);
    assert!(story.operations().is_empty(), "{}", story.scene());

    let breaker = json!({"remediation": {"circuitBreaker": {"stuckPercent": 40, "minStuck": 5}}});
    story.apply_policy(&Policy::acting("apps").but(&breaker));
    story.aws.clear_faults();
    story.while_time_flies("the breaker is open", 20.0, || {
        let policy = story.get("srp", "apps");
        count(&policy, "stuck") == 121 && blocked(&policy) == ["CircuitBreakerOpen"]
    });
    let seen = story.get("srp", "apps");
    story.aws.inject(later_pages());
    sweep(&story, 5);
    forgets_nothing(&story, &seen);
    story.controllers.remove(0).kill();
    story.start_controller();
    story.eventually("the next replica looks", || {
        verdict(&story.get("srp", "apps"), "Ready") == "False/SweepIncomplete"
            && story.controllers[0].metric(STUCK).is_some()
    });
    sweep(&story, 5);
    forgets_nothing(&story, &seen);
    assert!(story.operations().is_empty(), "{}", story.scene());
    assert_eq!(story.aws.writes(), []);
    story.end();
}

const STUCK: &str = r#"secretrotation_policy_secrets{policy="apps",policy_namespace="team-payments",state="Stuck"}"#;

/// Makes the controller read the list again this many times; it fails each time.
fn sweep(story: &Story, times: usize) {
    // In one sweep the SDK requests the failing page several times, and the first page once.
    let pages = |is_first: bool| {
        let requests = story.aws.requests().into_iter();
        let requests = requests.filter(|one| one.operation == "ListSecrets");
        requests
            .filter(|one| one.parameters["NextToken"].is_null() == is_first)
            .count()
    };
    for _ in 0..times {
        let (first, later) = (pages(true), pages(false));
        story.aws.jump(3600.0);
        story.eventually("another sweep fails", || {
            story.poke();
            pages(true) > first && pages(false) > later
        });
    }
}

/// Returns the reasons that block the findings, each once.
fn blocked(policy: &Value) -> Vec<String> {
    let findings = policy["status"]["findings"].as_array();
    let mut reasons: Vec<_> = findings
        .into_iter()
        .flatten()
        .map(|one| text(&one["blockedBy"]))
        .collect();
    reasons.sort();
    reasons.dedup();
    reasons
}

/// Checks that findings, dates and counts are unchanged, with those of the later pages as unseen.
fn forgets_nothing(story: &Story, before: &Value) {
    let unseen = |policy: &Value| {
        let findings = policy["status"]["findings"].as_array();
        let mut findings = findings.expect("findings").iter();
        findings.all(|one| one["unseenSince"].is_string())
    };
    story.eventually("what the sweep did not see is marked", || {
        unseen(&story.get("srp", "apps"))
    });
    let policy = story.get("srp", "apps");
    assert_eq!(count(&policy, "stuck"), 121, "{policy:#}");
    assert_eq!(count(&policy, "selected"), 250, "{policy:#}");
    assert_eq!(verdict(&policy, "Healthy"), "False/RotationStuck");
    assert_eq!(story.controllers[0].metric(STUCK), Some(121.0));
    let dates = |policy: &Value| -> Vec<_> {
        let findings = policy["status"]["findings"].as_array().expect("findings");
        let dates = findings.iter().map(|one| {
            (
                text(&one["name"]),
                text(&one["since"]),
                text(&one["firstObservedTime"]),
            )
        });
        dates.collect()
    };
    assert_eq!(dates(&policy), dates(before));
}
