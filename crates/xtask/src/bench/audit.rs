//! `kubectl secret-rotation audit`: a whole account in one command, without a cluster.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::estate::{self, STUCK};
use super::results::{Results, at_limit, each, mebibytes, microseconds_each, number, seconds};
use super::usage::{Spent, spent};
use super::world::{Aws, program};

pub(super) const COLUMNS: [&str; 7] = [
    "Secrets",
    "CPU a secret",
    "CPU",
    "Wall",
    "Wall at AWS's limit",
    "Peak",
    "Found",
];

/// Audits so many secrets.
pub(super) fn run(secrets: usize) -> Result<Results> {
    let folder = tempfile::tempdir()?;
    let (_simulator, aws) = Aws::start(&estate::scenario(secrets), folder.path())?;
    let (spent, found) = audit(&aws, 1000)?;
    ensure!(
        found == secrets / STUCK,
        "{found} of {} stuck secrets are found",
        secrets / STUCK
    );
    let mut results = Results::new(&COLUMNS);
    results.row(vec![
        number(secrets),
        microseconds_each(spent.cpu, secrets),
        seconds(spent.cpu),
        seconds(spent.wall),
        seconds(at_limit(secrets)),
        mebibytes(spent.peak),
        format!("{} of {}", number(found), number(secrets / STUCK)),
    ]);
    results.sample(json!({
        "benchmark": "audit",
        "secrets": secrets,
        "cpu_seconds": spent.cpu.as_secs_f64(),
        "cpu_microseconds_per_secret": each(spent.cpu, secrets),
        "wall_seconds": spent.wall.as_secs_f64(),
        "peak_bytes": spent.peak,
        "found": found,
    }));
    Ok(results)
}

/// Audits an account, and returns the costs and the number of stuck secrets.
pub(super) fn audit(aws: &Aws, reads_per_second: u32) -> Result<(Spent, usize)> {
    let mut command = Command::new(program("kubectl-secret_rotation")?);
    command
        .args(["audit", "--output", "json", "--regions", "eu-west-1"])
        .args(["--reads-per-second", &reads_per_second.to_string()])
        .env("AWS_ENDPOINT_URL", &aws.url)
        .env("AWS_ACCESS_KEY_ID", "bench")
        .env("AWS_SECRET_ACCESS_KEY", "bench")
        .env_remove("AWS_PROFILE")
        .env("KUBECONFIG", "/dev/null")
        .stderr(Stdio::null());
    let spent = spent(&mut command)?;
    ensure!(spent.succeeded, "the audit failed");
    let report: Value = serde_json::from_str(&spent.output)?;
    let stuck = report["states"]["Stuck"].as_u64().unwrap_or(0);
    Ok((spent, usize::try_from(stuck)?))
}
