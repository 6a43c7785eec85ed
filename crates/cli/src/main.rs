//! The kubectl plugin. See the library for what it does.

use std::process::ExitCode;

use clap::Parser as _;
use secret_rotation_cli::{Arguments, run};

fn main() -> ExitCode {
    // The AWS SDK and kube must not each choose a cryptography provider of their own. Whoever was first is kept.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    run(Arguments::parse())
}
