//! Isolation: one tenant, one region or one misspelled name does not affect others. Also what surely stops an operation.

use std::time::{Duration, Instant};

use secret_rotation_simulator::{Fault, FaultKind};
use secret_rotation_tests::by_hand::ByHand;
use secret_rotation_tests::invariants::writes_to;
use secret_rotation_tests::objects::{
    condition, finding, is_finished, state, steps, text, verdict,
};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};

const ESTATE: &str = "
generate:
- {count: 1, name: named/ledger, state: healthy}
- {count: 1, name: app/owned, state: stuck-empty, function: ok-owned}
- {count: 1, name: app/pinned, state: stuck-empty, function: ok-pinned}
- {count: 1, name: app/asked, state: healthy, function: ok-asked}
- {count: 1, name: app/alive, state: healthy, function: ok-alive}
- {count: 1, name: held/policy, state: stuck-empty}
- {count: 1, name: held/operation, state: stuck-empty}
- {count: 1, name: braked/db, state: stuck-empty, function: ok-braked}
- {count: 24, name: 'far/db-{n}', state: healthy, region: us-east-1}
";

/// The maximum time for a policy that nothing delays, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn nobody_holds_up_somebody_else_and_stop_means_stop() {
    let mut story = Story::begin(ESTATE);
    let neighbor =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "neighbor"}});
    story.apply(&neighbor);
    story.profile(&json!({"regions": ["eu-west-1", "us-east-1"]}));
    a_policy_of_names(&story);
    a_neighbor_stands_in_the_way(&story);
    story.start_controller();
    the_other_name_is_judged(&story);
    the_owner_acts_all_the_same(&story);
    an_approval_is_acted_on_at_once(&story);
    a_dead_region_delays_nobody(&story);
    a_deletion_stops_before_the_next_write(&story);
    the_brake_of_the_admins_stops_and_releases(&story);
    story.end();
}

/// IAM denies access to a name that does not exist. Only the finding of this name reports it.
fn a_policy_of_names(story: &Story) {
    let misspelt = Fault::on("DescribeSecret", FaultKind::AccessDenied).about("named/legder");
    story.aws.inject(misspelt);
    story.profile_called("names", &json!({"allowedActions": null}));
    let selector = json!({"include": [{"names": ["named/ledger", "named/legder"]}]});
    let named = json!({"profileRef": {"name": "names"}, "selector": selector});
    story.apply_policy(&Policy::observing("named").but(&named));
}

fn the_other_name_is_judged(story: &Story) {
    story.eventually("the misspelt name is a finding", || {
        finding(&story.get("srp", "named"), "named/legder")["state"] == "NotFound"
    });
    let policy = story.get("srp", "named");
    assert_eq!(verdict(&policy, "Ready"), "True/Succeeded", "{policy:#}");
    assert_eq!(policy["status"]["summary"]["healthy"], 1, "{policy:#}");
}

/// An operation of a suspended policy on a secret of another policy, and one that has begun: both stay as they are.
fn a_neighbor_stands_in_the_way(story: &Story) {
    let suspended = Policy::acting("idle")
        .in_namespace("neighbor")
        .but(&json!({"suspend": true}));
    story.apply_policy(&suspended);
    let clear = ByHand::new("standing", "idle", "ClearPending", "app/owned")
        .expecting_what_is(story, &["pendingVersionId"]);
    story.apply(&of_neighbor(clear.object()));
    let selects = json!({"selector": {"include": [{"names": ["app/pinned"]}]}, "remediation": {"confirmAfter": "10m"}});
    story.apply_policy(
        &Policy::acting("begun")
            .in_namespace("neighbor")
            .but(&selects),
    );
}

fn of_neighbor(mut object: Value) -> Value {
    object["metadata"]["namespace"] = json!("neighbor");
    object
}

