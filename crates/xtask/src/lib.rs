//! Builds, starts, generates and checks what the project needs beside its crates.
//!
//! Not part of the product: nothing here runs in a cluster.

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
