//! The rotation state machine over time: the four steps, what a failure strands, AWS's own retries, tests of a configuration.

use secret_rotation_simulator::Script;

use super::account::{
    Account, CURRENT, Labels, PENDING, PREVIOUS, TOKEN, app, idle, labels, refusal, stuck_empty,
    stuck_valued,
};

/// Steps take five seconds each, and AWS begins the next as soon as one has ended.
const STEP: f64 = 5.0;

async fn rotate(account: &Account) {
    let rotate = account.rotate();
    rotate.client_request_token(TOKEN).send().await.unwrap();
}

fn in_progress() -> Labels {
    labels([
        (CURRENT, "AWSCURRENT"),
        (PREVIOUS, "AWSPREVIOUS"),
        (TOKEN, "AWSPENDING"),
    ])
}

/// User Guide, rotate-secrets_lambda-functions: create, set, test, finish; AWSPREVIOUS follows AWSCURRENT.
#[tokio::test]
async fn a_rotation_takes_its_four_steps_in_their_order() {
    let account = Account::with(&idle());
    rotate(&account).await;
    let seen = |account: &Account| {
        let truth = account.simulator.inspect("app").unwrap();
        (truth.versions[TOKEN], truth.accepted.contains(TOKEN))
    };
    assert_eq!(seen(&account), (false, false));
    account.simulator.jump(STEP);
    assert_eq!(seen(&account), (true, false));
    account.simulator.jump(STEP);
    assert_eq!(seen(&account), (true, true));
    account.simulator.jump(STEP);
    assert_eq!(account.labels("app").await, in_progress());
    account.simulator.jump(STEP);
    let finished = labels([(CURRENT, "AWSPREVIOUS"), (TOKEN, "AWSCURRENT AWSPENDING")]);
    assert_eq!(account.labels("app").await, finished);
}

/// Sample functions, pull request 145: "Our backend cleans up the pending label on rotation completion, outside the rotation
/// lambda."
#[tokio::test]
async fn aws_takes_awspending_off_a_finished_rotation_in_its_own_time() {
    let account = Account::with(&idle());
    rotate(&account).await;
    account.simulator.jump(4.0 * STEP + 60.0);
    let expected = labels([(CURRENT, "AWSPREVIOUS"), (TOKEN, "AWSCURRENT")]);
    assert_eq!(account.labels("app").await, expected);
}

/// API reference, DescribeSecret, `LastRotatedDate`: the last time that a rotation succeeded.
#[tokio::test]
async fn the_date_of_the_last_rotation_moves_with_success_only() {
    for (function, moves) in [("ok", true), ("fail-testSecret", false)] {
        let account = Account::with(&app("", function));
        let before = account.describe("app").await.last_rotated_date.unwrap();
        rotate(&account).await;
        account.simulator.jump(60.0);
        let after = account.describe("app").await.last_rotated_date.unwrap();
        assert_eq!(after > before, moves, "{function}");
    }
}

/// User Guide, rotate-secrets_lambda-functions: what a failure in each step leaves; nothing clears it.
#[tokio::test]
async fn a_failed_step_strands_awspending() {
    for (function, has_value, target_knows) in [
        ("noop", false, false),
        ("fail-createSecret", false, false),
        ("fail-setSecret", true, false),
        ("crash-after-setSecret", true, true),
        ("fail-testSecret", true, true),
        ("fail-finishSecret", true, true),
    ] {
        let account = Account::with(&app("", function));
        rotate(&account).await;
        account.simulator.jump(2.0 * 86_400.0);
        assert_eq!(account.labels("app").await, in_progress(), "{function}");
        let truth = account.simulator.inspect("app").unwrap();
        assert_eq!(truth.versions[TOKEN], has_value, "{function}");
        assert_eq!(truth.accepted.contains(TOKEN), target_knows, "{function}");
        let again = account.rotate();
        assert_eq!(
            refusal(again.send().await).code,
            "InvalidRequestException",
            "{function}"
        );
    }
}

/// Lambda API reference, `Timeout`: at most 900 seconds.
#[tokio::test]
async fn a_function_that_hangs_is_ended_after_fifteen_minutes() {
    let account = Account::with(&app("", "hang-createSecret"));
    account
        .simulator
        .set_quirks(|quirks| quirks.own_retries = 0);
    rotate(&account).await;
    account.simulator.jump(STEP + 890.0);
    assert!(account.simulator.inspect("app").unwrap().rotating);
    account.simulator.jump(20.0);
    assert!(!account.simulator.inspect("app").unwrap().rotating);
    assert_eq!(account.labels("app").await, in_progress());
}

/// User Guide, rotate-secrets_lambda: "If any rotation step fails, Secrets Manager retries the entire rotation process
/// multiple times".
#[tokio::test]
async fn aws_runs_a_failed_rotation_again_from_its_first_step() {
    let scenario = format!(
        "functions: {{shaky: {{fail: testSecret, failures: 2}}}}\n{}",
        app("", "shaky")
    );
    let account = Account::with(&scenario);
    rotate(&account).await;
    account.simulator.jump(6.0 * 3600.0);
    let expected = labels([(CURRENT, "AWSPREVIOUS"), (TOKEN, "AWSCURRENT")]);
    assert_eq!(account.labels("app").await, expected);
    let invocations = account.simulator.inspect("app").unwrap().invocations;
    assert_eq!(
        (invocations["createSecret"], invocations["finishSecret"]),
        (3, 1)
    );
}

