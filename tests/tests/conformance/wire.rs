//! The wire: status codes, bodies of refusals, times, the `Date` header, and what the SDK sends again.

use std::time::Duration;

use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
use secret_rotation_simulator::{Fault, FaultKind};
use serde_json::json;

use super::account::{Account, PENDING, idle, refusal, refused, stuck_empty};

fn code(code: &str) -> FaultKind {
    FaultKind::Code {
        code: code.to_owned(),
        message: "no".to_owned(),
    }
}

/// LocalStack raw recording of 2023: `__type` and a `Message` with a capital letter; botocore: AWS JSON 1.1.
#[tokio::test]
async fn a_refusal_is_json_with_type_and_message() {
    let account = Account::with("");
    let answer = account
        .post("DescribeSecret", &json!({"SecretId": "app"}))
        .await;
    let message = "Secrets Manager can't find the specified secret.";
    let body = json!({"__type": "ResourceNotFoundException", "Message": message});
    assert_eq!((answer.status, answer.body), (400, body));
    assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.1");
}

/// AWS General Reference, request ids: every answer has one of its own, also a refusal.
#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let account = Account::with(&idle());
    let mut ids = Vec::new();
    for secret in ["app", "app", "nowhere"] {
        let answer = account
            .post("DescribeSecret", &json!({"SecretId": secret}))
            .await;
        ids.push(answer.headers["x-amzn-requestid"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

/// botocore's examples (`1523477145.713`): seconds since 1970, with milliseconds, as a number.
#[tokio::test]
async fn times_are_seconds_with_a_fraction() {
    let account = Account::with(&idle());
    account.simulator.jump(0.25);
    let request = json!({"SecretId": "app", "VersionStage": "mine", "MoveToVersionId": super::account::CURRENT});
    assert_eq!(
        account
            .post("UpdateSecretVersionStage", &request)
            .await
            .status,
        200
    );
    let changed = account.described_body("app").await["LastChangedDate"].as_f64();
    assert_eq!(changed, Some(1_795_428_000.25));
}

/// RFC 9110, `Date`: the server's clock, which here is the simulated one.
#[tokio::test]
async fn the_date_header_follows_the_simulated_clock() {
    let account = Account::with(&idle());
    let mut dates = Vec::new();
    for secret in ["app", "app", "nowhere"] {
        let answer = account
            .post("DescribeSecret", &json!({"SecretId": secret}))
            .await;
        dates.push(answer.headers["date"].clone());
        account.simulator.jump(86_400.0 + 61.0);
    }
    let expected = [
        "Mon, 23 Nov 2026 10:00:00 GMT",
        "Tue, 24 Nov 2026 10:01:01 GMT",
        "Wed, 25 Nov 2026 10:02:02 GMT",
    ];
    assert_eq!(dates, expected);
}

/// kubernetes-external-secrets issue 491: `ThrottlingException`, "Rate exceeded", status 400; the SDK sends it again.
#[tokio::test]
async fn throttling_is_a_400_that_the_sdk_retries() {
    let account = Account::with(&idle());
    let throttle = || Fault::on("DescribeSecret", FaultKind::Throttle);
    account.simulator.inject(throttle().times(1));
    let answer = account
        .client
        .describe_secret()
        .secret_id("app")
        .send()
        .await;
    assert_eq!(
        refusal(answer),
        refused("ThrottlingException", "Rate exceeded")
    );
    account.simulator.inject(throttle().times(2));
    let answer = account
        .patient()
        .describe_secret()
        .secret_id("app")
        .send()
        .await;
    assert_eq!(answer.unwrap().name(), Some("app"));
}

/// SDK source, and User Guide, reference_limits: which refusals are sent again.
#[tokio::test]
async fn the_sdk_retries_limits_and_faults_of_the_server_only() {
    for (kind, attempts) in [
        (FaultKind::Throttle, 3),
        (FaultKind::ServerError, 3),
        (code("LimitExceededException"), 3),
        (code("InvalidRequestException"), 1),
        (code("InvalidParameterException"), 1),
        (code("ResourceNotFoundException"), 1),
    ] {
        let account = Account::with(&idle());
        account
            .simulator
            .inject(Fault::on("DescribeSecret", kind.clone()));
        assert_eq!(account.attempts().await, attempts, "{kind:?}");
    }
}

/// SDK source, clock skew: a denial is sent again only if the `Date` header is minutes away from the client's clock.
#[tokio::test]
async fn the_sdk_takes_a_denial_for_a_wrong_clock_if_the_date_is_far_away() {
    for (years, attempts) in [(0.0, 1), (10.0, 3)] {
        let account = Account::of_today(&idle());
        account.simulator.jump(years * 365.0 * 86_400.0);
        account
            .simulator
            .inject(Fault::on("DescribeSecret", FaultKind::AccessDenied));
        assert_eq!(account.attempts().await, attempts, "{years} years");
    }
}

/// API reference, `InternalServiceError`: a fault of the server has status 500.
#[tokio::test]
async fn a_fault_of_the_server_is_a_500() {
    let account = Account::with(&idle());
    account
        .simulator
        .inject(Fault::on("ListSecrets", FaultKind::ServerError));
    let answer = refusal(account.client.list_secrets().send().await);
    assert_eq!(
        (answer.status, answer.code.as_str()),
        (500, "InternalServiceError")
    );
}

/// SDK source: a code that is not in the service's model, such as `AccessDeniedException`, is known by its code only.
#[tokio::test]
async fn a_denial_is_a_400_that_the_model_does_not_know() {
    let account = Account::with(&idle());
    account
        .simulator
        .inject(Fault::on("RotateSecret", FaultKind::AccessDenied));
    let answer = account.rotate().send().await;
    let error = answer.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 400);
    let error = error.into_service_error();
    assert_eq!(error.code(), Some("AccessDeniedException"));
    assert!(!error.is_invalid_request_exception() && !error.is_resource_not_found_exception());
}

/// API reference: the modelled refusals arrive as the SDK's own types.
#[tokio::test]
async fn modelled_refusals_arrive_as_their_types() {
    let account = Account::with(&stuck_empty("noop"));
    let rotate = account.rotate().send().await;
    assert!(
        rotate
            .unwrap_err()
            .into_service_error()
            .is_invalid_request_exception()
    );
    let missing = account
        .client
        .describe_secret()
        .secret_id("no")
        .send()
        .await;
    assert!(
        missing
            .unwrap_err()
            .into_service_error()
            .is_resource_not_found_exception()
    );
    let garbage = account.client.list_secrets().next_token("no").send().await;
    assert!(
        garbage
            .unwrap_err()
            .into_service_error()
            .is_invalid_next_token_exception()
    );
    let update = account
        .client
        .update_secret_version_stage()
        .secret_id("app");
    let update = update
        .version_stage("AWSCURRENT")
        .remove_from_version_id(PENDING)
        .send()
        .await;
    assert!(
        update
            .unwrap_err()
            .into_service_error()
            .is_invalid_parameter_exception()
    );
}

/// SDK source: a `ClientRequestToken` is made once a call and shared by its retries, so an answer that is lost does not make
/// a second version.
#[tokio::test]
async fn retries_of_one_rotation_share_their_token() {
    let account = Account::with(&idle());
    let lost = Fault::on("RotateSecret", FaultKind::ServerErrorAfter).times(1);
    account.simulator.inject(lost);
    let rotated = account
        .patient()
        .rotate_secret()
        .secret_id("app")
        .send()
        .await;
    let version = rotated.unwrap().version_id.unwrap();
    assert_eq!(account.simulator.calls()["RotateSecret"], 2);
    let labels = account.labels("app").await;
    assert!(labels.len() == 3 && labels.contains_key(&version));
}

/// LocalStack recording of 2023-05-12 and API reference: what every request needs.
#[tokio::test]
async fn a_request_without_its_secret_changes_nothing_and_is_a_400() {
    let account = Account::with(&idle());
    let before = account.described_body("app").await;
    for operation in [
        "DescribeSecret",
        "UpdateSecretVersionStage",
        "CancelRotateSecret",
        "DeleteSecret",
    ] {
        let answer = account.post(operation, &json!({})).await;
        assert_eq!(answer.status, 400, "{operation}");
        assert!(answer.body["__type"].is_string() && answer.body["Message"].is_string());
    }
    assert_eq!(account.described_body("app").await, before);
}

/// A request that hangs after it was applied: the client's patience ends, what was asked has happened. SDK source: the SDK
/// sets no overall timeout of its own.
#[tokio::test]
async fn a_request_can_be_applied_and_never_be_answered() {
    let account = Account::with(&stuck_empty("ok"));
    let hang = Fault::on("UpdateSecretVersionStage", FaultKind::HangAfter).times(1);
    account.simulator.inject(hang);
    let update = account.clear(PENDING);
    let answer = tokio::time::timeout(Duration::from_millis(300), update.send()).await;
    assert!(answer.is_err(), "it was answered");
    assert!(!account.labels("app").await.contains_key(PENDING));
}
