//! From what was typed to an exit status.

pub(crate) mod actions;
pub(crate) mod approve;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod describe;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod iam_policy;
pub(crate) mod list;
pub(crate) mod put;
pub(crate) mod status;
pub(crate) mod suspend;
pub(crate) mod version;
pub(crate) mod versions;

use std::process::ExitCode;

use secret_rotation_api::operation::Action;

use crate::CommandError;
use crate::cli::{Arguments, Command};
use crate::ui::output;

/// Carries a command out and says on standard error why it failed, if it did.
pub fn run(arguments: Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(carry_out(arguments)),
        Err(error) => Err(CommandError::new(format!(
            "the runtime cannot start: {error}"
        ))),
    };
    outcome.unwrap_or_else(|failure| {
        output::note(&failure.to_string());
        failure.exit_code()
    })
}

async fn carry_out(arguments: Arguments) -> Result<ExitCode, CommandError> {
    let cluster = &arguments.cluster;
    match arguments.command {
        Command::Status(arguments) => status::run(cluster, &arguments).await,
        Command::Describe(arguments) => describe::run(cluster, &arguments).await,
        Command::Check(arguments) => check::run(cluster, &arguments).await,
        Command::History(arguments) => history::run(cluster, &arguments).await,
        Command::Approve(arguments) => approve::run(cluster, &arguments, true).await,
        Command::Deny(arguments) => approve::run(cluster, &arguments, false).await,
        Command::Suspend(arguments) => suspend::run(cluster, &arguments, true).await,
        Command::Resume(arguments) => suspend::run(cluster, &arguments, false).await,
        Command::Rotate(arguments) => actions::rotate(cluster, &arguments).await,
        Command::Clear(arguments) => actions::clear(cluster, &arguments).await,
        Command::Promote(arguments) => {
            actions::run(cluster, &arguments, Action::PromotePending).await
        }
        Command::Undo(arguments) => actions::run(cluster, &arguments, Action::RestorePending).await,
        Command::Revert(arguments) => {
            actions::run(cluster, &arguments, Action::RevertToPrevious).await
        }
        Command::Restore(arguments) => {
            actions::run(cluster, &arguments, Action::RestoreSecret).await
        }
        Command::Release(arguments) => actions::run(cluster, &arguments, Action::ReleasePins).await,
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
