//! The same engine in a terminal: `kubectl secret-rotation …`, and the audit that needs no cluster.
//!
//! Shows what the controller has written down and asks for what it should do, by its resources only. What a
//! secret's state is and what may be done about it, core says; nothing here decides.

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
