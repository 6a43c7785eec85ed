//! Failures between the controller and the API server: connections that die silently, data that was restored, and the end
//! of the process at any moment.

use std::fs;
use std::time::{Duration, Instant};

use fixtures::resource;
use secret_rotation_simulator::{Fault, FaultKind};
use secret_rotation_tests::context::{many, one};
use secret_rotation_tests::objects::{count, is_finished, message, state, verdict};
use secret_rotation_tests::proxy::Proxy;
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story};
use serde_json::json;

/// The limit of the design, doubled for a busy machine.
const HALF_A_MINUTE: Duration = Duration::from_mins(1);

/// The time for which the kubelet waits, minus the time that it needs itself.
const PATIENCE: Duration = Duration::from_secs(28);

#[expect(
    clippy::disallowed_methods,
    reason = "a story waits for a real process"
)]
fn now() -> Instant {
    Instant::now()
}

fn observed(story: &Story, name: &str) -> bool {
    let policy = story.get("srp", name);
    policy["metadata"]["generation"] == policy["status"]["observedGeneration"]
}

/// Without a limit of its own a watch notices after five minutes.
#[test]
fn a_connection_that_died_silently_is_noticed_within_half_a_minute() {
    let mut story = Story::arranged(&one("healthy"))
        .policy(&Policy::observing("apps"))
        .ready();
    let port = story
        .cluster
        .url()
        .rsplit_once(':')
        .map(|(_, port)| port.parse());
    let proxy = Proxy::to(port.expect("a port").expect("a number")).expect("a proxy");
    let folder = story.cluster.folder().to_owned();
    let direct = story
        .cluster
        .service_account("secret-rotation-system", "secret-rotation-controller")
        .expect("the ServiceAccount exists");
    let config = fs::read_to_string(direct).expect("a kubeconfig");
    let config = config.replace(
        &story.cluster.url(),
        &format!("https://127.0.0.1:{}", proxy.port()),
    );
    let detour = folder.join("detour.kubeconfig");
    fs::write(&detour, config).expect("it is written");
    story.start_controller_as(|command| {
        command.env("KUBECONFIG", &detour);
    });
    story.eventually("it is well", || {
        verdict(&story.get("srp", "apps"), "Ready") == "True/Succeeded"
    });
    proxy.swallow();
    story.apply_policy(&Policy::observing("apps").but(&json!({"suspend": true})));
    let began = now();
    story.eventually("the change is seen", || observed(&story, "apps"));
    let took = began.elapsed();
    assert!(took < HALF_A_MINUTE, "{took:?}");
    let log = story.controllers[0].log();
    assert!(!log.contains("lease lost"), "{log}");
    story.end();
}

/// The API server accepts a watch from a future version, and sends nothing.
#[test]
fn after_a_restore_of_etcd_the_controller_knows_what_is_there() {
    let mut story = Story::arranged(&one("healthy"))
        .policy(&Policy::observing("apps"))
        .ready();
    story.cluster.save().expect("etcd is saved");
    story.start_controller();
    story.apply_policy(&Policy::observing("later"));
    story.eventually("both are well", || {
        ["apps", "later"]
            .iter()
            .all(|name| verdict(&story.get("srp", name), "Ready") == "True/Succeeded")
    });
    // The versions of the restored data are much older.
    for n in 0..50 {
        let label = format!("story={n}");
        story.kubectl(&["label", "srp", "apps", "-n", TEAM, "--overwrite", &label]);
    }
    story.cluster.restore().expect("etcd is restored");
    assert!(story.get("srp", "later").is_null(), "it was never there");
    story.apply_policy(&Policy::observing("apps").but(&json!({"suspend": true})));
    let began = now();
    story.eventually("the change is seen", || observed(&story, "apps"));
    let took = began.elapsed();
    assert!(took < HALF_A_MINUTE, "{took:?}");
    let series = |name: &str| {
        let line = format!(
            r#"secretrotation_policy_suspended{{policy="{name}",policy_namespace="{TEAM}"}}"#
        );
        story.controllers[0].metric(&line)
    };
    assert_eq!((series("apps"), series("later")), (Some(1.0), None));
    story.end();
}

/// SIGTERM at many moments of a recovery whose requests are slow, lost and answered late: the process ends in time, no
/// write starts afterwards, and in the end nothing was done twice.
#[test]
fn the_process_ends_in_time_at_any_moment() {
    const SECRETS: u64 = 12;
    const TIMES: u64 = 50;
    // A bound for slow machines.
    const ALL: Duration = Duration::from_mins(7);
    let mut story = Story::arranged(&many(12, "stuck-empty"))
        .policy(&Policy::acting("apps"))
        .ready();
    let began = now();
    let mut ends = Vec::new();
    for time in 0..TIMES {
        if began.elapsed() > ALL {
            break;
        }
        if time % 5 == 0 {
            for (operation, kind) in [
                ("DescribeSecret", FaultKind::HangBefore),
                ("UpdateSecretVersionStage", FaultKind::HangAfter),
                ("RotateSecret", FaultKind::HangAfter),
            ] {
                story.aws.inject(Fault::on(operation, kind).times(1));
            }
        }
        story.start_controller();
        story.aws.jump(30.0);
        // Not random: the same moments in each run, spread over the first four seconds of a process.
        std::thread::sleep(Duration::from_millis(time * 7919 % 4001));
        let asked = now();
        let controller = story.controllers.last_mut().expect("it runs");
        controller.terminate_within(PATIENCE).expect("it ends");
        ends.push(asked.elapsed());
        let log = controller.log();
        // All processes write into one file.
        let times = |what: &str| log.matches(what).count();
        let ended = times("lease released") + times("lease lost");
        assert_eq!(times("lease acquired"), ended, "it is given up:\n{log}");
        story.controllers.pop();
    }
    ends.sort();
    let (middle, last) = (ends[ends.len() / 2], ends[ends.len() - 1]);
    println!(
        "{} ends took {:?} / {middle:?} / {last:?}",
        ends.len(),
        ends[0]
    );
    story.start_controller();
    story.while_time_flies("all is done and well", 30.0, || {
        count(&story.get("srp", "apps"), "healthy") == SECRETS
            && story.operations().iter().all(is_finished)
    });
    story.end();
}

/// A region that the schema cannot tell from a real one.
#[test]
fn an_operation_that_nobody_understands_ends_and_says_why() {
    let story = Story::arranged(&one("healthy"))
        .policy(&Policy::observing("apps"))
        .start();
    let arn = "arn:aws:secretsmanager:abc:111122223333:secret:app/db-AbCdEf";
    let spec = json!({
        "policyRef": {"name": "apps"},
        "secret": {"arn": arn},
        "action": "Rotate",
        "expect": {"currentVersionId": "v1"},
        "reason": "a typo",
    });
    story.apply(&resource("SecretRotationOperation", TEAM, "odd", &spec));
    story.eventually("it has ended", || {
        state(&story.get("sro", "odd")) == "!Refused"
    });
    let why = message(&story.get("sro", "odd"), "Failed");
    assert!(why.contains("spec.secret.arn"), "{why}");
    story.end();
}
