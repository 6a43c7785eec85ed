//! Looks and the classification of failures.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use secret_rotation_core::advance::Request;
use secret_rotation_core::aws_error::{AwsError, ErrorClass};
use secret_rotation_core::names::VersionId;
use secret_rotation_core::secret::{Look, Seen, VersionListing};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{CURRENT, Fake, PENDING, Reply, Sent, arn, date, secret, stuck};

fn description(name: &str) -> Value {
    secret(name, "VersionIdsToStages", &stuck())
}

async fn look_at(reply: Reply) -> Result<Look, AwsError> {
    let fake = Fake::new(move |_, _| reply.clone());
    let look = fake.account.look(arn("a").as_str(), false).await;
    assert_eq!(fake.sent().len(), 1);
    look
}

async fn class_of_look(reply: Reply) -> ErrorClass {
    look_at(reply).await.expect_err("a failure").class
}

async fn class_of_rotate(reply: Reply) -> ErrorClass {
    let fake = Fake::new(move |_, _| reply.clone());
    let token = VersionId::parse(PENDING).expect("a version");
    let request = Request::Rotate { token };
    let applied = fake.send(&request).await;
    applied.expect_err("a failure").error.class
}

#[tokio::test(start_paused = true)]
async fn every_failure_has_its_class() {
    let cases = [
        ("InvalidParameterException", "", ErrorClass::Mismatch),
        (
            "AccessDeniedException",
            "not authorized",
            ErrorClass::Denied,
        ),
        (
            "ThrottlingException",
            "Rate exceeded",
            ErrorClass::Throttled,
        ),
        ("LimitExceededException", "", ErrorClass::Throttled),
        ("InternalServiceError", "", ErrorClass::Unreachable),
        ("ExpiredTokenException", "", ErrorClass::Credentials),
        ("UnrecognizedClientException", "", ErrorClass::Credentials),
        ("InvalidSignatureException", "", ErrorClass::Credentials),
        ("InvalidNextTokenException", "", ErrorClass::Unexpected),
        ("SomethingNew", "", ErrorClass::Unexpected),
        (
            "InvalidRequestException",
            "A previous rotation isn't complete.",
            ErrorClass::RotationPending,
        ),
        (
            "InvalidRequestException",
            "it was marked for deletion",
            ErrorClass::Refused,
        ),
        (
            "InvalidRequestException",
            "No Lambda rotation function",
            ErrorClass::Refused,
        ),
    ];
    for (code, message, class) in cases {
        let reply = Reply::error(code, message);
        assert_eq!(class_of_look(reply.clone()).await, class, "{code}");
        assert_eq!(class_of_rotate(reply).await, class, "{code}");
    }
    let gone = Reply::error("ResourceNotFoundException", "");
    assert_eq!(class_of_rotate(gone).await, ErrorClass::Gone);
}

