//! Harness.

pub mod aws_cli;
