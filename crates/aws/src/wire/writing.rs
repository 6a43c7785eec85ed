//! Writes: their exact content, and that each is sent once.

use secret_rotation_core::advance::Request;
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::names::{StageLabel, VersionId};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{CURRENT, DATE, Fake, PENDING, Reply, Sent, arn, date};
use crate::{Applied, Operation};

fn version() -> VersionId {
    VersionId::parse(PENDING).expect("a version")
}

fn rotate() -> Request {
    Request::Rotate { token: version() }
}

fn clear() -> Request {
    Request::Detach {
        label: StageLabel::pending(),
        version: version(),
    }
}

async fn sent_for(request: Request) -> Sent {
    let fake = Fake::new(|_, _| Reply::ok(&json!({})));
    let applied = fake.send(&request).await;
    let expected = Applied {
        at: date(),
        request_id: Some("request-1".to_owned()),
    };
    assert_eq!(applied, Ok(expected));
    let sent: [Sent; 1] = fake.sent().try_into().expect("one request");
    let [sent] = sent;
    sent
}

fn stage(fields: &Value) -> Sent {
    let mut body = json!({"SecretId": arn("a").as_str()});
    let target = body.as_object_mut().expect("an object");
    target.extend(fields.as_object().expect("an object").clone());
    Sent::new("UpdateSecretVersionStage", body)
}

#[tokio::test(start_paused = true)]
async fn a_rotation_carries_secret_and_token_and_nothing_else() {
    let expected = Sent::new(
        "RotateSecret",
        json!({"SecretId": arn("a").as_str(), "ClientRequestToken": PENDING}),
    );
    assert_eq!(sent_for(rotate()).await, expected);
}

#[tokio::test(start_paused = true)]
async fn removing_a_label_names_the_version_that_holds_it() {
    let expected = stage(&json!({"VersionStage": "AWSPENDING", "RemoveFromVersionId": PENDING}));
    assert_eq!(sent_for(clear()).await, expected);
}

#[tokio::test(start_paused = true)]
async fn attaching_a_label_names_only_the_new_version() {
    let request = Request::Attach {
        label: StageLabel::parse("srp-pin").expect("a label"),
        version: version(),
    };
    let expected = stage(&json!({"VersionStage": "srp-pin", "MoveToVersionId": PENDING}));
    assert_eq!(sent_for(request).await, expected);
}

#[tokio::test(start_paused = true)]
async fn moving_a_label_names_both_versions() {
    let request = Request::Move {
        label: StageLabel::current(),
        from: VersionId::parse(CURRENT).expect("a version"),
        to: version(),
    };
    let expected = stage(&json!({
        "VersionStage": "AWSCURRENT", "RemoveFromVersionId": CURRENT, "MoveToVersionId": PENDING,
    }));
    assert_eq!(sent_for(request).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_restore_names_the_secret_and_nothing_else() {
    let expected = Sent::new("RestoreSecret", json!({"SecretId": arn("a").as_str()}));
    assert_eq!(sent_for(Request::RestoreSecret).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_never_sent_twice() {
    let failures = [
        Reply::raw(503, ""),
        Reply::error("ThrottlingException", "Rate exceeded"),
        Reply::error("LimitExceededException", "labels"),
        Reply::error("InternalServiceError", ""),
        Reply::error("ExpiredTokenException", ""),
        Reply::error("RequestTimeTooSkewed", ""),
        Reply::raw(200, "<html>"),
        Reply::NoConnection,
        Reply::Silence,
    ];
    for failure in failures {
        for request in [rotate(), clear(), Request::RestoreSecret] {
            let reply = failure.clone();
            let fake = Fake::new(move |_, _| reply.clone());
            assert!(fake.send(&request).await.is_err());
            assert_eq!(fake.sent().len(), 1, "{failure:?}");
            assert_eq!(fake.calls().first().map(|call| call.retries), Some(0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_gives_up_after_ten_seconds() {
    let fake = Fake::new(|_, _| Reply::Silence);
    let begun = Instant::now();
    let rejected = fake.send(&clear()).await;
    assert_eq!(begun.elapsed().as_secs(), 10);
    let rejected = rejected.expect_err("no answer");
    assert_eq!(
        (rejected.error.class, rejected.at),
        (ErrorClass::Unreachable, None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_reports_its_time_and_request_id() {
    let fake = Fake::new(|_, _| Reply::error("InvalidParameterException", "mismatch"));
    let rejected = fake.send(&clear()).await;
    let rejected = rejected.expect_err("refused");
    assert_eq!(rejected.at, Some(date()));
    let text = "the labels are not as expected (InvalidParameterException), request request-1";
    assert_eq!(rejected.to_string(), text);
    let [call] = fake.calls().try_into().expect("one call");
    assert_eq!(call.operation, Operation::UpdateSecretVersionStage);
    assert_eq!(call.class, Some(ErrorClass::Mismatch));
}

#[tokio::test(start_paused = true)]
async fn a_write_without_a_date_may_have_been_applied() {
    for text in [None, Some("soon"), Some("Thu, 01 Jan 1970 00:00:00 GMT")] {
        let fake = Fake::new(move |_, _| Reply::ok(&json!({})).dated(text));
        let rejected = fake.send(&rotate()).await;
        let rejected = rejected.expect_err("no time");
        assert_eq!(rejected.error.class, ErrorClass::Malformed);
        assert!(rejected.error.class.may_have_applied());
    }
}

#[tokio::test(start_paused = true)]
async fn writes_follow_the_rate_after_a_burst_of_ten() {
    let fake = Fake::new(|_, _| Reply::ok(&json!({})).dated(Some(DATE)));
    let begun = Instant::now();
    for _ in 0..20 {
        assert!(fake.send(&clear()).await.is_ok());
    }
    assert_eq!(begun.elapsed().as_secs(), 2);
}
