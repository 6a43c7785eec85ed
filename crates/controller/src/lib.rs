//! Watches, schedules, carries out, reports.
//!
//! The only crate that awaits both sides, Kubernetes and AWS, that reads a clock and that spawns tasks. What
//! should happen is decided in core; here it is read, asked for, written down and told.

pub mod clock;
pub mod error;
pub mod kubernetes;
pub mod lease;
pub mod logging;
pub mod metrics;
pub mod options;
pub mod queue;
pub mod shutdown;
pub mod worker;
pub mod world;
