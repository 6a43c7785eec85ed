//! Triggers besides a stuck rotation: dates, ages, and a person who requests another attempt.

use secret_rotation_simulator::Script;
use secret_rotation_tests::by_hand::holder;
use secret_rotation_tests::context::one_of;
use secret_rotation_tests::objects::{count, finding, is_finished, state, text};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story};
use serde_json::json;

fn secret(name: &str, tags: &str, current: &str, changed: &str) -> String {
    format!(
        "
- name: {name}
  tags: {{{tags}}}
  created: -400d
  lastChanged: {changed}
  versions:
  - {{id: 11111111-1111-1111-1111-111111111111, labels: [AWSCURRENT], created: {current}}}
  - {{id: 22222222-2222-2222-2222-222222222222, labels: [AWSPREVIOUS], created: -390d}}
  rotation: {{function: ok-key, everyDays: 365, lastRotated: {current}, next: +200d}}
"
    )
}

/// The date in a tag leads to a new version before the partner's key expires, and only once for the same date.
#[test]
fn a_partner_key_is_rotated_before_it_expires() {
    let mut story = Story::begin("generate: []");
    let date = |days: i64| {
        let date = story.aws.now() + jiff::SignedDuration::from_hours(24 * days);
        date.to_string()
    };
    let estate = [
        secret(
            "app/partner",
            &format!("expires-at: '{}'", date(5)),
            "-100d",
            "-100d",
        ),
        secret(
            "app/later",
            &format!("expires-at: '{}'", date(60)),
            "-100d",
            "-100d",
        ),
        secret("app/garbled", "expires-at: next spring", "-100d", "-100d"),
        secret(
            "app/answered",
            &format!("expires-at: '{}'", date(5)),
            "-1d",
            "-1d",
        ),
    ];
    story
        .aws
        .add(&format!("secrets: {}", estate.concat()))
        .expect("a valid estate");
    story.profile(&json!({}));
    let expiry = json!({"detection": {"expiry": {"tagKey": "expires-at", "rotateBefore": "168h"}}});
    story.apply_policy(&Policy::acting("apps").but(&expiry));
    story.start_controller();
    story.while_time_flies("the partner's key is rotated", 20.0, || {
        let truth = story.inspect("app/partner");
        let current = holder(&truth, "AWSCURRENT");
        current.is_some_and(|current| !current.starts_with("11111111")) && !truth.rotating
    });
    story.while_time_flies("the operation has ended", 20.0, || {
        story.operations().iter().all(is_finished)
    });
    story.check("apps");
    let policy = story.get("srp", "apps");
    for (name, state) in [
        ("app/partner", "Expiring"),
        ("app/garbled", "Unknown"),
        ("app/answered", "Expiring"),
    ] {
        let found = finding(&policy, name);
        assert_eq!(found["state"], state, "{policy:#}");
        assert!(
            text(&found["message"]).contains("ExpiryTagStale"),
            "{found:#}"
        );
    }
    assert!(story.tells("SecretExpiring"));
    assert!(finding(&policy, "app/later").is_null());
    assert_eq!(story.operations().len(), 1, "one rotation for one date");
    assert_eq!(story.operations()[0]["spec"]["action"], "Rotate");
    story.aws.jump(30.0 * 3600.0);
    story.check("apps");
    assert_eq!(story.operations().len(), 1);
    story.end();
}

/// A version that is too old although the secret changed since: its age is read, once.
#[test]
fn a_version_that_is_too_old_is_rotated() {
    let estate = [
        secret("app/old", "", "-200d", "-1d"),
        secret("app/young", "", "-20d", "-1d"),
    ];
    let estate = format!("secrets: {}", estate.concat());
    let max_age = json!({"detection": {"maxAge": "2160h"}, "mode": "Observe"});
    let story = Story::with(&estate, &Policy::acting("apps").but(&max_age));
    story.eventually("the age is known", || {
        finding(&story.get("srp", "apps"), "app/old")["state"] == "TooOld"
    });
    let lookups = |story: &Story| {
        let calls = story.aws.calls();
        calls
            .get("ListSecretVersionIds")
            .copied()
            .unwrap_or_default()
    };
    let asked = lookups(&story);
    story.check("apps");
    story.check("apps");
    assert_eq!(lookups(&story), asked, "ages are kept");
    assert_eq!(count(&story.get("srp", "apps"), "healthy"), 1);
    story.apply_policy(&Policy::acting("apps").but(&json!({"detection": {"maxAge": "2160h"}})));
    story.while_time_flies("it is rotated", 20.0, || {
        count(&story.get("srp", "apps"), "healthy") == 2
    });
    story.end();
}

/// All attempts are used and the function is fixed: a person requests another attempt, without waiting for the window.
#[test]
fn a_person_can_ask_to_try_again() {
    let story = Story::with(
        &one_of("stuck-empty", "fail-createSecret"),
        &Policy::acting("apps").but(&json!({"remediation": {"limits": {"maxAttempts": 1}}})),
    );
    story.while_time_flies("the attempt is used up", 900.0, || {
        let policy = story.get("srp", "apps");
        finding(&policy, "app/db")["blockedBy"] == "AttemptsExhausted"
    });
    story.eventually("it is told", || story.tells("AttemptsExhausted"));
    story.aws.script("fail-createSecret", Script::default());
    let before = story.operations().len();
    story.kubectl(&[
        "annotate",
        "srp",
        "apps",
        "-n",
        TEAM,
        "secretrotation.dev/retry-requested-at=now",
    ]);
    story.while_time_flies("one more attempt succeeds", 20.0, || {
        let operations = story.operations();
        operations.len() > before && operations.iter().any(|one| state(one) == "Succeeded")
    });
    story.while_time_flies("the recovery is told", 20.0, || {
        story.tells("RotationRecovered")
    });
    let request = &story.get("srp", "apps")["status"]["lastRetryRequest"];
    assert_eq!(request["token"], "now");
    story.end();
}
