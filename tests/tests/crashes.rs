//! Crashes, failovers and an API server that becomes unavailable.

use std::time::Duration;

use secret_rotation_simulator::{Fault, FaultKind};
use secret_rotation_tests::context::{many, one};
use secret_rotation_tests::invariants::writes_to;
use secret_rotation_tests::objects::{count, is_finished, state, steps, verdict};
use secret_rotation_tests::{Policy, Story};

const ALL_WELL: &str = "True/AllRotationsHealthy";

fn is_well(story: &Story, secrets: u64) -> bool {
    let policy = story.get("srp", "apps");
    count(&policy, "selected") == secrets && verdict(&policy, "Healthy") == ALL_WELL
}

/// Every write of a recovery is lost once before it reaches AWS and once after it was applied, and each time the controller
/// is killed while it waits. The result is the same as without the failure.
#[test]
fn a_kill_before_or_after_any_write_changes_nothing_in_the_end() {
    let struck = [
        ("pin", "UpdateSecretVersionStage", "MoveToVersionId"),
        ("retry", "RotateSecret", ""),
        ("clear", "UpdateSecretVersionStage", "AWSPENDING"),
        ("rotate", "RotateSecret", ""),
        (
            "unpin",
            "UpdateSecretVersionStage",
            "RemoveFromVersionId\":\"",
        ),
    ];
    let faults = struck.into_iter().flat_map(|(secret, operation, text)| {
        [(1, FaultKind::HangBefore), (2, FaultKind::HangAfter)].map(|(number, kind)| Fault {
            secret: Some(format!("app/{secret}-{number}")),
            ..Fault::on(operation, kind).containing(text).times(1)
        })
    });
    let mut story = Story::arranged(
        "
        generate:
        - {count: 1, name: app/calm-empty, state: stuck-empty}
        - {count: 1, name: app/calm-valued, state: stuck-valued}
        - {count: 2, name: 'app/pin-{n}', state: stuck-empty}
        - {count: 2, name: 'app/retry-{n}', state: stuck-valued}
        - {count: 2, name: 'app/clear-{n}', state: stuck-empty}
        - {count: 2, name: 'app/rotate-{n}', state: stuck-empty}
        - {count: 2, name: 'app/unpin-{n}', state: stuck-empty}
        ",
    )
    .faults(faults)
    .policy(&Policy::acting("apps"))
    .start();
    let mut known = 0;
    while known < 10 {
        story.while_time_flies("more requests hang", 10.0, || {
            story.aws.hung_requests_total() > known
        });
        known = story.aws.hung_requests_total();
        story.controllers.last_mut().expect("it runs").kill();
        story.start_controller();
    }
    story.while_time_flies("all is done and well", 10.0, || {
        is_well(&story, 12) && story.operations().iter().all(is_finished)
    });
    for kind in ["pin", "clear", "rotate", "unpin"] {
        for number in 1..=2 {
            same_as(&story, &format!("app/{kind}-{number}"), "app/calm-empty");
        }
    }
    for number in 1..=2 {
        same_as(&story, &format!("app/retry-{number}"), "app/calm-valued");
    }
    story.end();
}

/// Checks for one successful operation with the same steps, one rotation, and the same labels on as many versions.
fn same_as(story: &Story, struck: &str, calm: &str) {
    let tale = |name: &str| {
        let operations = story.operations_on(name);
        let told: Vec<_> = operations
            .iter()
            .map(|one| (state(one), steps(one)))
            .collect();
        let truth = story.inspect(name);
        let labels: Vec<_> = truth.labels.values().cloned().collect();
        let mut labels: Vec<_> = labels.into_iter().flatten().collect();
        labels.sort();
        (
            told,
            labels,
            truth.versions.len(),
            truth.invocations.get("finishSecret").copied(),
        )
    };
    assert_eq!(
        tale(struck),
        tale(calm),
        "{struck} beside {calm}: {:#?}",
        writes_to(&story.aws, struck)
    );
}

