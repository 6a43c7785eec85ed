//! Maintenance windows. Every story begins at 18:00 of AWS's day.

use secret_rotation_tests::by_hand::ByHand;
use secret_rotation_tests::context::one;
use secret_rotation_tests::objects::{
    condition, count, finding, is_finished, message, state, steps, text, verdict,
};
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};

fn policy(allow: &Value, deny: &Value) -> Policy {
    Policy::acting("apps").but(&json!({"remediation": {"windows": {"allow": allow, "deny": deny}}}))
}

fn nightly() -> Value {
    json!([{"schedule": "0 2 * * *", "duration": "2h", "timeZone": "UTC"}])
}

#[test]
fn automatic_operations_wait_for_a_window_and_people_do_not() {
    let story = Story::with(
        "generate: [{count: 1, name: app/db, state: stuck-empty}, {count: 1, name: app/web, state: healthy}]",
        &policy(&nightly(), &json!([])),
    );
    story.eventually("the finding waits", || {
        finding(&story.get("srp", "apps"), "app/db")["blockedBy"] == "OutsideWindow"
    });
    let policy = story.get("srp", "apps");
    let window = &policy["status"]["nextWindow"];
    assert!(text(&window["opens"]).ends_with("T02:00:00Z"), "{window:#}");
    assert!(
        text(&window["closes"]).ends_with("T04:00:00Z"),
        "{window:#}"
    );
    assert_eq!(verdict(&policy, "Ready"), "True/Succeeded");
    assert!(story.operations().is_empty());

    let rotate = ByHand::new("by-hand", "apps", "Rotate", "app/web")
        .expecting_what_is(&story, &["currentVersionId"]);
    story.apply(&rotate.object());
    story.while_time_flies("a person need not wait", 20.0, || {
        is_finished(&story.get("sro", "by-hand"))
    });
    assert_eq!(state(&story.get("sro", "by-hand")), "Succeeded");

    story.aws.jump(7.0 * 3600.0);
    story.check("apps");
    assert_eq!(story.operations().len(), 1, "it is one o'clock");
    story.aws.jump(1.1 * 3600.0);
    story.while_time_flies("the window has opened", 20.0, || {
        count(&story.get("srp", "apps"), "healthy") == 2
    });
    let window = &story.get("srp", "apps")["status"]["nextWindow"];
    assert!(
        window["opens"].is_null() && text(&window["closes"]).ends_with("T04:00:00Z"),
        "{window:#}"
    );
    story.end();
}

/// The window closes between pin and clear: the clear waits for the next one.
#[test]
fn a_window_that_closes_between_pin_and_clear_holds_the_clear() {
    let hours = json!([{"schedule": "0 18 * * *", "duration": "30m"}]);
    let slow = json!({"remediation": {"confirmAfter": "1h"}});
    let story = Story::with(&one("stuck-empty"), &policy(&hours, &json!([])).but(&slow));
    story.eventually("it is pinned", || {
        story
            .operations()
            .first()
            .is_some_and(|one| state(one) == "Settling")
    });
    story.aws.jump(2.0 * 3600.0);
    // No request is sent to AWS while a pin settles, so the first one may come before the new time is known.
    story.eventually("the clear waits", || {
        story.poke();
        story
            .operations()
            .first()
            .is_some_and(|one| state(one) == "AwaitingWindow")
    });
    let operation = &story.operations()[0];
    assert!(
        message(operation, "Complete").contains("opens at"),
        "{operation:#}"
    );
    assert!(
        steps(operation)
            .iter()
            .all(|step| !step.starts_with("Clear")),
        "{operation:#}"
    );
    story.aws.jump(22.1 * 3600.0);
    story.while_time_flies("it goes on", 20.0, || {
        count(&story.get("srp", "apps"), "healthy") == 1
    });
    assert_eq!(state(&story.operations()[0]), "Succeeded");
    story.end();
}

#[test]
fn what_is_denied_wins_and_what_can_never_open_says_so() {
    let all_day = json!([{"schedule": "@daily", "duration": "24h"}]);
    let story = Story::with(&one("stuck-empty"), &policy(&nightly(), &all_day));
    story.eventually("the policy is stalled", || {
        verdict(&story.get("srp", "apps"), "Stalled") == "True/InvalidSchedule"
    });
    let stalled = story.get("srp", "apps");
    assert_eq!(verdict(&stalled, "Ready"), "False/InvalidSchedule");
    assert_eq!(count(&stalled, "stuck"), 1, "it goes on watching");
    assert_eq!(finding(&stalled, "app/db")["blockedBy"], "OutsideWindow");

    story.eventually("it is told", || story.tells("PolicyInvalid"));
    let nowhere = json!([{"schedule": "0 2 * * *", "duration": "2h", "timeZone": "Europe/Berlyn"}]);
    story.apply_policy(&policy(&nowhere, &json!([])));
    story.eventually("the zone is named", || {
        message(&story.get("srp", "apps"), "Ready").contains("Europe/Berlyn is not a time zone")
    });
    let never = json!([{"schedule": "0 2 30 2 *", "duration": "2h"}]);
    story.apply_policy(&policy(&nightly(), &never));
    story.eventually("the day is named", || {
        message(&story.get("srp", "apps"), "Ready").contains("no day ever matches")
    });
    story.apply_policy(&policy(
        &json!([{"schedule": "@daily", "duration": "24h"}]),
        &json!([]),
    ));
    story.while_time_flies("it is corrected, and works", 20.0, || {
        count(&story.get("srp", "apps"), "healthy") == 1
    });
    assert!(condition(&story.get("srp", "apps"), "Stalled").is_null());
    story.end();
}
