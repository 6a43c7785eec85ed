//! The kinds of faults and the requests that they strike.

use std::thread;

use secret_rotation_simulator::{Fault, FaultKind, Simulator};
use serde_json::json;

use crate::client::{Reply, ask, quiet, try_ask};

const STUCK: &str = "generate: [{count: 1, name: app, state: stuck-empty}]";

fn tag(aws: &Simulator) -> Reply {
    let parameters = json!({"SecretId": "app", "Tags": [{"Key": "team", "Value": "payments"}]});
    ask(aws, "TagResource", &parameters)
}

fn describe(aws: &Simulator, secret: &str) -> String {
    ask(aws, "DescribeSecret", &json!({"SecretId": secret})).code()
}

fn tagged(aws: &Simulator) -> bool {
    aws.clear_faults();
    let answer = ask(aws, "DescribeSecret", &json!({"SecretId": "app"}));
    answer.json().get("Tags").is_some()
}

fn struck(kind: FaultKind) -> Simulator {
    let aws = quiet(STUCK);
    aws.inject(Fault::on("TagResource", kind));
    aws
}

#[test]
fn a_throttled_request_is_refused_and_not_applied() {
    let aws = struck(FaultKind::Throttle);
    let reply = tag(&aws);
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (400, "ThrottlingException")
    );
    assert!(!tagged(&aws));
}

#[test]
fn a_server_error_is_not_applied() {
    let aws = struck(FaultKind::ServerError);
    let reply = tag(&aws);
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (500, "InternalServiceError")
    );
    assert!(!tagged(&aws));
}

#[test]
fn a_server_error_after_is_applied() {
    let aws = struck(FaultKind::ServerErrorAfter);
    assert_eq!(tag(&aws).status, 500);
    assert!(tagged(&aws));
}

#[test]
fn a_denial_names_the_action() {
    let aws = struck(FaultKind::AccessDenied);
    let reply = tag(&aws);
    assert_eq!(reply.code(), "AccessDeniedException");
    assert!(
        reply.body.contains("secretsmanager:TagResource"),
        "{}",
        reply.body
    );
    assert!(!tagged(&aws));
}

#[test]
fn any_code_can_be_answered() {
    let (code, message) = ("DecryptionFailure".to_owned(), "no key".to_owned());
    let aws = struck(FaultKind::Code { code, message });
    assert_eq!(
        tag(&aws).json(),
        json!({"__type": "DecryptionFailure", "Message": "no key"})
    );
    assert!(!tagged(&aws));
}

#[test]
fn a_delayed_request_is_applied_after_the_delay() {
    let aws = struck(FaultKind::Delay(1));
    assert_eq!(tag(&aws).code(), "OK");
    assert!(tagged(&aws));
}

#[test]
fn a_truncated_answer_is_half_of_it_after_the_effect() {
    let aws = struck(FaultKind::Truncate);
    let whole = ask(&aws, "DescribeSecret", &json!({"SecretId": "app"})).body;
    assert_eq!(tag(&aws).status, 200);
    assert!(tagged(&aws));
    aws.inject(Fault::on("ListSecretVersionIds", FaultKind::Truncate));
    let half = ask(&aws, "ListSecretVersionIds", &json!({"SecretId": "app"})).body;
    assert!(!half.is_empty() && half.len() < whole.len());
    assert!(serde_json::from_str::<serde_json::Value>(&half).is_err());
}

#[test]
fn an_answer_can_have_any_date_after_the_effect() {
    for date in ["Fri, 31 Dec 9999 23:59:59 GMT", ""] {
        let aws = struck(FaultKind::Date(date.to_owned()));
        let reply = tag(&aws);
        let dates: Vec<_> = reply
            .head
            .lines()
            .filter_map(|line| line.strip_prefix("date:"))
            .map(str::trim)
            .collect();
        let expected = date.to_lowercase();
        assert_eq!(
            (reply.code().as_str(), dates),
            ("OK", vec![expected.as_str()])
        );
        assert!(tagged(&aws));
    }
}

#[test]
fn an_html_answer_has_status_200_and_no_effect() {
    let aws = struck(FaultKind::Html);
    let reply = tag(&aws);
    assert_eq!(reply.status, 200);
    assert!(
        reply.head.contains("content-type: text/html"),
        "{}",
        reply.head
    );
    assert!(reply.body.starts_with("<html>"));
    assert!(!tagged(&aws));
}

