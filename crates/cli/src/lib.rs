//! The same engine in a terminal: `kubectl secret-rotation …`, and the audit that needs no cluster.
//!
//! Shows what the controller has written down and asks for what it should do, by its resources only. What a
//! secret's state is and what may be done about it, core says; nothing here decides.

mod age;
mod arguments;
pub mod audit;
mod aws;
mod columns;
mod doctor;
mod explain;
mod failure;
mod iam_policy;
mod list;
mod output;
mod place;
mod put;
mod run;
mod version;
mod versions;

pub use arguments::{Arguments, Command};
pub use failure::Failure;
pub use run::run;
