//! What should happen, given what was seen.
//!
//! Four nouns and the pure functions between them: an [`Inventory`](inventory::Inventory) is
//! classified into a [`Survey`](survey::Survey), a survey is planned into a [`Plan`](plan::Plan),
//! and an [`Operation`](operation::Operation) beside a fresh look is advanced to its
//! [`Next`](advance::Next) step. This crate does no I/O, reads no clock, draws no random number and
//! iterates over nothing in hash order: everything it needs is an argument, time included.

pub mod advance;
pub mod approval;
pub mod authorise;
pub mod classify;
pub mod clock;
mod expiry;
pub mod history;
pub mod identity;
pub mod inventory;
pub mod maintenance;
pub mod naming;
pub mod operation;
pub mod outcome;
pub mod ownership;
pub mod permit;
pub mod pin;
pub mod plan;
pub mod policy;
pub mod profile;
pub mod retention;
pub mod rolled_back;
pub mod rotation_window;
pub mod secret;
pub mod selector;
pub mod survey;
pub mod verdict;
pub mod watch;
