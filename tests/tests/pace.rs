//! The number of AWS calls: only what changes is read.

use secret_rotation_tests::objects::{count, is_finished, state};
use secret_rotation_tests::{Policy, Story};
use serde_json::json;

/// Three pages for one policy, one secret for another.
const ESTATE: &str = "generate:
- {count: 250, name: 'app/well-{n}', state: healthy, function: 'ok-well-{n}'}
- {count: 1, name: app/db, state: stuck-empty, function: ok-db}
- {count: 1, name: other/db, state: healthy, function: ok-other}
";

fn lists(story: &Story) -> usize {
    let calls = story.aws.calls();
    calls.get("ListSecrets").copied().unwrap_or_default()
}

/// A check interval of a day: only requested checks run.
#[test]
fn what_ends_is_looked_at_alone_and_a_check_reads_its_own_policy_and_a_shorter_interval_counts_at_once()
 {
    let tomorrow = json!({"checkInterval": "24h"});
    let other = Policy::observing("other").selecting("other/");
    let story = Story::arranged(ESTATE)
        .policy(&Policy::acting("apps").but(&tomorrow))
        .policy(&other.clone().but(&tomorrow))
        .start();
    story.eventually("both policies are judged", || {
        count(&story.get("srp", "apps"), "stuck") == 1
            && count(&story.get("srp", "other"), "healthy") == 1
    });
    let before = lists(&story);
    story.eventually("the secret is recovered", || {
        let operations = story.operations();
        operations.len() == 1 && is_finished(&operations[0])
    });
    assert_eq!(state(&story.operations()[0]), "Succeeded");
    story.eventually("its policy knows", || {
        count(&story.get("srp", "apps"), "healthy") == 251
    });
    assert_eq!(lists(&story), before, "the secret alone was looked at");
    story.check("other");
    assert_eq!(lists(&story), before + 1, "the page of the other policy");
    story.apply_policy(&other.but(&json!({"checkInterval": "30s"})));
    story.eventually("everything is read again", || lists(&story) >= before + 4);
    story.end();
}
