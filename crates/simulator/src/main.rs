//! `secretsmanager-simulator`: AWS Secrets Manager on loopback, for the demo and for manual tests.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use jiff::Timestamp;
use secret_rotation_simulator::{Options, Quirks, Simulator};

/// Simulate AWS Secrets Manager with its rotation state machine on loopback.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Listen on this loopback address; port 0 selects a free port.
    #[arg(long, default_value = "127.0.0.1:4599")]
    listen: SocketAddr,
    /// Load secrets, functions, faults and switches from this YAML file.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Advance AWS's clock by this many seconds per real second.
    #[arg(long, default_value_t = 1.0)]
    clock_rate: f64,
    /// Use this seed for ARNs and for faults with a probability.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Use this seed for the undocumented behavior of AWS; the scenario can override single switches.
    #[arg(long)]
    world_seed: Option<u64>,
    /// Keep this many entries of the trace; with 0, requests are only counted.
    #[arg(long, default_value_t = 100_000, value_name = "COUNT")]
    trace_limit: usize,
    /// Start AWS's clock at this time, such as 2026-11-23T10:00:00Z [default: now].
    #[arg(long)]
    start_time: Option<Timestamp>,
}

fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let Arguments {
        listen,
        scenario,
        clock_rate,
        seed,
        world_seed,
        trace_limit,
        start_time,
    } = Arguments::parse();
    let simulator = Simulator::start(Options {
        listen,
        clock_rate,
        start_time,
        seed,
        trace_limit: Some(trace_limit),
        quirks: world_seed.map(Quirks::from_seed).unwrap_or_default(),
        ..Options::default()
    })?;
    if let Some(path) = scenario {
        let yaml =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        simulator
            .add(&yaml)
            .with_context(|| path.display().to_string())?;
    }
    announce(&simulator.url());
    simulator.join();
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the URL is what the caller waits for")]
fn announce(url: &str) {
    println!("AWS Secrets Manager is simulated at {url}");
}
