//! The same engine in a terminal: `kubectl secret-rotation …`, and the audit that needs no cluster.
//!
//! Shows what the controller has written down and asks for what it should do, by its resources only. What a
//! secret's state is and what may be done about it, core says; nothing here decides.

mod arguments;
mod failure;
mod output;
mod run;
mod version;

pub use arguments::{Arguments, Command};
pub use failure::Failure;
pub use run::run;
