//! The kubectl plugin: `kubectl secret-rotation …`, including the audit that needs no cluster.
//!
//! It shows what the controller reports and requests what the controller shall do, only through resources. Core defines
//! the states of secrets and the possible actions; this crate makes no decisions.

mod app;
mod aws;
mod cli;
mod commands;
mod error;
mod kubernetes;
mod live;
mod proxy;
#[cfg(test)]
mod testing;
mod ui;
mod view;

pub use cli::Cli;
pub use commands::{Command, audit_schema};
pub use error::CommandError;
