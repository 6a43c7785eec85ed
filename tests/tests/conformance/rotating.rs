//! `RotateSecret` and `CancelRotateSecret`: what they accept, refuse and change at once.

use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::rotate_secret::{RotateSecretError, RotateSecretOutput};
use aws_sdk_secretsmanager::types::RotationRulesType;
use serde_json::json;

use super::account::{
    Account, CURRENT, PENDING, PREVIOUS, TOKEN, app, idle, labels, refusal, refused, stuck_empty,
    stuck_valued,
};

async fn rotate(account: &Account) -> Result<RotateSecretOutput, SdkError<RotateSecretError>> {
    let rotate = account.rotate();
    rotate.client_request_token(TOKEN).send().await
}

/// PCS User Guide, and Terraform provider issue 35023: `InvalidRequestException`, and the labels stay.
#[tokio::test]
async fn a_rotation_is_refused_while_awspending_is_on_another_version() {
    let message = "A previous rotation isn't complete. That rotation will be reattempted.";
    for scenario in [stuck_empty("noop"), stuck_valued("noop")] {
        let account = Account::with(&scenario);
        let before = account.described_body("app").await;
        assert_eq!(
            refusal(rotate(&account).await),
            refused("InvalidRequestException", message)
        );
        assert_eq!(account.described_body("app").await, before);
    }
}

/// API reference, RotateSecret: "If AWSPENDING is present but not attached to the same version as AWSCURRENT, then any later
/// invocation of RotateSecret assumes that a previous rotation request is still in progress and returns an error."
#[tokio::test]
async fn awspending_on_the_current_version_stands_in_no_rotations_way() {
    let account = Account::with(&idle().replace("[AWSCURRENT]", "[AWSCURRENT, AWSPENDING]"));
    rotate(&account).await.unwrap();
    let expected = labels([
        (CURRENT, "AWSCURRENT"),
        (PREVIOUS, "AWSPREVIOUS"),
        (TOKEN, "AWSPENDING"),
    ]);
    assert_eq!(account.labels("app").await, expected);
}

/// API reference, RotateSecret, response elements and `ClientRequestToken`: the token becomes the new version's id.
#[tokio::test]
async fn the_answer_names_the_version_that_the_token_becomes() {
    let account = Account::with(&idle());
    let answer = rotate(&account).await.unwrap();
    let arn = account.describe("app").await.arn;
    assert_eq!(
        (
            answer.arn,
            answer.name.as_deref(),
            answer.version_id.as_deref()
        ),
        (arn, Some("app"), Some(TOKEN))
    );
}

/// Sample functions, issue 16 (real output): version ids keep the case of their token.
#[tokio::test]
async fn the_case_of_a_token_is_kept() {
    let account = Account::with(&idle());
    let token = TOKEN.to_uppercase();
    let rotate = account.rotate();
    rotate.client_request_token(&token).send().await.unwrap();
    let labels = account.labels("app").await;
    assert!(labels.contains_key(&token) && !labels.contains_key(TOKEN));
}

/// API reference, RotateSecret, `ClientRequestToken`: the SDKs make a UUID themselves.
#[tokio::test]
async fn the_sdk_brings_a_token_of_its_own() {
    let account = Account::with(&idle());
    let rotate = account.rotate();
    let version = rotate.send().await.unwrap().version_id.unwrap();
    assert_eq!(version.len(), 36);
    assert!(account.labels("app").await.contains_key(&version));
}

/// LocalStack recording of 2023-05-12. It is said of secrets that do not exist, too.
#[tokio::test]
async fn a_request_without_a_token_is_refused_whatever_its_secret() {
    let account = Account::with(&idle());
    for secret in ["app", "nowhere"] {
        let answer = account
            .post("RotateSecret", &json!({"SecretId": secret}))
            .await;
        let message =
            "You must provide a ClientRequestToken value. We recommend a UUID-type value.";
        assert_eq!(
            (answer.status, answer.body),
            (
                400,
                json!({"__type": "InvalidParameterException", "Message": message})
            )
        );
    }
}

/// API reference, RotateSecret, `ClientRequestToken`: 32 to 64 characters.
#[tokio::test]
async fn a_token_has_32_to_64_characters() {
    let account = Account::with(&idle());
    for (length, fits) in [(31, false), (65, false), (32, true)] {
        let rotate = account.rotate();
        let answer = rotate.client_request_token("x".repeat(length)).send().await;
        if fits {
            assert_eq!(answer.unwrap().version_id.map(|id| id.len()), Some(length));
        } else {
            assert_eq!(refusal(answer).code, "InvalidParameterException");
        }
    }
}

/// Undocumented, so a switch: the token of the version that is pending succeeds by default, and makes nothing new.
#[tokio::test]
async fn the_same_token_succeeds_again_by_default() {
    let account = Account::with(&idle());
    rotate(&account).await.unwrap();
    let before = account.labels("app").await;
    let again = rotate(&account).await.unwrap();
    assert_eq!(again.version_id.as_deref(), Some(TOKEN));
    assert_eq!(account.labels("app").await, before);
}

/// PCS User Guide: the answer means that the rotation is accepted; API reference, RotateSecret: it is asynchronous.
#[tokio::test]
async fn an_accepted_rotation_has_only_begun() {
    let account = Account::with(&idle());
    rotate(&account).await.unwrap();
    let expected = labels([
        (CURRENT, "AWSCURRENT"),
        (PREVIOUS, "AWSPREVIOUS"),
        (TOKEN, "AWSPENDING"),
    ]);
    assert_eq!(account.labels("app").await, expected);
    let has_value = account.simulator.inspect("app").unwrap().versions[TOKEN];
    assert!(!has_value);
}

