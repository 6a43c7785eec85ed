//! Builds, starts, generates and checks what the project needs beside its crates.
//!
//! Not part of the product: nothing here runs in a cluster.

pub mod assets;
pub mod book;
pub mod chart;
pub mod check;
mod cloudformation;
pub mod cluster;
pub mod demo;
pub mod generate;
pub mod markdown;
mod pages;
pub mod playground;
pub mod process;
pub mod project;
pub mod prometheus;
pub mod reference;
pub mod release;
pub mod testing;
pub mod upgrade;
