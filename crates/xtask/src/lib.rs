//! The development tasks of the project: generated files, checks, tests, the demo and releases.
//!
//! This crate is not part of the product: none of it runs in a cluster.

pub mod bench;
pub mod book;
pub mod chart;
pub mod check;
mod cloudformation;
pub mod demo;
pub mod generate;
mod generated;
pub mod markdown;
mod pages;
pub mod reference;
pub mod release;
pub mod screens;
pub mod testing;
mod timing;
pub mod upgrade;
