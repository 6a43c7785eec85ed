//! Operations whose policy is deleted, suspended or created again, and how long operations are kept.

use secret_rotation_tests::by_hand::{ByHand, holder};
use secret_rotation_tests::context::{one, one_of};
use secret_rotation_tests::objects::{count, finding, is_finished, state, steps};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story};
use serde_json::json;

const STUCK: &str = "generate: [{count: 1, name: app/db, state: stuck-empty}]";

fn slowly() -> Policy {
    Policy::acting("apps").but(&json!({"remediation": {"confirmAfter": "10m"}}))
}

fn is_settling(story: &Story) -> bool {
    let operations = story.operations();
    operations
        .first()
        .is_some_and(|one| state(one) == "Settling")
}

#[test]
fn a_policy_that_goes_ends_its_operation_before_the_next_write() {
    let story = Story::with(STUCK, &slowly());
    story.eventually("it is pinned", || is_settling(&story));
    story.kubectl(&["delete", "srp", "apps", "-n", TEAM]);
    story.while_time_flies("it has ended", 300.0, || {
        story.operations().iter().all(is_finished)
    });
    let operation = &story.operations()[0];
    assert_eq!(state(operation), "!PolicyGone");
    assert_eq!(
        steps(operation).len(),
        1,
        "nothing but the pin: {operation:#}"
    );
    let truth = story.inspect("app/db");
    assert!(holder(&truth, "AWSPENDING").is_some());
    story.end();
}

/// A policy that is created again with the same name starts again, but the attempts still count.
#[test]
fn a_policy_that_comes_again_has_no_new_budget() {
    let once = Policy::acting("apps").but(&json!({"remediation": {"limits": {"maxAttempts": 1}}}));
    let story = Story::with(&one_of("stuck-empty", "fail-createSecret"), &once);
    story.while_time_flies("the attempt is used up", 1800.0, || {
        finding(&story.get("srp", "apps"), "app/db")["blockedBy"] == "AttemptsExhausted"
    });
    let before = story.operations().len();
    story.kubectl(&["delete", "srp", "apps", "-n", TEAM]);
    story.apply_policy(&once);
    story.eventually("the new policy knows", || {
        finding(&story.get("srp", "apps"), "app/db")["blockedBy"] == "AttemptsExhausted"
    });
    assert_eq!(story.operations().len(), before);
    story.end();
}

/// A policy is suspended while an operation waits: nothing is written, and the operation continues after the resume. Tests
/// of core cover every step.
#[test]
fn a_suspended_policy_stands_still_wherever_it_was() {
    let story = Story::with(STUCK, &slowly());
    for phase in ["Settling", "Verifying"] {
        story.while_time_flies("the step is reached", 200.0, || {
            story
                .operations()
                .first()
                .is_some_and(|one| state(one) == phase || is_finished(one))
        });
        if is_finished(&story.operations()[0]) {
            break;
        }
        story.apply_policy(&slowly().but(&json!({"suspend": true})));
        story.eventually("the operation stands still", || {
            story.poke();
            state(&story.operations()[0]) == "Suspended"
        });
        let writes = story.aws.writes().len();
        story.aws.jump(3600.0);
        story.poke();
        story.meanwhile(std::time::Duration::from_secs(2));
        assert_eq!(story.aws.writes().len(), writes, "suspended in {phase}");
        story.apply_policy(&slowly().but(&json!({"suspend": false})));
    }
    story.while_time_flies("all is well", 200.0, || {
        count(&story.get("srp", "apps"), "healthy") == 1
    });
    story.end();
}