/// LocalStack recording of 2022-09-28.
#[tokio::test]
async fn a_secret_that_does_not_exist_is_not_found() {
    let account = Account::with("");
    let message = "Secrets Manager can't find the specified secret.";
    let expected = refused("ResourceNotFoundException", message);
    assert_eq!(refusal(rotate(&account).await), expected);
    let cancel = account.client.cancel_rotate_secret().secret_id("app");
    assert_eq!(refusal(cancel.send().await), expected);
}

/// LocalStack recording of 2025-03-27.
#[tokio::test]
async fn a_secret_without_a_function_does_not_rotate() {
    let account = Account::with("generate: [{count: 1, name: other, state: healthy}]");
    let create = account
        .client
        .create_secret()
        .name("app")
        .secret_string("1");
    create.send().await.unwrap();
    let message = "No Lambda rotation function ARN is associated with this secret.";
    assert_eq!(
        refusal(rotate(&account).await),
        refused("InvalidRequestException", message)
    );
}

/// LocalStack recording of 2024-03-15; the code is not in the service model.
#[tokio::test]
async fn a_function_that_cannot_be_invoked_refuses_the_rotation() {
    let account = Account::with(&app("", "nope"));
    let before = account.labels("app").await;
    let message = "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.";
    assert_eq!(
        refusal(rotate(&account).await),
        refused("AccessDeniedException", message)
    );
    assert_eq!(account.labels("app").await, before);
}

/// Sample functions, issue 16; Terraform provider issue 10619: what DescribeSecret showed.
#[tokio::test]
async fn a_secret_without_a_value_gets_awspending_and_no_awscurrent() {
    let account = Account::with("secrets: [{name: app, rotation: {function: ok, everyDays: 30}}]");
    rotate(&account).await.unwrap();
    account.simulator.jump(60.0);
    assert_eq!(account.labels("app").await, labels([(TOKEN, "AWSPENDING")]));
}

/// API reference, RotateSecret, `RotationLambdaARN` and `RotationRules`; DescribeSecret shows what was set.
#[tokio::test]
async fn a_rotation_can_set_function_and_rules() {
    let account = Account::with(&idle());
    let function = "arn:aws:lambda:eu-west-1:111122223333:function:other";
    let rules = RotationRulesType::builder().automatically_after_days(10);
    let rotate = account.rotate();
    let rotate = rotate
        .rotation_lambda_arn(function)
        .rotation_rules(rules.build());
    rotate.send().await.unwrap();
    let described = account.describe("app").await;
    assert_eq!(described.rotation_lambda_arn(), Some(function));
    let days = described
        .rotation_rules()
        .and_then(RotationRulesType::automatically_after_days);
    assert_eq!((described.rotation_enabled(), days), (Some(true), Some(10)));
}

/// API reference, RotationRulesType: 1 to 1000 days or an expression, not both; `Duration` is `[0-9]+h`.
#[tokio::test]
async fn rules_that_cannot_be_are_invalid_and_change_nothing() {
    let account = Account::with(&idle());
    let before = account.described_body("app").await;
    let rules = RotationRulesType::builder;
    for rules in [
        rules().automatically_after_days(0),
        rules().automatically_after_days(1001),
        rules()
            .automatically_after_days(5)
            .schedule_expression("rate(5 days)"),
        rules().automatically_after_days(5).duration("3"),
    ] {
        let rotate = account.rotate();
        let answer = refusal(rotate.rotation_rules(rules.build()).send().await);
        assert_eq!(
            (answer.status, answer.code.as_str()),
            (400, "InvalidParameterException")
        );
    }
    assert_eq!(account.described_body("app").await, before);
}

/// Terraform provider, issue 35023: a change of schedule is refused while a rotation is pending.
#[tokio::test]
async fn a_refused_rotation_changes_no_rules() {
    for (scenario, code) in [
        (stuck_valued("noop"), "InvalidRequestException"),
        (app("", "nope"), "AccessDeniedException"),
    ] {
        let account = Account::with(&scenario);
        let before = account.described_body("app").await;
        let rules = RotationRulesType::builder().automatically_after_days(10);
        let rotate = account.rotate();
        let answer = refusal(rotate.rotation_rules(rules.build()).send().await);
        assert_eq!(answer.code, code);
        assert_eq!(account.described_body("app").await, before);
    }
}

/// API reference, CancelRotateSecret: "To turn on automatic rotation again, call RotateSecret".
#[tokio::test]
async fn a_rotation_switches_a_cancelled_schedule_on_again() {
    let account = Account::with(&idle());
    let cancel = account.client.cancel_rotate_secret().secret_id("app");
    cancel.send().await.unwrap();
    let cancelled = account.describe("app").await;
    assert_eq!(
        (cancelled.rotation_enabled, cancelled.next_rotation_date),
        (Some(false), None)
    );
    assert_eq!(
        cancelled.rotation_rules.unwrap().automatically_after_days(),
        Some(30)
    );
    rotate(&account).await.unwrap();
    let described = account.describe("app").await;
    assert_eq!(described.rotation_enabled, Some(true));
    assert!(described.next_rotation_date.is_some());
}

/// PCS User Guide, and API reference, CancelRotateSecret: AWSPENDING stays, and goes on standing in the way.
#[tokio::test]
async fn cancelling_leaves_awspending_in_place() {
    let account = Account::with(&stuck_valued("noop"));
    let before = account.labels("app").await;
    let cancel = account.client.cancel_rotate_secret().secret_id("app");
    assert_eq!(cancel.send().await.unwrap().name(), Some("app"));
    assert_eq!(account.labels("app").await, before);
    assert_eq!(before[PENDING], labels([("", "AWSPENDING")])[""]);
    assert_eq!(
        refusal(rotate(&account).await).code,
        "InvalidRequestException"
    );
}
