//! `DescribeSecret`: which keys are there, which are absent, and what its dates mean.

use aws_sdk_secretsmanager::types::RotationRulesType;
use serde_json::{Value, json};

use super::account::{
    Account, CURRENT, PENDING, PREVIOUS, TOKEN, app, idle, refusal, refused, stuck_empty,
};

const DAY: f64 = 86_400.0;

/// API reference, DescribeSecret, response syntax; botocore's examples show times as seconds in a number.
#[tokio::test]
async fn a_secret_at_rest_shows_its_labels_rules_and_dates() {
    let account = Account::with(&idle());
    let body = account.described_body("app").await;
    let arn = account.simulator.inspect("app").unwrap().arn;
    let now = 1_795_428_000.0;
    assert_eq!((&body["ARN"], &body["Name"]), (&json!(arn), &json!("app")));
    assert_eq!(body["RotationEnabled"], json!(true));
    assert_eq!(body["RotationRules"]["AutomaticallyAfterDays"], json!(30));
    assert_eq!(
        body["RotationLambdaARN"],
        json!("arn:aws:lambda:eu-west-1:111122223333:function:ok")
    );
    let stages = json!({CURRENT: ["AWSCURRENT"], PREVIOUS: ["AWSPREVIOUS"]});
    assert_eq!(body["VersionIdsToStages"], stages);
    assert_eq!(body["LastChangedDate"].as_f64(), Some(now - 26.0 * 3600.0));
    assert_eq!(body["LastRotatedDate"].as_f64(), Some(now - 12.0 * DAY));
    assert_eq!(body["NextRotationDate"].as_f64(), Some(now + 18.0 * DAY));
    assert!(body["CreatedDate"].is_number());
}

/// The list calls the same map `SecretVersionsToStages`; absent keys are left out, not null.
/// API reference, DescribeSecret and ListSecrets.
#[tokio::test]
async fn what_a_secret_does_not_have_is_absent() {
    let account = Account::with(&idle());
    let body = account.described_body("app").await;
    for absent in [
        "SecretVersionsToStages",
        "DeletedDate",
        "OwningService",
        "PrimaryRegion",
        "ReplicationStatus",
        "Type",
    ] {
        assert_eq!(body.get(absent), None, "{absent}");
    }
    assert!(
        body.as_object()
            .unwrap()
            .values()
            .all(|value| *value != Value::Null)
    );
}

/// LocalStack recording of 2023-09-05.
#[tokio::test]
async fn a_secret_without_a_value_has_no_map_of_labels() {
    let account = Account::with("");
    account
        .client
        .create_secret()
        .name("app")
        .send()
        .await
        .unwrap();
    let body = account.described_body("app").await;
    assert_eq!(
        (&body["Name"], body.get("VersionIdsToStages")),
        (&json!("app"), None)
    );
    for absent in [
        "RotationEnabled",
        "RotationRules",
        "LastRotatedDate",
        "NextRotationDate",
    ] {
        assert_eq!(body.get(absent), None, "{absent}");
    }
}

/// User Guide, whats-in-a-secret: only versions with labels are shown.
#[tokio::test]
async fn a_version_that_lost_its_last_label_is_not_shown() {
    let account = Account::with(&app(&format!("  - {{id: {TOKEN}, created: -2d}}\n"), "ok"));
    let stages = account.described_body("app").await["VersionIdsToStages"].clone();
    assert_eq!(
        stages,
        json!({CURRENT: ["AWSCURRENT"], PREVIOUS: ["AWSPREVIOUS"]})
    );
}

/// PCS User Guide; moto issues 8403 and 8504, whose test passes on AWS: the version is shown, its value is not there.
#[tokio::test]
async fn a_pending_version_without_a_value_is_shown_and_cannot_be_read() {
    let account = Account::with(&stuck_empty("ok"));
    let stages = account.described_body("app").await["VersionIdsToStages"].clone();
    assert_eq!(stages[PENDING], json!(["AWSPENDING"]));
    let read = account.client.get_secret_value().secret_id("app");
    let answer = refusal(read.version_stage("AWSPENDING").send().await);
    assert_eq!(
        (answer.status, answer.code.as_str()),
        (400, "ResourceNotFoundException")
    );
}

