//! From what was typed to an exit status.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::{Arguments, Command, Failure, version};

/// Carries a command out and says on standard error why it failed, if it did.
pub fn run(arguments: Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(carry_out(arguments)),
        Err(error) => Err(Failure::new(format!("the runtime cannot start: {error}"))),
    };
    outcome.unwrap_or_else(|failure| {
        // Nobody is left to be told if standard error is closed.
        let _ = writeln!(io::stderr(), "{failure}");
        ExitCode::FAILURE
    })
}

async fn carry_out(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Version => version::print()?,
    }
    Ok(ExitCode::SUCCESS)
}
