//! A controller that has nothing to do: five minutes with 500 healthy secrets and default settings.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::estate;
use super::results::{Results, mebibytes, number};
use super::usage::{Memory, Process};
use super::world::{PATIENCE, World};
use crate::timing::now;

/// The length of the measurement: the default interval between two checks, so it contains one or two sweeps.
const LENGTH: Duration = Duration::from_mins(5);

pub(super) const COLUMNS: [&str; 5] = [
    "Secrets",
    "CPU of one core",
    "Resident",
    "Peak",
    "Requests to AWS",
];

/// Measures with so many healthy secrets.
pub(super) fn run(secrets: usize) -> Result<Results> {
    let world = World::start(&estate::healthy(secrets))?;
    world.profile(&json!({"rateLimit": {}, "minCheckInterval": "1m"}))?;
    world.policy(
        "all",
        &["payments/".to_owned()],
        &json!({"checkInterval": "5m"}),
    )?;
    let began = now();
    world.start_controller()?;
    world.complete("all", secrets, began)?;
    let process = world.process()?;
    process.settled(PATIENCE)?;
    world.aws.take_calls()?;
    let (part, memory) = idle(process, LENGTH)?;
    let requests: u64 = world.aws.take_calls()?.values().sum();
    let mut results = Results::new(&COLUMNS);
    results.row(vec![
        number(secrets),
        format!("{:.2} %", 100.0 * part),
        mebibytes(memory.resident),
        mebibytes(memory.peak),
        requests.to_string(),
    ]);
    results.sample(json!({
        "benchmark": "idle",
        "secrets": secrets,
        "seconds": LENGTH.as_secs(),
        "cpu_part_of_a_core": part,
        "resident_bytes": memory.resident,
        "peak_bytes": memory.peak,
        "requests": requests,
    }));
    Ok(results)
}

/// Returns the part of a core that a process uses, and its memory afterwards.
pub(super) fn idle(process: Process, length: Duration) -> Result<(f64, Memory)> {
    let (before, began) = (process.cpu()?, now());
    thread::sleep(length);
    let used = process.cpu()?.saturating_sub(before);
    let part = used.as_secs_f64() / began.elapsed().as_secs_f64();
    Ok((part, process.memory()?))
}
