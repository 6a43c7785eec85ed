//! The same engine in a terminal: `kubectl secret-rotation …`, and the audit that needs no cluster.
//!
//! Shows what the controller has written down and asks for what it should do, by its resources only. What a
//! secret's state is and what may be done about it, core says; nothing here decides.

mod arguments;
pub mod audit;
mod aws;
mod check;
mod completion;
mod decide;
mod describe;
mod doctor;
mod explain;
mod failure;
mod follow;
mod history;
mod iam_policy;
mod kubernetes;
mod list;
mod live;
mod proxy;
mod put;
mod remedy;
mod run;
mod status;
mod suspend;
#[cfg(test)]
mod testing;
mod ui;
mod version;
mod versions;
mod view;

pub use arguments::{Arguments, Command};
pub use completion::command as completing;
pub use failure::Failure;
pub use kubernetes::ClusterOptions;
pub use run::run;
