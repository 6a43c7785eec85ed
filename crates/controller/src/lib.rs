//! Watches, schedules, carries out, reports.
//!
//! The only crate that awaits both sides, Kubernetes and AWS, that reads a clock and that spawns tasks. What
//! should happen is decided in core; here it is read, asked for, written down and told.

mod aws_connections;
mod clock;
mod context;
mod error;
mod evaluations;
mod event_handlers;
mod events;
mod garbage_collection;
mod jitter;
mod kubernetes;
mod lease;
pub mod logging;
mod metrics;
mod operation;
mod options;
mod outage;
mod policy;
mod profile;
mod queue;
mod read_health;
mod rotation_events;
mod run;
mod selftest;
mod server;
mod shutdown;
mod stability;
mod store;
mod sweep;
mod tasks;
#[cfg(test)]
mod testing;
mod worker;

pub use options::{Command, LogFormat, Options, SecretLabel, SelftestOptions};
pub use run::run;
pub use selftest::run as selftest;

/// The reference page of the metrics, from the metrics themselves.
pub fn metrics_reference() -> anyhow::Result<String> {
    Ok(metrics::Metrics::reference()?)
}
