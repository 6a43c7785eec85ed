//! Watches, schedules, carries out, reports.
//!
//! The only crate that awaits both sides, Kubernetes and AWS, that reads a clock and that spawns tasks. What
//! should happen is decided in core; here it is read, asked for, written down and told.

mod accounts;
mod clock;
mod context;
mod error;
mod events;
mod expiring;
mod hints;
mod jitter;
mod judgements;
mod kubernetes;
mod lease;
mod listen;
pub mod logging;
mod metrics;
mod operation;
mod options;
mod outage;
mod policy;
mod profile;
mod queue;
mod run;
mod selftest;
mod server;
mod shutdown;
mod sight;
mod sweeps;
mod tasks;
#[cfg(test)]
mod testing;
mod watching;
mod worker;
mod world;

pub use options::{Command, LogFormat, Options, SecretLabel, SelftestOptions};
pub use run::run;
pub use selftest::run as selftest;

/// The reference page of the metrics, from the metrics themselves.
pub fn metrics_reference() -> anyhow::Result<String> {
    Ok(metrics::Metrics::reference()?)
}