/// Undocumented, so a switch: "That rotation will be reattempted" is taken at its word by default.
#[tokio::test]
async fn a_refused_rotation_makes_aws_try_the_pending_version_again() {
    for scenario in [stuck_empty("ok"), stuck_valued("ok")] {
        let account = Account::with(&scenario);
        let again = account.rotate();
        assert_eq!(refusal(again.send().await).code, "InvalidRequestException");
        account.simulator.jump(60.0);
        let expected = labels([(CURRENT, "AWSPREVIOUS"), (PENDING, "AWSCURRENT")]);
        assert_eq!(account.labels("app").await, expected);
    }
}

/// Sample functions, the guards of every step: a token that lost AWSPENDING ends the rotation with an error. User Guide,
/// rotate-secrets_lambda-functions: "don't remove it by using a separate API call".
#[tokio::test]
async fn removing_awspending_under_way_makes_the_function_fail() {
    let account = Account::with(&idle());
    rotate(&account).await;
    account.simulator.jump(2.0 * STEP + 1.0);
    account.clear(TOKEN).send().await.unwrap();
    account.simulator.jump(86_400.0);
    let expected = labels([(CURRENT, "AWSCURRENT"), (PREVIOUS, "AWSPREVIOUS")]);
    assert_eq!(account.labels("app").await, expected);
    let truth = account.simulator.inspect("app").unwrap();
    assert_eq!(truth.invocations.get("finishSecret"), None);
    assert!(
        !truth.live_value_is_labelled,
        "the target lets only the pending value in"
    );
}

/// Sample functions, setSecret: it tries the pending value first, so the same version heals what died after setSecret.
#[tokio::test]
async fn running_the_same_version_again_heals_what_clearing_would_lock_out() {
    let account = Account::with(&app("", "crash-after-setSecret"));
    account
        .simulator
        .set_quirks(|quirks| quirks.own_retries = 0);
    rotate(&account).await;
    account.simulator.jump(60.0);
    account
        .simulator
        .script("crash-after-setSecret", Script::default());
    let again = account.rotate();
    assert_eq!(refusal(again.send().await).code, "InvalidRequestException");
    account.simulator.jump(60.0);
    let expected = labels([(CURRENT, "AWSPREVIOUS"), (TOKEN, "AWSCURRENT")]);
    assert_eq!(account.labels("app").await, expected);
}

/// API reference, RotateSecret: without AWSPENDING a new rotation begins; sample functions, the guards: what still runs for the
/// version before ends with an error and does not disturb it.
#[tokio::test]
async fn a_new_rotation_runs_while_the_function_still_hangs_in_the_one_before() {
    let account = Account::with(&app("", "hang-createSecret"));
    let first = account.rotate().client_request_token(PENDING);
    first.send().await.unwrap();
    account.simulator.jump(60.0);
    account.clear(PENDING).send().await.unwrap();
    let patient = Script {
        step_seconds: Some(300),
        ..Script::default()
    };
    account.simulator.script("hang-createSecret", patient);
    rotate(&account).await;
    account.simulator.jump(3600.0);
    let expected = labels([(CURRENT, "AWSPREVIOUS"), (TOKEN, "AWSCURRENT")]);
    assert_eq!(account.labels("app").await, expected);
}

/// Sample functions, setSecret of a single user: pending, current and previous are tried, and none of them is the live value
/// once the version that holds it has been cleared.
#[tokio::test]
async fn clearing_what_died_after_set_secret_locks_everyone_out() {
    let account = Account::with(&app("", "crash-after-setSecret"));
    let first = account.rotate().client_request_token(PENDING);
    first.send().await.unwrap();
    account.simulator.jump(86_400.0);
    account.clear(PENDING).send().await.unwrap();
    account
        .simulator
        .script("crash-after-setSecret", Script::default());
    rotate(&account).await;
    account.simulator.jump(86_400.0);
    assert_eq!(account.labels("app").await, in_progress());
    assert!(
        !account
            .simulator
            .inspect("app")
            .unwrap()
            .live_value_is_labelled
    );
}

/// User Guide, rotation strategies: with alternating users the current value stays valid whatever becomes of the pending one.
#[tokio::test]
async fn with_alternating_users_the_current_value_stays_valid() {
    let scenario = app(
        "  target: {strategy: alternating-users}\n",
        "crash-after-setSecret",
    );
    let account = Account::with(&scenario);
    rotate(&account).await;
    account.simulator.jump(86_400.0);
    let accepted = account.simulator.inspect("app").unwrap().accepted;
    assert!(accepted.contains(CURRENT) && accepted.contains(TOKEN));
}

/// API reference, RotateSecret, `RotateImmediately`: Secrets Manager "tests the rotation configuration by running the
/// testSecret step"; "this test creates an AWSPENDING version of the secret and then removes it".
#[tokio::test]
async fn rotate_immediately_false_tests_and_leaves_no_trace() {
    let account = Account::with(&idle());
    let before = account.describe("app").await;
    let rotate = account.rotate();
    let rotate = rotate.client_request_token(TOKEN).rotate_immediately(false);
    rotate.send().await.unwrap();
    assert_eq!(account.labels("app").await, in_progress());
    account.simulator.jump(60.0);
    let expected = labels([(CURRENT, "AWSCURRENT"), (PREVIOUS, "AWSPREVIOUS")]);
    assert_eq!(account.labels("app").await, expected);
    let truth = account.simulator.inspect("app").unwrap();
    assert_eq!(
        truth.invocations.into_iter().collect::<Vec<_>>(),
        [("testSecret".to_owned(), 1)]
    );
    let after = account.describe("app").await;
    assert_eq!(after.last_rotated_date, before.last_rotated_date);
}
