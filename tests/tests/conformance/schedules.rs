//! When AWS rotates by itself, and which date it shows for that.

use aws_sdk_secretsmanager::types::RotationRulesType;
use aws_sdk_secretsmanager::types::builders::RotationRulesTypeBuilder;

use super::account::{Account, CURRENT, TOKEN, app, idle, labels, stuck_valued};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// NextRotationDate after the rules were set at 2026-11-23T10:00:00Z, without rotating.
async fn next_after(rules: RotationRulesTypeBuilder) -> i64 {
    let account = Account::with(&idle());
    let rotate = account.rotate();
    let rotate = rotate
        .rotation_rules(rules.build())
        .rotate_immediately(false);
    rotate.send().await.unwrap();
    account
        .describe("app")
        .await
        .next_rotation_date
        .unwrap()
        .secs()
}

fn midnight() -> i64 {
    1_795_428_000 - 10 * HOUR
}

/// User Guide, rotate-secrets_schedule: windows of schedules in days start at midnight UTC and end with that day; API
/// reference, DescribeSecret, `NextRotationDate`: the latest date.
#[tokio::test]
async fn a_schedule_in_days_ends_with_a_day() {
    let rules = RotationRulesType::builder;
    for rules in [
        rules().automatically_after_days(10),
        rules().schedule_expression("rate(10 days)"),
    ] {
        let next = next_after(rules).await;
        assert!(
            (midnight() + 10 * DAY..=midnight() + 11 * DAY).contains(&next),
            "{next}"
        );
    }
}

/// User Guide, rotate-secrets_schedule: windows of schedules in hours start on the hour and are an hour long.
#[tokio::test]
async fn a_schedule_in_hours_keeps_to_the_hour() {
    let rules = RotationRulesType::builder().schedule_expression("rate(4 hours)");
    let next = next_after(rules).await;
    assert!(
        (midnight() + 14 * HOUR..=midnight() + 15 * HOUR).contains(&next),
        "{next}"
    );
}

/// User Guide, rotate-secrets_schedule: `cron(0 H * * ? *)` opens a window at that hour.
#[tokio::test]
async fn a_cron_schedule_opens_at_its_hour() {
    for (expression, day) in [("cron(0 16 * * ? *)", 0), ("cron(0 8 * * ? *)", 1)] {
        let rules = RotationRulesType::builder()
            .schedule_expression(expression)
            .duration("2h");
        let opens = midnight() + day * DAY + if day == 0 { 16 } else { 8 } * HOUR;
        let next = next_after(rules).await;
        assert!(
            (opens..=opens + 2 * HOUR).contains(&next),
            "{expression}: {next}"
        );
    }
}

/// User Guide, rotate-secrets_schedule: 4 hours at least, 999 days at most, minutes 0, any year.
#[tokio::test]
async fn schedules_that_cannot_be_are_refused() {
    let account = Account::with(&idle());
    let before = account.described_body("app").await;
    for expression in [
        "rate(3 hours)",
        "rate(1000 days)",
        "rate(0 days)",
        "cron(30 8 * * ? *)",
        "cron(0 8 * * ? 2027)",
        "cron(0 8 * * * *)",
        "every day",
    ] {
        let rules = RotationRulesType::builder()
            .schedule_expression(expression)
            .build();
        let rotate = account.rotate().rotation_rules(rules);
        let code = super::account::refusal(rotate.send().await).code;
        assert_eq!(code, "InvalidParameterException", "{expression}");
    }
    assert_eq!(account.described_body("app").await, before);
}

/// User Guide, rotate-secrets: AWS rotates by the schedule without being asked, and the dates move on.
#[tokio::test]
async fn a_secret_rotates_by_its_schedule() {
    let account = Account::with(&idle());
    let before = account.describe("app").await;
    account.simulator.jump(20.0 * 86_400.0);
    let after = account.describe("app").await;
    assert_eq!(
        account.labels("app").await[CURRENT],
        labels([("", "AWSPREVIOUS")])[""]
    );
    assert!(after.last_rotated_date > before.last_rotated_date);
    assert!(after.next_rotation_date.unwrap().secs() > account.simulator.now().as_second());
}

/// API reference, CancelRotateSecret: no more rotations by schedule.
#[tokio::test]
async fn a_cancelled_secret_does_not_rotate() {
    let account = Account::with(&idle());
    account
        .client
        .cancel_rotate_secret()
        .secret_id("app")
        .send()
        .await
        .unwrap();
    let before = account.labels("app").await;
    account.simulator.jump(60.0 * 86_400.0);
    assert_eq!(account.labels("app").await, before);
}

/// API reference, DeleteSecret: a secret that is to be deleted is not rotated either.
#[tokio::test]
async fn a_secret_to_be_deleted_does_not_rotate() {
    let account = Account::with(&idle());
    let before = account.labels("app").await;
    account.delete().send().await.unwrap();
    account.simulator.jump(20.0 * 86_400.0);
    assert_eq!(account.labels("app").await, before);
}

/// API reference, DescribeSecret, `NextRotationDate`: a stuck rotation lets the date go by, and no new version is made.
#[tokio::test]
async fn a_stuck_secret_makes_no_new_version_when_its_date_comes() {
    let account = Account::with(&stuck_valued("noop"));
    let before = account.labels("app").await;
    account.simulator.jump(60.0 * 86_400.0);
    assert_eq!(account.labels("app").await, before);
    let next = account.describe("app").await.next_rotation_date.unwrap();
    assert!(next.secs() < account.simulator.now().as_second());
}

/// API reference, DescribeSecret, `LastRotatedDate`: absent until a rotation has succeeded.
#[tokio::test]
async fn a_secret_that_never_rotated_has_no_date_of_that() {
    let account = Account::with(&app("", "ok").replace("lastRotated: -12d, ", ""));
    assert_eq!(account.describe("app").await.last_rotated_date, None);
    let rotate = account.rotate().client_request_token(TOKEN);
    rotate.send().await.unwrap();
    assert_eq!(account.describe("app").await.last_rotated_date, None);
    account.simulator.jump(60.0);
    assert!(account.describe("app").await.last_rotated_date.is_some());
}
