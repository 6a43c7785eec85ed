//! Queues and their events.

use serde_json::{Value, json};

use crate::client::{ask, quiet};

const URL: &str = "https://sqs.eu-west-1.amazonaws.com/111122223333/events";

const SCENARIO: &str = "
queues: [{name: events}, {name: elsewhere, region: us-east-1}]
functions: {breaks: {fail: setSecret}}
generate:
- {count: 1, name: 'good-{n}', state: healthy, function: ok-good}
- {count: 1, name: 'bad-{n}', state: healthy, function: breaks}
";

fn receive(aws: &secret_rotation_simulator::Simulator, parameters: &Value) -> Vec<Value> {
    let mut whole = json!({"QueueUrl": URL, "MaxNumberOfMessages": 10});
    for (key, value) in parameters.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let answer = ask(aws, "AmazonSQS.ReceiveMessage", &whole).json();
    answer["Messages"].as_array().cloned().unwrap_or_default()
}

fn events(messages: &[Value]) -> Vec<(String, String)> {
    let event = |message: &Value| {
        let event: Value = serde_json::from_str(message["Body"].as_str().unwrap()).unwrap();
        assert_eq!(event["source"], "aws.secretsmanager");
        let detail = &event["detail"];
        let what = detail["eventName"]
            .as_str()
            .or(detail["labelUpdated"].as_str());
        let secret = detail["additionalEventData"]["SecretId"]
            .as_str()
            .or(event["resources"][0].as_str());
        let name = secret.unwrap().rsplit(':').next().unwrap();
        (what.unwrap().to_owned(), name[..name.len() - 7].to_owned())
    };
    messages.iter().map(event).collect()
}

fn rotate(aws: &secret_rotation_simulator::Simulator, secret: &str) {
    let token = format!("{secret}-0123456789012345678901234567890");
    let parameters = json!({"SecretId": secret, "ClientRequestToken": token});
    let answer = ask(aws, "RotateSecret", &parameters);
    assert_eq!(answer.code(), "OK");
}

#[test]
fn a_rotation_sends_events_for_its_start_its_label_and_its_end() {
    let aws = quiet(SCENARIO);
    rotate(&aws, "good-1");
    aws.jump(60.0);
    let expected = [("RotationStarted"), ("AWSCURRENT"), ("RotationSucceeded")]
        .map(|what| (what.to_owned(), "good-1".to_owned()));
    assert_eq!(events(&receive(&aws, &json!({}))), expected);
}

#[test]
fn a_failed_rotation_sends_an_event() {
    let aws = quiet(SCENARIO);
    rotate(&aws, "bad-1");
    aws.jump(60.0);
    let expected =
        ["RotationStarted", "RotationFailed"].map(|what| (what.to_owned(), "bad-1".to_owned()));
    assert_eq!(events(&receive(&aws, &json!({}))), expected);
}

#[test]
fn events_go_to_the_queues_of_their_region() {
    let aws = quiet(SCENARIO);
    rotate(&aws, "good-1");
    let elsewhere = "https://sqs.us-east-1.amazonaws.com/111122223333/elsewhere";
    let asked = ask(
        &aws,
        "AmazonSQS.ReceiveMessage",
        &json!({"QueueUrl": elsewhere}),
    );
    assert_eq!(
        asked.code(),
        "QueueDoesNotExist",
        "a queue is found in its own region only"
    );
}

#[test]
fn a_received_message_comes_back_unless_it_is_deleted() {
    let aws = quiet(SCENARIO);
    for body in ["one", "two"] {
        let sent = ask(
            &aws,
            "AmazonSQS.SendMessage",
            &json!({"QueueUrl": URL, "MessageBody": body}),
        );
        assert_eq!(sent.code(), "OK");
    }
    let bodies = |messages: &[Value]| {
        messages
            .iter()
            .map(|message| message["Body"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = receive(&aws, &json!({}));
    assert_eq!(bodies(&first), ["one", "two"]);
    assert_eq!(first[0]["MD5OfBody"], "f97c5d29941bfb1b2fdab0874906ab82");
    assert!(receive(&aws, &json!({})).is_empty(), "they are hidden");
    let entries = json!([{"Id": "0", "ReceiptHandle": first[0]["ReceiptHandle"]}, {"Id": "1", "ReceiptHandle": "nonsense"}]);
    let deleted = ask(
        &aws,
        "AmazonSQS.DeleteMessageBatch",
        &json!({"QueueUrl": URL, "Entries": entries}),
    )
    .json();
    assert_eq!(
        (
            &deleted["Successful"][0]["Id"],
            &deleted["Failed"][0]["Code"]
        ),
        (&json!("0"), &json!("ReceiptHandleIsInvalid"))
    );
    aws.jump(31.0);
    assert_eq!(bodies(&receive(&aws, &json!({}))), ["two"]);
}

#[test]
fn a_service_has_only_its_own_operations() {
    let aws = quiet(SCENARIO);
    for target in ["ReceiveMessage", "AmazonSQS.RotateSecret"] {
        let answer = ask(
            &aws,
            target,
            &json!({"QueueUrl": URL, "SecretId": "good-1"}),
        );
        assert_eq!(answer.code(), "UnknownOperationException", "{target}");
    }
}

#[test]
fn a_request_waits_for_its_messages() {
    let aws = quiet(SCENARIO);
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| receive(&aws, &json!({"WaitTimeSeconds": 20})));
        while !aws.calls().contains_key("ReceiveMessage") {
            std::thread::yield_now();
        }
        rotate(&aws, "good-1");
        waiting.join().unwrap()
    });
    assert_eq!(events(&waiting)[0].0, "RotationStarted");
}
