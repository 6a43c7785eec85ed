//! From what was typed to an exit status.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::{
    Arguments, Command, Failure, audit, doctor, explain, iam_policy, list, put, version, versions,
};

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
        failure.exit_code()
    })
}

async fn carry_out(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Audit(audit) => return audit::run(audit).await,
        Command::List(list) => return list::run(list).await,
        Command::Versions(versions) => versions::run(versions).await?,
        Command::Put(put) => put::run(put).await?,
        Command::IamPolicy(policy) => iam_policy::run(policy).await?,
        Command::Doctor(doctor) => return doctor::run(&arguments.cluster, doctor).await,
        Command::Explain(explain) => explain::run(explain).await?,
        Command::Version => version::print()?,
    }
    Ok(ExitCode::SUCCESS)
}
