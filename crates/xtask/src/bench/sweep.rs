//! Sweeps of one policy over all secrets: the first, unchanged ones, and ones after a part of the secrets changed.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::estate::{self, STUCK};
use super::results::{Results, at_limit, each, mebibytes, microseconds_each, number, seconds};
use super::usage::{Memory, Process};
use super::world::{PATIENCE, World};
use crate::timing::now;

/// The number of unchanged sweeps in a row.
const UNCHANGED: u32 = 10;

/// The number of sweeps after a change.
const CHANGED: u32 = 3;

/// What a benchmark of sweeps changes before each of the last ones.
const CHANGES: &str = r#"{"rotate": 0.01, "replace": 0.01}"#;

pub(super) const COLUMNS: [&str; 8] = [
    "Sweep",
    "CPU a secret",
    "CPU",
    "Wall",
    "Wall at AWS's limit",
    "Requests",
    "Resident afterwards",
    "Peak so far",
];

/// Measures sweeps of so many secrets.
pub(super) fn run(secrets: usize) -> Result<Results> {
    let world = World::start(&estate::scenario(secrets))?;
    world.profile(&json!({}))?;
    world.start_controller()?;
    let process = world.process()?;
    let mut meter = Meter::start(process)?;
    let mut results = Results::new(&COLUMNS);
    world.aws.take_calls()?;

    let began = now();
    world.policy("all", &["payments/".to_owned()], &json!({}))?;
    world.complete("all", secrets, began)?;
    let first = meter.read(&world, 1)?;
    results.add("first", secrets, &first);

    for _ in 0..UNCHANGED {
        world.check("all")?;
    }
    let unchanged = meter.read(&world, UNCHANGED)?;
    results.add("unchanged (mean of ten)", secrets, &unchanged);

    for _ in 0..CHANGED {
        world.aws.control("POST", "changes", CHANGES)?;
        world.check("all")?;
    }
    let changed = meter.read(&world, CHANGED)?;
    results.add("2 % changed (mean of three)", secrets, &changed);

    let stuck = world.policy_of("all")?["status"]["summary"]["stuck"].clone();
    anyhow::ensure!(
        stuck == secrets / STUCK,
        "{stuck} of {} stuck secrets are found",
        secrets / STUCK
    );
    Ok(results)
}

/// One kind of sweep.
struct Sweep {
    cpu: Duration,
    wall: Duration,
    calls: BTreeMap<String, f64>,
    memory: Memory,
}

/// Reads the costs since the last reading, without those of an idle controller.
struct Meter {
    process: Process,
    cpu: Duration,
    at: std::time::Instant,
    /// The CPU time per second of an idle controller.
    idle: f64,
    swept: f64,
}

impl Meter {
    fn start(process: Process) -> Result<Self> {
        let before = process.settled(PATIENCE)?;
        let pause = Duration::from_secs(10);
        thread::sleep(pause);
        let cpu = process.cpu()?;
        Ok(Self {
            process,
            cpu,
            at: now(),
            idle: cpu.saturating_sub(before).as_secs_f64() / pause.as_secs_f64(),
            swept: 0.0,
        })
    }

    /// Waits until the controller is idle, and returns the mean costs of so many sweeps.
    fn read(&mut self, world: &World, sweeps: u32) -> Result<Sweep> {
        let (cpu, at) = (self.process.settled(PATIENCE)?, now());
        let idle = Duration::from_secs_f64(self.idle * (at - self.at).as_secs_f64());
        let swept = world.metric("secretrotation_sweep_duration_seconds_sum")?;
        let calls = world.aws.take_calls()?;
        let calls = calls.into_iter();
        let sweep = Sweep {
            cpu: cpu.saturating_sub(self.cpu).saturating_sub(idle) / sweeps,
            wall: Duration::from_secs_f64((swept - self.swept).max(0.0)) / sweeps,
            calls: calls
                .map(|(operation, count)| (operation, mean(count, sweeps)))
                .collect(),
            memory: self.process.memory()?,
        };
        // Reading metrics costs CPU time too.
        (self.cpu, self.at, self.swept) = (self.process.cpu()?, now(), swept);
        Ok(sweep)
    }
}

fn mean(count: u64, sweeps: u32) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a number of requests fits a double"
    )]
    let count = count as f64;
    count / f64::from(sweeps)
}

impl Results {
    fn add(&mut self, kind: &str, secrets: usize, sweep: &Sweep) {
        let requests = sweep.calls.iter();
        let requests: Vec<_> = requests
            .map(|(operation, count)| format!("{count:.0} {operation}"))
            .collect();
        self.row(vec![
            format!("{} secrets, {kind}", number(secrets)),
            microseconds_each(sweep.cpu, secrets),
            seconds(sweep.cpu),
            seconds(sweep.wall),
            seconds(at_limit(secrets)),
            requests.join(", "),
            mebibytes(sweep.memory.resident),
            mebibytes(sweep.memory.peak),
        ]);
        self.sample(json!({
            "benchmark": "sweep",
            "secrets": secrets,
            "sweep": kind,
            "cpu_microseconds_per_secret": each(sweep.cpu, secrets),
            "cpu_seconds": sweep.cpu.as_secs_f64(),
            "wall_seconds": sweep.wall.as_secs_f64(),
            "requests": sweep.calls,
            "resident_bytes": sweep.memory.resident,
            "peak_bytes": sweep.memory.peak,
        }));
    }
}
