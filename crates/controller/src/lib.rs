//! The controller: it watches, schedules, executes and reports.
//!
//! This is the only crate that waits for both sides, Kubernetes and AWS, reads a clock and spawns tasks. Core decides
//! what to do. This crate reads the facts, sends the requests, and writes and reports the results.

mod admission;
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
mod profile_region;
mod published_statuses;
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
mod triggers;
mod worker;

pub use options::{Command, LogFormat, Options, SecretLabel, SelftestOptions};
pub use run::run;
pub use selftest::run as selftest;

/// Returns the reference page of the metrics, built from the metrics themselves.
///
/// # Errors
///
/// Returns an error if a metric cannot be registered.
pub fn metrics_reference() -> anyhow::Result<String> {
    Ok(metrics::Metrics::reference()?)
}