#[tokio::test(start_paused = true)]
async fn failures_without_a_code_are_classified_by_what_arrived() {
    let cases = [
        (Reply::raw(500, "<html>"), ErrorClass::Unreachable),
        (Reply::raw(503, ""), ErrorClass::Unreachable),
        (Reply::raw(429, ""), ErrorClass::Throttled),
        (Reply::raw(403, "<html>"), ErrorClass::Unexpected),
        (Reply::raw(200, "<html>"), ErrorClass::Malformed),
        (Reply::raw(200, "{\"ARN\": \"arn:"), ErrorClass::Malformed),
        (Reply::NoConnection, ErrorClass::Unreachable),
        (Reply::Silence, ErrorClass::Unreachable),
    ];
    for (reply, class) in cases {
        assert_eq!(class_of_look(reply.clone()).await, class, "{reply:?}");
        assert_eq!(class_of_rotate(reply.clone()).await, class, "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_implausible_answer_is_an_error() {
    let mut late = description("a");
    late["LastChangedDate"] = json!(1e15);
    let huge = json!({"Name": "x".repeat(9 * 1024 * 1024)});
    let answers = [json!({}), description("b"), late, huge];
    for answer in answers {
        assert_eq!(
            class_of_look(Reply::ok(&answer)).await,
            ErrorClass::Malformed
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_external_code_is_cut_and_no_message_is_kept() {
    let code = format!("{}\u{7}", "x".repeat(500));
    let error = look_at(Reply::error(&code, "password=1")).await;
    let error = error.expect_err("a failure");
    assert_eq!(error.code.as_deref().map(str::len), Some(64));
    assert!(!format!("{error} {error:?}").contains("password"));
}

#[tokio::test(start_paused = true)]
async fn the_connectivity_check_lists_one_secret() {
    let fake = Fake::new(|_, _| Reply::ok(&json!({"SecretList": []})));
    assert_eq!(fake.account.reach().await, Ok(()));
    let expected = Sent::new("ListSecrets", json!({"MaxResults": 1}));
    assert_eq!(fake.sent(), [expected]);
    let denied = Fake::new(|_, _| Reply::error("AccessDeniedException", "no"));
    let error = denied.account.reach().await.expect_err("it is denied");
    assert_eq!(error.class, ErrorClass::Denied);
}

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let none: Result<Credentials, _> = Err(CredentialsError::not_loaded("none"));
        future::ProvideCredentials::ready(none)
    }
}

#[tokio::test(start_paused = true)]
async fn without_credentials_nothing_is_sent() {
    let script = Arc::new(|_: &_, _| Reply::NoConnection);
    let fake = Fake::with(script, SharedCredentialsProvider::new(NoCredentials));
    let error = fake
        .account
        .look("a", false)
        .await
        .expect_err("no credentials");
    assert_eq!(error.class, ErrorClass::Credentials);
    assert_eq!(fake.sent(), []);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_does_not_exist_is_an_answer() {
    let look = look_at(Reply::error("ResourceNotFoundException", "")).await;
    let expected = Look {
        at: date(),
        secret: Seen::Absent,
        versions: None,
    };
    assert_eq!(look, Ok(expected));
}

#[tokio::test(start_paused = true)]
async fn a_look_gives_up_after_three_seconds() {
    let begun = Instant::now();
    assert_eq!(class_of_look(Reply::Silence).await, ErrorClass::Unreachable);
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_look_reads_every_page_of_versions() {
    let fake = Fake::new(|sent, _| match sent.body.get("NextToken") {
        _ if sent.operation == "DescribeSecret" => Reply::ok(&description("a")),
        None => Reply::ok(&json!({"Versions": [], "NextToken": "2"})),
        Some(_) => Reply::ok(&json!({"Versions": [{"VersionId": CURRENT}], "NextToken": ""})),
    });
    let look = fake.account.look("a", true).await.expect("a look");
    let version = VersionId::parse(CURRENT).expect("a version");
    let created = [(version, None)].into();
    assert_eq!(look.versions, Some(VersionListing { created }));
    let page = json!({"SecretId": arn("a").as_str(), "IncludeDeprecated": true, "MaxResults": 100});
    assert_eq!(fake.sent().get(1).map(|sent| &sent.body), Some(&page));
    assert_eq!(fake.sent().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_back_ends_the_list_of_versions() {
    let fake = Fake::new(|sent, _| match sent.operation.as_str() {
        "DescribeSecret" => Reply::ok(&description("a")),
        _ => Reply::ok(&json!({"NextToken": "again"})),
    });
    let error = fake.account.look("a", true).await.expect_err("no end");
    assert_eq!(error.class, ErrorClass::Malformed);
    assert_eq!(fake.count("ListSecretVersionIds"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_aws_moves_on_between_answers() {
    let fake = Fake::without_time(|_, _| Reply::ok(&description("a")));
    assert_eq!(fake.account.now(), None);
    assert!(fake.account.look("a", false).await.is_ok());
    tokio::time::advance(Duration::from_secs(90)).await;
    let expected = date().plus(Duration::from_secs(90));
    assert_eq!(fake.account.now(), Some(expected));
}