#[test]
fn a_reset_before_loses_the_request() {
    let aws = struck(FaultKind::ResetBefore);
    let broken = try_ask(&aws.url(), "TagResource", &tags()).unwrap_err();
    assert_eq!(broken.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(aws.writes()[0].code, None);
    assert!(!tagged(&aws));
}

#[test]
fn a_reset_after_loses_only_the_answer() {
    let aws = struck(FaultKind::ResetAfter);
    let broken = try_ask(&aws.url(), "TagResource", &tags()).unwrap_err();
    assert_eq!(broken.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(aws.writes()[0].code.as_deref(), Some("OK"));
    assert!(tagged(&aws));
}

#[test]
fn a_hang_before_is_applied_when_it_is_released() {
    let (aws, asking) = hanging(FaultKind::HangBefore);
    assert!(!aws.hanging()[0].applied);
    assert_eq!(aws.writes()[0].code, None);
    aws.release();
    assert_eq!(asking.join().unwrap().code(), "OK");
    assert!(aws.hanging().is_empty());
    assert!(tagged(&aws));
}

#[test]
fn a_hang_after_has_been_applied_already() {
    let (aws, asking) = hanging(FaultKind::HangAfter);
    assert!(aws.hanging()[0].applied);
    assert!(tagged(&aws));
    aws.release();
    assert_eq!(asking.join().unwrap().code(), "OK");
}

#[test]
fn a_fault_strikes_count_times_after_skip_requests() {
    let aws = quiet(STUCK);
    aws.inject(
        Fault::on("DescribeSecret", FaultKind::Throttle)
            .after(1)
            .times(2),
    );
    let codes: Vec<_> = (0..4).map(|_| describe(&aws, "app")).collect();
    assert_eq!(
        codes,
        ["OK", "ThrottlingException", "ThrottlingException", "OK"]
    );
}

#[test]
fn a_fault_strikes_only_its_operation() {
    let aws = quiet(STUCK);
    aws.inject(Fault::on("RotateSecret", FaultKind::Throttle));
    assert_eq!(describe(&aws, "app"), "OK");
}

#[test]
fn a_fault_strikes_only_requests_that_contain_its_text() {
    let aws = quiet(STUCK);
    aws.inject(Fault::on("TagResource", FaultKind::Throttle).containing("payments"));
    let other = json!({"SecretId": "app", "Tags": [{"Key": "team", "Value": "search"}]});
    assert_eq!(ask(&aws, "TagResource", &other).code(), "OK");
    assert_eq!(tag(&aws).code(), "ThrottlingException");
}

#[test]
fn a_fault_strikes_only_its_region() {
    let aws = quiet(STUCK);
    aws.inject(Fault::on("DescribeSecret", FaultKind::Throttle).within("us-east-1"));
    assert_eq!(describe(&aws, "app"), "OK");
    aws.inject(Fault::on("DescribeSecret", FaultKind::Throttle).within("eu-west-1"));
    assert_eq!(describe(&aws, "app"), "ThrottlingException");
}

#[test]
fn a_fault_on_a_secret_strikes_its_name_and_arn_but_no_longer_name() {
    let aws = quiet(
        "generate: [{count: 1, name: app, state: healthy}, {count: 1, name: app-1, state: healthy}]",
    );
    let secret = Some("app".to_owned());
    aws.inject(Fault {
        secret,
        ..Fault::on("DescribeSecret", FaultKind::Throttle)
    });
    let (own, other) = (
        aws.inspect("app").unwrap().arn,
        aws.inspect("app-1").unwrap().arn,
    );
    let codes = ["app", &own, "app-1", &other].map(|id| describe(&aws, id));
    assert_eq!(
        codes,
        ["ThrottlingException", "ThrottlingException", "OK", "OK"]
    );
}

#[test]
fn a_fault_on_an_arn_strikes_requests_by_name() {
    let aws = quiet(STUCK);
    let secret = Some(aws.inspect("app").unwrap().arn);
    aws.inject(Fault {
        secret,
        ..Fault::on("DescribeSecret", FaultKind::Throttle)
    });
    assert_eq!(describe(&aws, "app"), "ThrottlingException");
}

#[test]
fn while_a_fault_skips_requests_the_next_fault_can_strike() {
    let aws = quiet(STUCK);
    aws.inject(Fault::on("DescribeSecret", FaultKind::AccessDenied).after(1));
    aws.inject(Fault::on("DescribeSecret", FaultKind::Throttle));
    let codes = [(); 2].map(|()| describe(&aws, "app"));
    assert_eq!(codes, ["ThrottlingException", "AccessDeniedException"]);
}

#[test]
fn a_fault_with_a_probability_strikes_at_its_rate_and_reproducibly() {
    let strikes = || {
        let aws = quiet(STUCK);
        let fault = Fault::on("DescribeSecret", FaultKind::Throttle);
        aws.inject(Fault {
            probability: 0.5,
            ..fault
        });
        (0..40)
            .map(|_| describe(&aws, "app") != "OK")
            .collect::<Vec<_>>()
    };
    let first = strikes();
    let count = first.iter().filter(|struck| **struck).count();
    assert!((10..=30).contains(&count), "{count} of 40");
    assert_eq!(first, strikes());
}

fn tags() -> serde_json::Value {
    json!({"SecretId": "app", "Tags": [{"Key": "team", "Value": "payments"}]})
}

/// Starts a simulator with one hanging request.
fn hanging(kind: FaultKind) -> (Simulator, thread::JoinHandle<Reply>) {
    let aws = struck(kind);
    let url = aws.url();
    let asking = thread::spawn(move || try_ask(&url, "TagResource", &tags()).unwrap());
    while aws.hanging().is_empty() {
        thread::yield_now();
    }
    (aws, asking)
}
