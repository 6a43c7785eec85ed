//! The same engine in a terminal: `kubectl secret-rotation …`, and the audit that needs no cluster.
//!
//! Shows what the controller has written down and asks for what it should do, by its resources only. What a
//! secret's state is and what may be done about it, core says; nothing here decides.

mod advice;
mod age;
mod arguments;
pub mod audit;
mod aws;
mod check;
mod cluster;
mod columns;
mod completion;
mod decide;
mod describe;
mod doctor;
mod dress;
mod events;
mod explain;
mod failure;
mod follow;
mod history;
mod iam_policy;
mod list;
mod live;
mod objects;
mod output;
mod overview;
mod patience;
mod place;
mod proxy;
mod put;
mod remedy;
mod run;
mod sheet;
mod status;
mod suspend;
mod table;
#[cfg(test)]
mod testing;
mod version;
mod version_id;
mod versions;

pub use arguments::{Arguments, ClusterOptions, Command};
pub use completion::command as completing;
pub use failure::Failure;
pub use run::run;