/// When the owner is deleted, the next policy becomes the owner of its secrets.
#[test]
fn ownership_passes_on_when_a_policy_goes() {
    // AWS's clock begins in the evening: the owner waits for the night.
    let night = json!({"allow": [{"schedule": "0 3 * * *", "duration": "1h"}]});
    let mut story = Story::arranged(STUCK)
        .policy(&Policy::acting("first").but(&json!({"remediation": {"windows": night}})))
        .ready();
    // Creation times have seconds.
    story.meanwhile(std::time::Duration::from_millis(1100));
    story.apply_policy(&Policy::acting("second"));
    story.start_controller();
    story.eventually("the second policy steps back", || {
        finding(&story.get("srp", "second"), "app/db")["blockedBy"] == "Conflict"
    });
    story.eventually("it is told", || story.tells("ConflictingPolicy"));
    assert!(story.operations().is_empty());
    story.kubectl(&["delete", "srp", "first", "-n", TEAM]);
    story.while_time_flies("the second policy heals it", 20.0, || {
        count(&story.get("srp", "second"), "healthy") == 1
    });
    story.end();
}

/// Pins of a failed recovery are removed once the secret has been healthy for a complete attempt window.
#[test]
fn pins_are_collected_when_nobody_needs_them() {
    let story = Story::observing(
        "
        secrets:
        - name: app/db
          created: -400d
          lastChanged: -26h
          versions:
          - {id: 11111111-1111-1111-1111-111111111111, labels: [AWSCURRENT], created: -40d}
          - {id: 22222222-2222-2222-2222-222222222222, labels: [AWSPENDING], created: -26h}
          rotation: {function: ok, everyDays: 300, lastRotated: -40d, next: +30h}
        ",
    );
    let clear = ByHand::new("clear", "apps", "ClearPending", "app/db")
        .expecting_what_is(&story, &["pendingVersionId"]);
    story.apply(&clear.object());
    story.while_time_flies("it is cleared", 20.0, || {
        state(&story.get("sro", "clear")) == "Succeeded"
    });
    let pins = |story: &Story| {
        let truth = story.inspect("app/db");
        let labels = truth.labels.values().flatten();
        labels.filter(|label| label.starts_with("srp-pin-")).count()
    };
    assert_eq!(pins(&story), 1);
    // AWS rotates on schedule.
    story.aws.jump(31.0 * 3600.0);
    story.apply_policy(&Policy::acting("apps"));
    story.check("apps");
    assert_eq!(pins(&story), 1, "not yet");
    story.aws.jump(26.0 * 3600.0);
    story.while_time_flies("the pin is collected", 20.0, || {
        pins(&story) == 0 && story.operations().iter().all(is_finished)
    });
    let actions: Vec<_> = story
        .operations()
        .iter()
        .map(|one| one["spec"]["action"].clone())
        .collect();
    assert!(actions.contains(&json!("ReleasePins")), "{actions:?}");
    story.end();
}

/// A record is deleted after its retention, but never while its attempt counts.
#[test]
fn records_are_deleted_when_nobody_needs_them() {
    let story = Story::observing(&one("healthy"));
    let rotate = ByHand::new("by-hand", "apps", "Rotate", "app/db")
        .expecting_what_is(&story, &["currentVersionId"])
        .with("ttlAfterFinished", &json!("1s"));
    story.apply(&rotate.object());
    story.while_time_flies("it has ended", 20.0, || {
        is_finished(&story.get("sro", "by-hand"))
    });
    story.aws.jump(23.0 * 3600.0);
    story.check("apps");
    story.meanwhile(std::time::Duration::from_secs(20));
    assert!(!story.get("sro", "by-hand").is_null(), "its attempt counts");
    story.aws.jump(2.0 * 3600.0);
    story.check("apps");
    story.eventually("it is gone", || story.get("sro", "by-hand").is_null());
    story.end();
}

/// No one approves for a minute of the API server's clock, which no story can move.
#[test]
fn what_does_not_begin_in_time_expires() {
    let story = Story::observing(&one("healthy"));
    let rotate = ByHand::new("late", "apps", "Rotate", "app/db")
        .expecting_what_is(&story, &["currentVersionId"])
        .with("approval", &json!("Required"))
        .with("deadline", &json!("1m"));
    story.apply(&rotate.object());
    story.eventually("it waits", || {
        state(&story.get("sro", "late")) == "AwaitingApproval"
    });
    story.eventually("it expires", || {
        state(&story.get("sro", "late")) == "!Expired"
    });
    story.end();
}
