//! The command line: global flags and the command, from arguments to an exit status.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use crate::app::App;
use crate::commands::completion::candidates;
use crate::commands::{self, Command};
use crate::error::CommandError;
use crate::kubernetes::ClusterOptions;
use crate::ui::output;

/// Inspect and repair AWS Secrets Manager rotations; never reads a value.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "kubectl-secret_rotation",
    bin_name = "kubectl secret-rotation",
    version,
    arg_required_else_help = true
)]
pub struct Cli {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterOptions,

    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Runs the command, and prints its error on standard error.
    pub fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let outcome = match runtime {
            Ok(runtime) => runtime.block_on(self.dispatch()),
            Err(error) => Err(CommandError::new(format!(
                "cannot start the runtime: {error}"
            ))),
        };
        outcome.unwrap_or_else(|error| {
            output::note(&error.to_string());
            error.exit_code()
        })
    }

    async fn dispatch(self) -> Result<ExitCode, CommandError> {
        let app = App::new(self.cluster, Self::command);
        commands::run(&app, &self.command).await
    }

    /// Returns the command line with names from the cluster that `words` name, for a shell that asks for completions.
    pub fn completing(words: &[OsString]) -> clap::Command {
        candidates::command(Self::command(), words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[tokio::test]
    async fn commands_without_a_cluster_accept_cluster_flags() {
        // kubectl aliases and wrappers add them to every command.
        for (flag, command) in [("--context=prod", "version"), ("-nteam", "version")] {
            let typed = ["kubectl-secret_rotation", command, flag];
            let ended = Cli::parse_from(typed).dispatch().await;
            assert_eq!(ended, Ok(ExitCode::SUCCESS), "{command} {flag}");
        }
    }
}
