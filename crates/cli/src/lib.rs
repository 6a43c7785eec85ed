//! The same engine in a terminal: `kubectl secret-rotation …`, and the audit that needs no cluster.
//!
//! Shows what the controller has written down and asks for what it should do, by its resources only. What a
//! secret's state is and what may be done about it, core says; nothing here decides.

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

pub use cli::{Arguments, Command};
pub use commands::audit::schema_text as audit_schema;
pub use commands::completion::command as completing;
pub use commands::run;
pub use error::CommandError;
pub use kubernetes::ClusterOptions;
