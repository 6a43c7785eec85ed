//! Requests to SQS.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::names::QueueArn;
use serde_json::{Value, json};

use super::{Call, Reply, Sent, Wire, arn, observer};
use crate::{EventQueue, Operation};

const QUEUE: &str = "arn:aws:sqs:eu-west-1:111122223333:secret-rotation";
const URL: &str = "https://sqs.eu-west-1.amazonaws.com/111122223333/secret-rotation";

type Log<T> = Arc<Mutex<Vec<T>>>;

fn queue(
    script: impl Fn(&Sent, usize) -> Reply + Send + Sync + 'static,
) -> (EventQueue, Log<Sent>, Log<Call>) {
    let (sent, calls) = (Log::<Sent>::default(), Log::<Call>::default());
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(Wire::client(Arc::new(script), &sent))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "AKIDEXAMPLE",
            "key",
            None,
            None,
            "test",
        )))
        .build();
    let arn = QueueArn::parse(QUEUE).expect("an ARN");
    (
        EventQueue::with_config(&config, arn, observer(&calls)),
        sent,
        calls,
    )
}

fn message(number: u8, body: &Value) -> Value {
    json!({"MessageId": number.to_string(), "ReceiptHandle": format!("receipt-{number}"), "Body": body.to_string()})
}

fn event(secret: &str) -> Value {
    json!({"source": "aws.secretsmanager", "resources": [arn(secret).as_str()]})
}

#[tokio::test(start_paused = true)]
async fn a_batch_names_each_secret_once_and_every_message_is_deleted() {
    let messages = json!({"Messages": [
        message(0, &event("a")), message(1, &event("a")), message(2, &json!("hello")), message(3, &event("b")),
    ]});
    let (queue, sent, calls) = queue(move |sent, _| match sent.operation.as_str() {
        "ReceiveMessage" => Reply::ok(&messages),
        _ => Reply::ok(&json!({"Successful": [], "Failed": []})),
    });
    let batch = queue.receive().await.expect("a batch");
    assert_eq!(batch.secrets, [arn("a"), arn("b")].into());
    queue.forget(&batch).await.expect("forgotten");
    let entries: Vec<_> = (0..4)
        .map(|n| json!({"Id": n.to_string(), "ReceiptHandle": format!("receipt-{n}")}))
        .collect();
    let expected = [
        Sent::new(
            "ReceiveMessage",
            json!({"QueueUrl": URL, "WaitTimeSeconds": 20, "MaxNumberOfMessages": 10}),
        ),
        Sent::new(
            "DeleteMessageBatch",
            json!({"QueueUrl": URL, "Entries": entries}),
        ),
    ];
    assert_eq!(*sent.lock().expect("the log"), expected);
    let calls: Vec<_> = calls
        .lock()
        .expect("the calls")
        .iter()
        .map(|call| (call.operation, call.class, call.retries))
        .collect();
    assert_eq!(
        calls,
        [
            (Operation::ReceiveMessage, None, 0),
            (Operation::DeleteMessageBatch, None, 0)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_needs_no_second_request() {
    let (queue, sent, _) = queue(|_, _| Reply::ok(&json!({})));
    let batch = queue.receive().await.expect("a batch");
    assert!(batch.is_empty() && batch.secrets.is_empty());
    queue.forget(&batch).await.expect("nothing to do");
    assert_eq!(sent.lock().expect("the log").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn failed_calls_are_classified_and_not_sent_again() {
    for (code, class) in [
        ("AccessDenied", ErrorClass::Denied),
        ("com.amazonaws.sqs#QueueDoesNotExist", ErrorClass::Gone),
        ("OverLimit", ErrorClass::Throttled),
        ("ExpiredToken", ErrorClass::Credentials),
        ("Whatever", ErrorClass::Unexpected),
    ] {
        let (queue, sent, _) = queue(move |_, _| Reply::error(code, "no"));
        let error = queue.receive().await.expect_err("refused");
        assert_eq!(error.class, class, "{code}");
        assert_eq!(sent.lock().expect("the log").len(), 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_queue_that_does_not_answer_times_out() {
    let (queue, _, _) = queue(|_, _| Reply::Silence);
    let error = queue.receive().await.expect_err("given up");
    assert_eq!(error.class, ErrorClass::Unreachable);
}
