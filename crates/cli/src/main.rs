//! The kubectl plugin. The library describes it.

use std::env;
use std::process::ExitCode;

use clap::Parser as _;
use clap_complete::CompleteEnv;
use secret_rotation_cli::Cli;

fn main() -> ExitCode {
    // The AWS SDK and kube must use the same cryptography provider: the first one installed stays.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // A shell that asks for completions gets them here, and the process exits.
    CompleteEnv::with_factory(|| Cli::completing(&env::args_os().collect::<Vec<_>>())).complete();
    Cli::parse().run()
}
