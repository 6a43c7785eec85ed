//! The decisions of the controller, as pure functions.
//!
//! The [`engine`] keeps what sweeps have seen and surveys it for each policy, a [`Survey`](survey::Survey) is
//! planned into a [`Plan`](plan::Plan), and an [`Operation`](operation::Operation) with a fresh look is advanced to its
//! [`Next`](advance::Next) step. This crate does no I/O, reads no clock, draws no random number and never depends on
//! hash order: everything it needs is an argument, the time included.

pub mod action;
pub mod advance;
pub mod approval;
mod assemble;
pub mod authorise;
pub mod aws_error;
pub mod block;
pub mod classify;
pub mod consent;

mod cron_schedule;
pub mod engine;
mod expiry;
mod groups;
pub mod history;
pub mod inventory;
pub mod journal;
pub mod maintenance_window;
pub mod names;
pub mod operation;
pub mod operation_index;
pub mod operation_name;
pub mod ownership;
pub mod permit;
pub mod pin;
pub mod plan;
pub mod planner;
pub mod policy;
pub mod policy_index;
pub mod profile;
pub mod retention;
pub mod rolled_back;
pub mod rotation_window;
pub mod secret;
pub mod selector;
pub mod stability;
pub mod survey;
pub mod time;
pub mod verdict;
pub mod words;
