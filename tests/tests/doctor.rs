//! `doctor` against a real API server, with and without a running controller, and without a cluster.

use std::path::Path;

use secret_rotation_tests::context::one;
use secret_rotation_tests::plugin::{command, run};
use secret_rotation_tests::{Policy, Story};

#[test]
fn the_doctor_tells_what_is_there_and_what_is_not() {
    let mut story = Story::begin(&one("healthy"));
    let lines = [
        "ok      API server: v1.",
        "ok      CRDs of secretrotation.dev: all 3 are served",
        "ok      admission policies: all 3 are installed",
        "ok      admission bindings: all 3 are installed",
        "FAILED  lease: no replica has taken it yet",
        "ok      you in team-payments: may approve secretrotationoperations",
        "warn    AWSAccessProfiles: there are none",
    ];
    // An API server does not serve CRDs immediately after they are applied.
    story.eventually("the doctor sees what is there", || {
        let before = story.plugin(&["doctor"]);
        before.code == 1 && lines.iter().all(|line| before.out.contains(line))
    });
    story.profile(&serde_json::json!({}));
    story.apply_policy(&Policy::observing("apps"));
    story.start_controller();
    story.eventually("the doctor is content", || {
        let after = story.plugin(&["doctor"]);
        after.code == 0
            && after.out.contains(" holds it")
            && after
                .out
                .contains("ok      AWSAccessProfile default: Ready")
    });
    let aws = story.plugin_with_aws(&["doctor", "--regions", "eu-west-1"]);
    assert!(
        aws.out
            .contains("ok      AWS in eu-west-1: you may list secrets"),
        "{aws:?}"
    );
}

#[test]
fn without_a_cluster_the_doctor_says_so() {
    let alone = run(&mut command(Path::new("/dev/null"), &["doctor"]));
    assert_eq!(alone.code, 1, "{alone:?}");
    assert!(alone.out.starts_with("FAILED  cluster: "), "{alone:?}");
}