fn the_owner_acts_all_the_same(story: &Story) {
    story.eventually("the neighbor has pinned", || {
        !writes_to(&story.aws, "app/pinned").is_empty()
    });
    let stands = json!({"spec": {"suspend": true}}).to_string();
    story.kubectl(&[
        "patch",
        "srp",
        "begun",
        "-n",
        "neighbor",
        "--type=merge",
        "-p",
        &stands,
    ]);
    story.eventually("both operations of the neighbor stand still", || {
        let operations = story.operations();
        operations.len() == 2 && operations.iter().all(|one| state(one) == "Suspended")
    });
    let asked = story.aws.requests().into_iter();
    let about =
        |secret: &Option<String>| secret.as_ref().is_some_and(|id| id.contains("app/owned"));
    assert_eq!(
        asked.filter(|one| about(&one.secret)).count(),
        0,
        "a suspended operation asks nothing of AWS"
    );
    let names = json!({"selector": {"include": [{"names": ["app/owned", "app/pinned", "app/asked", "app/alive"]}]}, "regions": ["eu-west-1"]});
    story.apply_policy(&Policy::acting("apps").but(&names));
    let states = |secret: &str| -> Vec<String> {
        let operations = story.operations_on(secret);
        operations.iter().map(state).collect()
    };
    // A check may see that a secret is healthy before its operation has verified the same.
    story.while_time_flies("the owner has recovered its secrets", 20.0, || {
        let ended = |secret: &&str| {
            states(secret)
                .last()
                .is_some_and(|last| last == "Succeeded")
        };
        verdict(&story.get("srp", "apps"), "Healthy") == "True/AllRotationsHealthy"
            && ["app/owned", "app/pinned"].iter().all(ended)
    });
    for secret in ["app/owned", "app/pinned"] {
        assert_eq!(states(secret), ["Suspended", "Succeeded"], "{secret}");
    }
}

fn rotate(story: &Story, name: &str, policy: &str, secret: &str) -> ByHand {
    ByHand::new(name, policy, "Rotate", secret).expecting_what_is(story, &["currentVersionId"])
}

/// Waits until a secret is written to, and returns how long it took.
fn until_written(story: &Story, secret: &str) -> Duration {
    let began = now();
    story.eventually("the first request is sent", || {
        !writes_to(&story.aws, secret).is_empty()
    });
    began.elapsed()
}

fn an_approval_is_acted_on_at_once(story: &Story) {
    let asked = rotate(story, "asked", "apps", "app/asked")
        .with("approval", &json!("Required"))
        .with("requestedBy", &json!("alice"));
    let alice = [
        "create",
        "-f",
        "-",
        "--as=alice",
        "--as-group=system:masters",
    ];
    story
        .kubectl_as("admin", &alice, &asked.object().to_string())
        .expect("alice asks");
    story.eventually("it waits", || {
        state(&story.get("sro", "asked")) == "AwaitingApproval"
    });
    let decision = json!({"spec": {"decision": {"verdict": "Approve", "by": "bob"}}}).to_string();
    let bob = [
        "patch",
        "sro",
        "asked",
        "-n",
        TEAM,
        "--type=merge",
        "-p",
        &decision,
        "--as=bob",
        "--as-group=system:masters",
    ];
    story.kubectl(&bob);
    let took = until_written(story, "app/asked");
    assert!(took < SOON, "{took:?}");
}

