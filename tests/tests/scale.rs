//! A large account, and an account without changes.

use std::collections::BTreeSet;
use std::time::Duration;

use secret_rotation_tests::objects::{count, is_finished, state, text, verdict};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story};
use serde_json::json;

const ESTATE: &str = "
generate:
- {count: 1960, name: 'app/well-{n}', state: healthy}
- {count: 20, name: 'app/empty-{n}', state: stuck-empty, function: 'ok-empty-{n}'}
- {count: 20, name: 'app/valued-{n}', state: stuck-valued, function: 'ok-valued-{n}'}
";

/// Stuck secrets are found with the fewest calls and recovered within the limits, and no other secret is touched.
#[test]
fn forty_stuck_among_two_thousand() {
    let wide = json!({"selector": {"maxSecrets": 5000}, "checkInterval": "24h"});
    let story = Story::arranged(ESTATE)
        .policy(&Policy::observing("apps").but(&wide))
        .start();
    story.eventually("all forty are found", || {
        count(&story.get("srp", "apps"), "stuck") == 40
    });
    let calls = story.aws.calls();
    // The first page twice: a date is trusted only if two responses agree.
    let at_most = [
        ("ListSecrets", 21),
        ("DescribeSecret", 40),
        ("ListSecretVersionIds", 40),
    ];
    for (call, most) in at_most {
        let made = calls.get(call).copied().unwrap_or(0);
        assert!(made <= most, "{made} × {call}: {calls:?}");
    }
    assert_eq!(calls.len(), 3, "nothing else was asked: {calls:?}");
    let act = json!({"remediation": {"limits": {"maxConcurrent": 10}}});
    story.apply_policy(&Policy::acting("apps").but(&wide).but(&act));
    let mut most = 0;
    story.while_time_flies("all are well", 20.0, || {
        let started =
            |one: &serde_json::Value| !one["status"]["steps"].is_null() && !is_finished(one);
        most = most.max(story.operations().iter().filter(|one| started(one)).count());
        let policy = story.get("srp", "apps");
        count(&policy, "healthy") == 2000
            && verdict(&policy, "Healthy") == "True/AllRotationsHealthy"
    });
    assert!(most <= 10, "{most} at once");
    let operations = story.operations();
    assert_eq!(operations.len(), 40);
    for operation in &operations {
        let name = text(&operation["status"]["secretName"]);
        let action = if name.starts_with("app/empty") {
            "ClearAndRotate"
        } else {
            "RetryRotation"
        };
        assert_eq!(operation["spec"]["action"], action, "{name}");
        assert_eq!(state(operation), "Succeeded", "{name}");
    }
    let touched: BTreeSet<_> = story
        .aws
        .writes()
        .into_iter()
        .filter_map(|one| one.secret)
        .collect();
    assert_eq!(touched.len(), 40);
    assert!(
        !touched.iter().any(|arn| arn.contains("app/well")),
        "a healthy secret was written to"
    );
    story.end();
}

/// Without changes, the controller writes nothing for ten minutes of AWS's clock and of its own clock.
#[test]
fn a_healthy_estate_is_left_in_peace() {
    let story = Story::recovering(
        "generate: [{count: 30, name: 'app/well-{n}', state: healthy}, {count: 5, name: 'app/fresh-{n}', state: pending-on-current}]",
    );
    story.eventually("all is well", || {
        let policy = story.get("srp", "apps");
        count(&policy, "healthy") == 35 && verdict(&policy, "Ready") == "True/Succeeded"
    });
    story.meanwhile(Duration::from_secs(3));
    let version = |story: &Story| text(&story.get("srp", "apps")["metadata"]["resourceVersion"]);
    let events = |story: &Story| story.list("events.events.k8s.io").len();
    let (before, told) = (version(&story), events(&story));
    story.aws.clear_trace();
    let sweeps = || story.aws.calls().get("ListSecrets").copied().unwrap_or(0);
    // Sweeps continue at the interval of the policy, every 30 seconds.
    for _ in 0..10 {
        story.aws.jump(54.0);
        story.meanwhile(Duration::from_secs(6));
    }
    assert!(sweeps() >= 2, "the sweeps went on");
    assert_eq!(story.aws.writes(), []);
    assert_eq!(events(&story), told, "no event");
    let patches = u32::from(version(&story) != before);
    assert!(patches <= 1);
    let changed = story.kubectl(&[
        "get",
        "srp",
        "apps",
        "-n",
        TEAM,
        "-o",
        "jsonpath={.metadata.resourceVersion}",
    ]);
    assert_eq!(
        changed, before,
        "nothing has changed, so nothing is written"
    );
    story.end();
}
