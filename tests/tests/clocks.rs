//! Responses with absurd dates: each is ignored and affects nothing else.

use secret_rotation_simulator::{Fault, FaultKind};
use secret_rotation_tests::context::one_of;
use secret_rotation_tests::objects::{count, finding, message, state, verdict};
use secret_rotation_tests::{Policy, Story};

const ABSURD: [&str; 4] = [
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Mon, 01 Jan 0001 00:00:00 GMT",
    "Thu, 15 Mar 2040 12:00:00 GMT",
    "",
];

fn dated(operation: &str, date: &str) -> Fault {
    Fault::on(operation, FaultKind::Date(date.to_owned()))
}

#[test]
fn absurd_dates_of_aws_spoil_their_answers_only() {
    let story = Story::observing(
        "generate: [{count: 1, name: app/db, state: stuck-empty, function: ok-db}, {count: 1, name: app/web, state: healthy}]",
    );
    story.check("apps");
    let before = finding(&story.get("srp", "apps"), "app/db")["since"].clone();
    for date in ABSURD {
        story.aws.inject(dated("ListSecrets", date).times(1));
        story.aws.inject(dated("DescribeSecret", date).times(1));
        story.check("apps");
        let policy = story.get("srp", "apps");
        assert_eq!(verdict(&policy, "Ready"), "True/Succeeded", "{date}");
        assert_eq!(count(&policy, "stuck"), 1, "{date}: {policy:#}");
        assert_eq!(count(&policy, "healthy"), 1, "{date}: {policy:#}");
        assert_eq!(finding(&policy, "app/db")["since"], before, "{date}");
    }
    // The same during an operation: the secret is recovered, and no write is based on a wrong time.
    for operation in ["DescribeSecret", "ListSecrets", "UpdateSecretVersionStage"] {
        story
            .aws
            .inject(dated(operation, ABSURD[0]).after(1).times(2));
        story
            .aws
            .inject(dated(operation, ABSURD[2]).after(2).times(1));
    }
    story.apply_policy(&Policy::acting("apps"));
    story.while_time_flies("the secret is recovered", 20.0, || {
        verdict(&story.get("srp", "apps"), "Healthy") == "True/AllRotationsHealthy"
    });
    story.end();
}

#[test]
fn answers_without_any_date_are_no_sweep_and_the_condition_says_so() {
    let story = Story::arranged(&one_of("stuck-empty", "ok-db"))
        .fault(dated("ListSecrets", "soon"))
        .policy(&Policy::acting("apps"))
        .start();
    story.eventually("the condition names the date", || {
        let policy = story.get("srp", "apps");
        message(&policy, "Ready").contains("NoUsableDate")
    });
    assert!(story.operations().is_empty());
    story.aws.clear_faults();
    story.eventually("the policy is ready", || {
        verdict(&story.get("srp", "apps"), "Ready") == "True/Succeeded"
    });
    story.while_time_flies("the operation is done", 20.0, || {
        let operations = story.operations_on("app/db");
        operations.iter().any(|one| state(one) == "Succeeded")
    });
    story.end();
}
