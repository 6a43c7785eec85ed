//! Each path under `/_simulator/`.

use std::thread;

use secret_rotation_simulator::{Fault, FaultKind, Options, Simulator};
use serde_json::{Value, json};

use crate::client::{ask, control, quiet, try_ask};

const APP: &str = "generate: [{count: 1, name: team/app, state: stuck-empty}]";

#[test]
fn the_clock_can_be_read_moved_and_changed_in_rate() {
    let aws = quiet("{}");
    let answer = control(&aws, "GET", "clock", "").json();
    assert_eq!(answer, json!({"now": "2026-11-23T10:00:00Z", "rate": 0.0}));
    let jumped = control(&aws, "POST", "clock", r#"{"jump": 3600}"#).json();
    assert_eq!(jumped["now"], "2026-11-23T11:00:00Z");
    control(&aws, "POST", "clock", r#"{"rate": 10}"#);
    assert_eq!(control(&aws, "GET", "clock", "").json()["rate"], 10.0);
}

#[test]
fn the_clock_refuses_invalid_changes() {
    let aws = quiet("{}");
    for wrong in [
        "",
        r#"{"jump": "1h"}"#,
        r#"{"speed": 2}"#,
        r#"{"rate": -1}"#,
        r#"{"jump": 1e300}"#,
        "{}",
    ] {
        assert_eq!(control(&aws, "POST", "clock", wrong).status, 400, "{wrong}");
    }
    assert_eq!(aws.now().to_string(), "2026-11-23T10:00:00Z");
}

#[test]
fn a_scenario_is_added_or_refused_with_a_reason() {
    let aws = quiet("{}");
    assert_eq!(control(&aws, "POST", "scenario", APP).status, 200);
    assert_eq!(aws.names(), ["team/app"]);
    let refused = control(&aws, "POST", "scenario", APP);
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("exists already"), "{}", refused.body);
}

#[test]
fn faults_are_added_listed_and_removed() {
    let aws = quiet("{}");
    let fault = r#"{"operation": "ListSecrets", "kind": "throttle", "count": 2}"#;
    assert_eq!(control(&aws, "POST", "faults", fault).status, 200);
    assert_eq!(
        ask(&aws, "ListSecrets", &json!({})).code(),
        "ThrottlingException"
    );
    let answer = control(&aws, "GET", "faults", "").json();
    assert_eq!(
        (&answer[0]["kind"], &answer[0]["count"]),
        (&json!("throttle"), &json!(1))
    );
    assert_eq!(control(&aws, "DELETE", "faults", "").status, 200);
    assert_eq!(control(&aws, "GET", "faults", "").json(), json!([]));
    assert_eq!(ask(&aws, "ListSecrets", &json!({})).code(), "OK");
}

#[test]
fn every_kind_of_fault_has_a_json_name() {
    let aws = quiet("{}");
    let code = json!({"code": {"code": "DecryptionFailure", "message": "no key"}});
    let names = "throttle serverError serverErrorAfter resetBefore resetAfter accessDenied hangBefore hangAfter truncate html";
    let kinds = names.split(' ').map(Value::from).chain([
        code,
        json!({"delay": 5}),
        json!({"date": "soon"}),
    ]);
    for kind in kinds {
        let fault = json!({"kind": kind}).to_string();
        assert_eq!(
            control(&aws, "POST", "faults", &fault).status,
            200,
            "{fault}"
        );
    }
    assert_eq!(
        control(&aws, "GET", "faults", "")
            .json()
            .as_array()
            .unwrap()
            .len(),
        13
    );
}

#[test]
fn an_invalid_fault_is_refused_with_the_valid_choices() {
    let aws = quiet("{}");
    let refused = control(&aws, "POST", "faults", r#"{"kind": "explode"}"#);
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("hangBefore"), "{}", refused.body);
    let often = r#"{"kind": "throttle", "probability": 30}"#;
    assert_eq!(control(&aws, "POST", "faults", often).status, 400);
}

#[test]
fn hanging_requests_are_listed_and_released() {
    let aws = quiet("{}");
    aws.inject(Fault::on("ListSecrets", FaultKind::HangBefore));
    let url = aws.url();
    let asking = thread::spawn(move || try_ask(&url, "ListSecrets", &json!({})).unwrap());
    while aws.hanging().is_empty() {
        thread::yield_now();
    }
    let answer = control(&aws, "GET", "hanging", "").json();
    assert_eq!(
        (&answer[0]["operation"], &answer[0]["applied"]),
        (&json!("ListSecrets"), &json!(false))
    );
    assert_eq!(control(&aws, "POST", "hanging", "").status, 200);
    assert_eq!(asking.join().unwrap().code(), "OK");
    assert_eq!(control(&aws, "GET", "hanging", "").json(), json!([]));
}

#[test]
fn the_truth_of_a_secret_is_shown_by_name_and_by_arn() {
    let aws = quiet(APP);
    let truth = json!(aws.inspect("team/app").unwrap());
    assert_eq!(control(&aws, "GET", "secrets/team/app", "").json(), truth);
    let by_arn = format!("secrets/{}", truth["arn"].as_str().unwrap());
    assert_eq!(control(&aws, "GET", &by_arn, "").json(), truth);
    assert_eq!(control(&aws, "GET", "secrets/none", "").status, 404);
    assert!(aws.inspect("none").is_none());
}

#[test]
fn the_trace_contains_requests_and_changes_but_no_values() {
    let aws = quiet(APP);
    let token = "33333333-3333-3333-3333-333333333333";
    let put = |field: &str, token: &str| {
        let parameters =
            json!({"SecretId": "team/app", "ClientRequestToken": token, field: "hunter2"});
        assert_eq!(ask(&aws, "PutSecretValue", &parameters).code(), "OK");
    };
    put("SecretString", token);
    put("SecretBinary", &token.replace('3', "4"));
    ask(&aws, "GetSecretValue", &json!({"SecretId": "team/app"}));
    let trace = control(&aws, "GET", "trace", "");
    assert!(trace.head.contains("application/jsonl"));
    assert!(
        !trace.body.contains("hunter2") && !trace.body.contains("value of"),
        "{}",
        trace.body
    );
    let lines: Vec<Value> = trace
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<_> = lines
        .iter()
        .map(|line| line["entry"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["request", "change", "request", "change", "request"]);
    assert_eq!(
        lines[0]["parameters"],
        json!({"SecretId": "team/app", "ClientRequestToken": token})
    );
    assert_eq!(lines[1]["cause"]["request"], lines[0]["request_id"]);
}

#[test]
fn the_trace_can_be_cleared() {
    let aws = quiet(APP);
    assert_eq!(control(&aws, "GET", "trace", "").body.trim(), "");
    ask(&aws, "ListSecrets", &json!({}));
    assert_eq!(control(&aws, "DELETE", "trace", "").status, 200);
    assert_eq!(control(&aws, "GET", "trace", "").body.trim(), "");
    assert_eq!(control(&aws, "GET", "calls", "").json(), json!({}));
}

#[test]
fn calls_are_counted_by_operation_without_control_requests() {
    let aws = quiet(APP);
    for operation in ["ListSecrets", "ListSecrets", "Nonsense"] {
        ask(&aws, operation, &json!({}));
    }
    assert_eq!(
        control(&aws, "GET", "calls", "").json(),
        json!({"ListSecrets": 2, "Nonsense": 1})
    );
}

#[test]
fn reads_do_not_count_as_writes() {
    let aws = quiet(APP);
    for operation in ["DescribeSecret", "ListSecretVersionIds", "RestoreSecret"] {
        ask(&aws, operation, &json!({"SecretId": "team/app"}));
    }
    let writes: Vec<_> = aws
        .writes()
        .into_iter()
        .map(|write| write.operation)
        .collect();
    assert_eq!(writes, ["RestoreSecret"]);
}

#[test]
fn the_simulator_listens_only_on_loopback() {
    let listen = ([0, 0, 0, 0], 0).into();
    let options = Options {
        listen,
        ..Options::default()
    };
    let refused = Simulator::start(options).unwrap_err().to_string();
    assert!(refused.contains("not a loopback address"), "{refused}");
}