/// API reference, DescribeSecret, `SecretId`: the name, the ARN, or the ARN without its last six characters.
#[tokio::test]
async fn a_secret_is_found_by_name_arn_and_partial_arn() {
    let account = Account::with(&idle());
    let arn = account.describe("app").await.arn.unwrap();
    let (partial, _) = arn.rsplit_once('-').unwrap();
    for id in [arn.as_str(), partial] {
        assert_eq!(account.describe(id).await.name(), Some("app"));
    }
}

/// LocalStack recording of 2022-09-28, among others; the status is 400, not 404.
#[tokio::test]
async fn a_missing_secret_is_not_found_and_neither_is_one_of_another_region() {
    let account = Account::with(&idle());
    let message = "Secrets Manager can't find the specified secret.";
    let expected = refused("ResourceNotFoundException", message);
    let missing = account.client.describe_secret().secret_id("nowhere").send();
    assert_eq!(refusal(missing.await), expected);
    let elsewhere = account.in_region("us-east-1");
    let elsewhere = elsewhere.describe_secret().secret_id("app").send();
    assert_eq!(refusal(elsewhere.await), expected);
}

/// API reference, DescribeSecret, `NextRotationDate`: null if rotation is off; `RotationEnabled`: false if it was turned
/// off, null if it was never configured; the rules stay.
#[tokio::test]
async fn a_secret_whose_rotation_is_off_has_rules_and_no_next_date() {
    for scenario in [
        idle().replace("{function", "{enabled: false, function"),
        "generate: [{count: 1, name: app, state: disabled}]".to_owned(),
    ] {
        let account = Account::with(&scenario);
        let described = account.describe("app").await;
        assert_eq!(described.rotation_enabled, Some(false));
        assert_eq!(described.next_rotation_date, None);
        assert_eq!(
            described.rotation_rules.unwrap().automatically_after_days,
            Some(30)
        );
    }
}

/// API reference, DescribeSecret, `LastRotatedDate`: null if rotation is off; SecretListEntry: the last time it succeeded.
#[tokio::test]
async fn only_lists_tell_when_a_secret_rotated_whose_rotation_is_off() {
    let account = Account::with("generate: [{count: 1, name: app, state: disabled}]");
    assert_eq!(account.describe("app").await.last_rotated_date, None);
    let listed = account.client.list_secrets().send().await.unwrap();
    assert!(listed.secret_list()[0].last_rotated_date().is_some());
}

/// API reference, DescribeSecret, `NextRotationDate`: "If rotation is unsuccessful, this date may be in the past."
#[tokio::test]
async fn the_next_date_falls_into_the_past_if_rotation_fails() {
    let account = Account::with(&app("", "fail-setSecret"));
    let before = account.describe("app").await.next_rotation_date.unwrap();
    account.simulator.jump(25.0 * DAY);
    let after = account.describe("app").await.next_rotation_date.unwrap();
    assert_eq!(after, before);
    assert!(after.secs() < account.simulator.now().as_second());
}

/// API reference, RotationRulesType: Describe shows the expression, and days that are computed from it.
#[tokio::test]
async fn an_expression_comes_with_computed_days() {
    let account = Account::with(&idle());
    let rules = RotationRulesType::builder()
        .schedule_expression("rate(10 days)")
        .duration("3h");
    let rotate = account.rotate();
    rotate.rotation_rules(rules.build()).send().await.unwrap();
    let rules = account.describe("app").await.rotation_rules.unwrap();
    assert_eq!(
        (
            rules.schedule_expression(),
            rules.duration(),
            rules.automatically_after_days()
        ),
        (Some("rate(10 days)"), Some("3h"), Some(10))
    );
}
