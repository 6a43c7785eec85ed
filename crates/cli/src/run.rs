//! From what was typed to an exit status.

use std::process::ExitCode;

use secret_rotation_api::operation::Action;

use crate::Arguments;
use crate::Command;
use crate::Failure;
use crate::audit;
use crate::check;
use crate::completion;
use crate::decide;
use crate::describe;
use crate::doctor;
use crate::explain;
use crate::history;
use crate::iam_policy;
use crate::list;
use crate::put;
use crate::remedy;
use crate::status;
use crate::suspend;
use crate::ui::output;
use crate::version;
use crate::versions;

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
        output::note(&failure.to_string());
        failure.exit_code()
    })
}

async fn carry_out(arguments: Arguments) -> Result<ExitCode, Failure> {
    let cluster = &arguments.cluster;
    match arguments.command {
        Command::Status(arguments) => status::run(cluster, &arguments).await,
        Command::Describe(arguments) => describe::run(cluster, &arguments).await,
        Command::Check(arguments) => check::run(cluster, &arguments).await,
        Command::History(arguments) => history::run(cluster, &arguments).await,
        Command::Approve(arguments) => decide::run(cluster, &arguments, true).await,
        Command::Deny(arguments) => decide::run(cluster, &arguments, false).await,
        Command::Suspend(arguments) => suspend::run(cluster, &arguments, true).await,
        Command::Resume(arguments) => suspend::run(cluster, &arguments, false).await,
        Command::Rotate(arguments) => remedy::rotate(cluster, &arguments).await,
        Command::Clear(arguments) => remedy::clear(cluster, &arguments).await,
        Command::Promote(arguments) => {
            remedy::run(cluster, &arguments, Action::PromotePending).await
        }
        Command::Undo(arguments) => remedy::run(cluster, &arguments, Action::RestorePending).await,
        Command::Revert(arguments) => {
            remedy::run(cluster, &arguments, Action::RevertToPrevious).await
        }
        Command::Restore(arguments) => {
            remedy::run(cluster, &arguments, Action::RestoreSecret).await
        }
        Command::Release(arguments) => remedy::run(cluster, &arguments, Action::ReleasePins).await,
        Command::Completion(arguments) => completion::run(&arguments),
        Command::Complete(arguments) => completion::complete(&arguments),
        Command::Audit(audit) => audit::run(audit).await,
        Command::List(list) => list::run(list).await,
        Command::Versions(versions) => versions::run(versions).await,
        Command::Put(put) => put::run(put).await,
        Command::IamPolicy(policy) => iam_policy::run(policy).await,
        Command::Doctor(doctor) => doctor::run(cluster, doctor).await,
        Command::Explain(explain) => explain::run(explain).await,
        Command::Version => version::run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[tokio::test]
    async fn cluster_flags_are_taken_where_they_do_nothing() {
        // Aliases and wrappers of kubectl add them to every command.
        for (flag, command) in [("--context=prod", "version"), ("-nteam", "version")] {
            let typed = ["kubectl-secret_rotation", command, flag];
            let ended = carry_out(Arguments::parse_from(typed)).await;
            assert_eq!(ended, Ok(ExitCode::SUCCESS), "{command} {flag}");
        }
    }
}