/// Only one of two replicas acts, and when it dies or hangs, the other one continues.
#[test]
fn two_replicas_act_as_one() {
    let mut story = Story::arranged(&many(6, "stuck-empty")).start();
    story.start_controller();
    let leader = |story: &Story| {
        let series = r#"leader_election_master_status{name="secret-rotation-controller"}"#;
        let leads =
            |controller: &secret_rotation_tests::Controller| controller.metric(series) == Some(1.0);
        story.controllers.iter().position(leads)
    };
    story.eventually("one of them leads", || leader(&story).is_some());
    let first = leader(&story).expect("one leads");
    story.apply_policy(&Policy::acting("apps"));
    story.eventually("something was written", || !story.aws.writes().is_empty());
    // A process that was paused during an operation continues with outdated facts.
    story.controllers[first]
        .pause(true)
        .expect("it can be paused");
    story.eventually("the other one leads", || {
        let series = r#"leader_election_master_status{name="secret-rotation-controller"}"#;
        story.controllers[1 - first].metric(series) == Some(1.0)
    });
    story.controllers[first].pause(false).expect("it can go on");
    story.while_time_flies("all are well", 10.0, || is_well(&story, 6));
    for number in 1..=6 {
        let name = format!("app/db-{number}");
        let operations = story.operations_on(&name);
        assert_eq!(operations.len(), 1, "{operations:#?}");
        let rotations = writes_to(&story.aws, &name)
            .into_iter()
            .filter(|one| one.operation == "RotateSecret");
        assert_eq!(rotations.count(), 1, "{name}");
    }
    story.end();
}

/// The API server dies during operations: there is no write without it, and everything continues afterwards.
#[test]
fn the_api_server_goes_away_and_comes_back() {
    let mut story = Story::recovering(&many(3, "stuck-empty"));
    story.eventually("the versions are pinned", || story.aws.writes().len() == 3);
    story.cluster.kill_apiserver();
    std::thread::sleep(Duration::from_secs(1));
    let writes = story.aws.writes().len();
    for _ in 0..12 {
        story.aws.jump(60.0);
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(
        story.aws.writes().len(),
        writes,
        "no write without the API server"
    );
    let (status, _) = story.controllers[0].health("/livez").expect("it is alive");
    assert_eq!(status, 200);
    story.cluster.restart_apiserver().expect("it starts again");
    story.while_time_flies("all are well", 20.0, || is_well(&story, 3));
    story.eventually("all operations have ended", || {
        story.operations().iter().all(is_finished)
    });
    story.end();
}

/// SIGTERM: no new write, the lease is released, the process exits in time, and the other replica takes over immediately.
#[test]
fn a_graceful_end_hands_over_at_once() {
    let mut story = Story::recovering(&many(2, "stuck-empty"));
    story.eventually("the versions are pinned", || story.aws.writes().len() == 2);
    assert!(story.controllers[0].terminate(), "it ends by itself");
    let holder = story.kubectl(&[
        "get",
        "lease",
        "-n",
        "secret-rotation-system",
        "-o",
        "jsonpath={.items[*].spec.holderIdentity}",
    ]);
    assert_eq!(holder, "", "the lease is given up");
    story.aws.jump(120.0);
    let writes = story.aws.writes().len();
    story.start_controller();
    story.eventually("the next one goes on", || story.aws.writes().len() > writes);
    story.while_time_flies("all are well", 20.0, || is_well(&story, 2));
    story.end();
}

/// The controller keeps running when the reader of its log exits.
#[test]
fn health_and_readiness_say_what_is_wrong() {
    let mut story = Story::begin(&one("healthy"));
    story.start_controller();
    story.eventually("it is ready", || {
        story.controllers[0]
            .health("/readyz")
            .is_ok_and(|(status, body)| status == 200 && body == "ok\n")
    });
    story.kubectl(&["delete", "clusterrolebinding", "secret-rotation-controller"]);
    story.start_controller();
    story.eventually("the second one says why it is not", || {
        story.controllers[1]
            .health("/readyz")
            .is_ok_and(|(status, body)| status == 503 && body.len() > 10)
    });
    let (status, _) = story.controllers[1].health("/livez").expect("it answers");
    assert_eq!(status, 200);
    story.end();
}
