//! Many operations: one per secret that waits for an approval, and twenty times as many that have ended.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::estate;
use super::idle::idle;
use super::results::{Results, mebibytes, number, seconds};
use super::usage::wait_until;
use super::world::{As, PATIENCE, World, object, path};
use crate::timing::now;

/// The number of ended operations for each that waits.
const ENDED: usize = 20;

/// The number of requests at once that create the operations.
const WRITERS: usize = 8;

/// The length of the measurement.
const LENGTH: Duration = Duration::from_mins(1);

pub(super) const COLUMNS: [&str; 7] = [
    "Ended",
    "Waiting",
    "CPU to load them",
    "CPU of one core, idle",
    "Requests to AWS a minute",
    "Resident",
    "Peak",
];

/// Measures with so many healthy secrets, and as many waiting operations.
pub(super) fn run(secrets: usize) -> Result<Results> {
    let (waiting, ended) = (secrets, ENDED * secrets);
    let world = World::start(&estate::healthy(secrets))?;
    world.profile(&json!({}))?;
    let approval = json!({"remediation": {"approval": "Required"}});
    world.policy("all", &["payments/".to_owned()], &approval)?;
    eprintln!("creating {ended} operations that have ended and {waiting} that wait");
    create_all(&world, ended, waiting)?;
    let began = now();
    world.start_controller()?;
    world.complete("all", secrets, began)?;
    let last = operation_path("waiting", waiting - 1);
    wait_until("the operations wait", began, PATIENCE, || {
        let conditions = world.get(&last)?["status"]["conditions"].clone();
        let all = conditions.as_array().cloned().unwrap_or_default();
        Ok(all.iter().any(|one| one["reason"] == "AwaitingApproval"))
    })?;
    let process = world.process()?;
    let loading = process.settled(PATIENCE)?;
    world.aws.take_calls()?;
    let (part, memory) = idle(process, LENGTH)?;
    let requests: u64 = world.aws.take_calls()?.values().sum();
    let mut results = Results::new(&COLUMNS);
    results.row(vec![
        number(ended),
        number(waiting),
        seconds(loading),
        format!("{:.2} %", 100.0 * part),
        requests.to_string(),
        mebibytes(memory.resident),
        mebibytes(memory.peak),
    ]);
    results.sample(json!({
        "benchmark": "operations",
        "secrets": secrets,
        "ended": ended,
        "waiting": waiting,
        "loading_cpu_seconds": loading.as_secs_f64(),
        "cpu_part_of_a_core": part,
        "requests_per_minute": requests,
        "resident_bytes": memory.resident,
        "peak_bytes": memory.peak,
    }));
    Ok(results)
}

fn operation_path(kind: &str, index: usize) -> String {
    path(
        "secretrotationoperations",
        Some(&format!("{kind}-{index:05}")),
    )
}

/// Creates all operations, several at once.
fn create_all(world: &World, ended: usize, waiting: usize) -> Result<()> {
    let (names, writer) = (world.some_secrets()?, world.writer());
    let share = &|first: usize| -> Result<()> {
        for index in (first..ended).step_by(WRITERS) {
            let name = &names[index % names.len()];
            let created = writer.create(&all(), &operation("ended", index, name))?;
            let status = format!("{}/status", operation_path("ended", index));
            let time = &created["metadata"]["creationTimestamp"];
            writer.patch(As::Controller, &status, &ended_status(name, time))?;
        }
        for index in (first..waiting).step_by(WRITERS) {
            let name = &names[index % names.len()];
            writer.create(&all(), &operation("waiting", index, name))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let start = |first| scope.spawn(move || share(first));
        let writers: Vec<_> = (0..WRITERS).map(start).collect();
        for writer in writers {
            writer.join().map_err(|_| anyhow!("a writer panicked"))??;
        }
        Ok(())
    })
}

fn all() -> String {
    path("secretrotationoperations", None)
}

fn operation(kind: &str, index: usize, secret: &str) -> Value {
    let spec = json!({
        "action": "Rotate",
        "policyRef": {"name": "all"},
        "secret": {"name": secret, "region": "eu-west-1"},
        "reason": "benchmark",
        "requestedBy": "admin",
        "approval": "Required",
        "expect": {"currentVersionId": "00000000-0000-4000-8000-000000000000"},
    });
    object(
        "SecretRotationOperation",
        &format!("{kind}-{index:05}"),
        &spec,
    )
}

/// Returns the status of an operation that has just ended.
fn ended_status(secret: &str, time: &Value) -> Value {
    let complete = json!({
        "type": "Complete", "status": "True", "reason": "Succeeded", "lastTransitionTime": time,
        "message": "The secret was rotated.", "observedGeneration": 1,
    });
    let step = json!({
        "name": "Rotate", "versionId": "00000000-0000-4000-8000-000000000001", "tries": 1,
        "intentTime": time, "resultTime": time, "result": "Applied", "requestId": "00000000-0000-4000-8000-000000000002",
    });
    json!({"status": {
        "observedGeneration": 1, "secretName": secret, "startTime": time, "completionTime": time,
        "arn": format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:{secret}-AbCdEf"),
        "conditions": [complete], "steps": [step],
    }})
}
