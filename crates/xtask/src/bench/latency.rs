//! From a change in AWS to the status of the policy, through an event in an SQS queue.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::estate;
use super::results::{Results, float, number, seconds};
use super::usage::wait_until;
use super::world::{PATIENCE, World};
use crate::timing::now;

/// The number of rotations that start, one after the other.
const ROTATIONS: usize = 20;

const QUEUE: &str = "rotation-events";

pub(super) const COLUMNS: [&str; 5] = [
    "Secrets",
    "Event to status, median",
    "90 %",
    "Slowest",
    "Requests to AWS for each",
];

/// Starts rotations in an account with so many secrets, and measures when the status counts each as rotating.
pub(super) fn run(secrets: usize) -> Result<Results> {
    let more = format!(
        "- {{count: {ROTATIONS}, name: 'payments/slow-{{n}}', state: healthy, function: 'hang-createSecret'}}\n\
         queues: [{{name: {QUEUE}}}]\n"
    );
    let world = World::start(&(estate::scenario(secrets) + &more))?;
    let queue = format!("arn:aws:sqs:eu-west-1:111122223333:{QUEUE}");
    world.profile(&json!({"eventQueue": {"arn": queue}}))?;
    world.policy("all", &["payments/".to_owned()], &json!({}))?;
    let began = now();
    world.start_controller()?;
    world.complete("all", secrets + ROTATIONS, began)?;
    world.process()?.settled(PATIENCE)?;
    world.aws.take_calls()?;
    let mut times = Vec::new();
    for rotation in 1..=ROTATIONS {
        let began = now();
        let token = format!("00000000-0000-4000-8000-{rotation:012}");
        let name = format!("payments/slow-{rotation}");
        world.aws.ask(
            "RotateSecret",
            &json!({"SecretId": name, "ClientRequestToken": token}),
        )?;
        times.push(wait_until(
            "the status shows the rotation",
            began,
            PATIENCE,
            || {
                let rotating = world.policy_of("all")?["status"]["summary"]["rotating"].clone();
                Ok(rotating
                    .as_u64()
                    .and_then(|count| usize::try_from(count).ok())
                    >= Some(rotation))
            },
        )?);
    }
    let calls = world.aws.take_calls()?;
    let of_secrets = calls.iter().filter(|(operation, _)| {
        // Requests to the queue are sent all the time, and the rotations are ours.
        ![
            "ReceiveMessage",
            "DeleteMessage",
            "DeleteMessageBatch",
            "GetQueueAttributes",
            "RotateSecret",
        ]
        .contains(&operation.as_str())
    });
    let requests = of_secrets.map(|(_, count)| count).sum::<u64>();
    Ok(results(secrets, times, requests))
}

fn results(secrets: usize, mut times: Vec<Duration>, requests: u64) -> Results {
    times.sort();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    let mut results = Results::new(&COLUMNS);
    let each = float(usize::try_from(requests).unwrap_or(usize::MAX)) / float(times.len());
    results.row(vec![
        number(secrets),
        seconds(at(50)),
        seconds(at(90)),
        seconds(at(100)),
        format!("{each:.1}"),
    ]);
    let all: Vec<Value> = times.iter().map(|time| json!(time.as_secs_f64())).collect();
    results.sample(json!({
        "benchmark": "latency",
        "secrets": secrets,
        "seconds": all,
        "requests": requests,
    }));
    results
}
