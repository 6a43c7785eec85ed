//! The program. See the library for what it does.

use std::process::ExitCode;

use clap::Parser as _;
use secret_rotation_controller::{Command, Options, logging, run, selftest};

fn main() -> anyhow::Result<ExitCode> {
    // This runs first: the AWS SDK and kube must not each choose their own cryptography provider.
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut options = Options::parse();
    logging::install(options.log_format, &options.log_level)?;
    if installed.is_err() {
        tracing::warn!("another cryptography provider is already installed");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = match options.command.take() {
        None => runtime.block_on(run(options)).map(|()| true),
        Some(Command::Selftest(wanted)) => runtime.block_on(selftest(&options, &wanted)),
    };
    if let Err(error) = &outcome {
        tracing::error!(error = format!("{error:#}"), "controller stopped");
    }
    // A read that hangs must not keep the process from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    let passed = outcome?;
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
