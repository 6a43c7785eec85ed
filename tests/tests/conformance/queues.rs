//! Queues of the simulator through an unmodified AWS CLI, and the shapes of what arrives in them.

use secret_rotation_simulator::{Options, Simulator};
use secret_rotation_tests::aws_cli::{AwsCli, Printed};
use serde_json::{Value, json};

const URL: &str = "https://sqs.eu-west-1.amazonaws.com/111122223333/events";

fn simulator() -> Simulator {
    let simulator = Simulator::start(Options::default()).unwrap();
    let scenario =
        "queues: [{name: events}]\ngenerate: [{count: 1, name: 'db-{n}', state: healthy}]";
    simulator.add(scenario).unwrap();
    simulator
}

fn output(aws: &AwsCli, command: &str) -> Value {
    match aws.shell(command).unwrap() {
        Printed::Output(output) => output,
        Printed::Complaint(complaint) => panic!("{command}: {complaint}"),
    }
}

/// SQS API reference, SendMessage, ReceiveMessage, DeleteMessage: what was deleted by its receipt does not come back; an
/// empty answer has no key `Messages`, which the CLI prints as nothing.
#[test]
fn the_cli_sends_receives_and_deletes() {
    let simulator = simulator();
    let aws = match AwsCli::locate(&simulator.url()) {
        Ok(aws) => aws,
        Err(why) => {
            println!("SKIPPED: {why:#}");
            return;
        }
    };
    output(
        &aws,
        &format!(
            "aws --endpoint-url $AWS_ENDPOINT_URL sqs send-message --queue-url {URL} --message-body hello"
        ),
    );
    let received = output(
        &aws,
        &format!("aws --endpoint-url $AWS_ENDPOINT_URL sqs receive-message --queue-url {URL}"),
    );
    let message = &received["Messages"][0];
    assert_eq!(message["Body"], "hello");
    let receipt = message["ReceiptHandle"].as_str().unwrap();
    output(
        &aws,
        &format!(
            "aws --endpoint-url $AWS_ENDPOINT_URL sqs delete-message --queue-url {URL} --receipt-handle {receipt}"
        ),
    );
    simulator.jump(60.0);
    assert_eq!(
        output(
            &aws,
            &format!("aws --endpoint-url $AWS_ENDPOINT_URL sqs receive-message --queue-url {URL}")
        ),
        Value::Null
    );
    let missing = aws
        .shell(&format!(
            "aws --endpoint-url $AWS_ENDPOINT_URL sqs receive-message --queue-url {URL}-other"
        ))
        .unwrap();
    let Printed::Complaint(complaint) = missing else {
        panic!("a queue that is not there was read")
    };
    assert!(complaint.contains("QueueDoesNotExist"), "{complaint}");
}

/// User Guide, "Secret event notifications": a label that moves to a version makes an event, AWSPENDING and AWSPREVIOUS make
/// none. User Guide, cloudtrail_log_entries, and events captured from AWS: a rotation's end has the secret's ARN in
/// `additionalEventData` and its token at the end of `requestID`.
#[test]
fn what_arrives_has_the_shape_that_aws_documents() {
    let simulator = simulator();
    let truth = simulator.inspect("db-1").unwrap();
    simulator.jump(400.0 * 86400.0);
    let arn = "arn:aws:sqs:eu-west-1:111122223333:events";
    let events = simulator.events(arn);
    let labels: Vec<_> = events
        .iter()
        .filter(|event| event["detail-type"] == "Secret Label Updated")
        .collect();
    assert!(!labels.is_empty(), "a healthy secret has been rotated");
    for event in labels {
        assert_eq!(event["detail"]["name"], "db-1");
        assert_eq!(event["detail"]["labelUpdated"], "AWSCURRENT");
        assert_eq!(event["resources"], json!([truth.arn]));
    }
    let ended = events
        .iter()
        .find(|event| event["detail"]["eventName"] == "RotationSucceeded")
        .expect("a rotation has ended");
    assert_eq!(ended["detail-type"], "AWS Service Event via CloudTrail");
    assert_eq!(
        ended["detail"]["additionalEventData"]["SecretId"],
        *truth.arn
    );
    let request = ended["detail"]["requestID"].as_str().unwrap();
    assert!(
        request.starts_with(&format!("Rotation-{}-", truth.arn)),
        "{request}"
    );
}
