//! The kubectl plugin. See the library for what it does.

use std::env;
use std::process::ExitCode;

use clap::Parser as _;
use clap_complete::CompleteEnv;
use secret_rotation_cli::{Arguments, completing, run};

fn main() -> ExitCode {
    // The AWS SDK and kube must not each choose a cryptography provider of their own. Whoever was first is kept.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // A shell that asks for completions gets them, and the process ends here.
    CompleteEnv::with_factory(|| completing(&env::args_os().collect::<Vec<_>>())).complete();
    run(Arguments::parse())
}