/// More operations than workers wait for a region that answers nothing.
fn a_dead_region_delays_nobody(story: &Story) {
    let far = Policy::observing("far")
        .in_namespace("neighbor")
        .selecting("far/");
    story.apply_policy(&far.but(&json!({"regions": ["us-east-1"]})));
    let dead = Fault {
        operation: None,
        ..Fault::on("", FaultKind::HangBefore)
    };
    story.aws.inject(dead.within("us-east-1"));
    let waiting = (1..=24).map(|n| {
        let secret = format!("far/db-{n}");
        let arn = story.inspect(&secret).arn;
        let mut object = rotate(story, &format!("far-{n}"), "far", &secret).object();
        object["spec"]["secret"] = json!({"arn": arn});
        of_neighbor(object)
    });
    story.apply(&json!({"apiVersion": "v1", "kind": "List", "items": waiting.collect::<Vec<_>>()}));
    story.eventually("requests hang", || !story.aws.hanging().is_empty());
    story.apply(&rotate(story, "alive", "apps", "app/alive").object());
    let took = until_written(story, "app/alive");
    assert!(took < SOON, "{took:?}");
    let far = |one: &&Value| text(&one["metadata"]["name"]).starts_with("far-");
    story.eventually(
        "each operation in the dead region says that it waits",
        || {
            let operations = story.operations();
            operations
                .iter()
                .filter(far)
                .all(|one| condition(one, "Complete")["reason"] == "Queued")
        },
    );
    story.aws.clear_faults();
    story.aws.release();
}

/// Another controller's finalizer keeps a deleted policy and operation: still, nothing more is sent.
fn a_deletion_stops_before_the_next_write(story: &Story) {
    let slowly = json!({"regions": ["eu-west-1"], "remediation": {"confirmAfter": "10m"}});
    for (name, secret) in [("goes", "held/policy"), ("stays", "held/operation")] {
        let selects = json!({"selector": {"include": [{"names": [secret]}]}});
        story.apply_policy(&Policy::acting(name).but(&slowly).but(&selects));
    }
    let on = |secret: &str| story.operations_on(secret).pop().unwrap_or(Value::Null);
    let held = ["held/policy", "held/operation"];
    story.eventually("both have pinned", || {
        held.iter().all(|secret| state(&on(secret)) == "Settling")
    });
    let operation = text(&on("held/operation")["metadata"]["name"]);
    let finalizer = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    for (kind, name) in [("srp", "goes"), ("sro", operation.as_str())] {
        story.patch(&[kind, name], &finalizer);
        story.kubectl(&["delete", kind, name, "-n", TEAM, "--wait=false"]);
    }
    story.eventually("both have ended", || {
        held.iter().all(|secret| is_finished(&on(secret)))
    });
    story.apply_policy(&Policy::observing("stays"));
    story.aws.jump(1200.0);
    story.poke();
    let ends = held.map(|secret| (state(&on(secret)), steps(&on(secret))));
    let pinned = vec!["Pin".to_owned()];
    assert_eq!(
        ends,
        [
            ("!PolicyGone".to_owned(), pinned.clone()),
            ("!Rejected".to_owned(), pinned)
        ]
    );
}

fn the_brake_of_the_admins_stops_and_releases(story: &Story) {
    let slowly = json!({"regions": ["eu-west-1"], "remediation": {"confirmAfter": "10m"}});
    story.apply_policy(&Policy::acting("braked").selecting("braked/").but(&slowly));
    let on = || {
        story
            .operations_on("braked/db")
            .pop()
            .unwrap_or(Value::Null)
    };
    story.eventually("it is pinned", || state(&on()) == "Settling");
    let brake = |on: bool| {
        let spec = json!({"spec": {"suspend": on}}).to_string();
        story.kubectl(&["patch", "awsap", "default", "--type=merge", "-p", &spec]);
    };
    brake(true);
    story.eventually("it stands still", || state(&on()) == "Suspended");
    let writes = story.aws.writes().len();
    story.aws.jump(1200.0);
    story.poke();
    story.meanwhile(Duration::from_secs(2));
    assert_eq!(
        story.aws.writes().len(),
        writes,
        "nothing is written under the brake"
    );
    brake(false);
    story.while_time_flies("it goes on", 60.0, || state(&on()) == "Succeeded");
    for secret in ["held/policy", "held/operation"] {
        assert_eq!(
            writes_to(&story.aws, secret).len(),
            1,
            "{secret} was pinned, and nothing more"
        );
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch for tests, outside the product"
)]
fn now() -> Instant {
    Instant::now()
}
