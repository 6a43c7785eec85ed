//! `completion`: shell completion of commands, flags and, from the cluster itself, names.
//!
//! Shells call the plugin back: by itself with `COMPLETE=<shell>`, through kubectl with the hidden command
//! `__complete`, whose answer has the form that kubectl expects of its plugins.

pub(crate) mod candidates;
mod names;

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::CommandError;
use crate::app::App;
use crate::ui::output;

/// The name of the binary.
pub(super) const BINARY: &str = "kubectl-secret_rotation";

/// The variable by which a shell asks.
const VARIABLE: &str = "COMPLETE";

/// What `kubectl` looks for on the path, beside the plugin.
const KUBECTL: &str =
    include_str!("../../../../deploy/completion/kubectl_complete-secret_rotation");

/// Print a script that completes commands, flags and names in a shell.
#[derive(Args, Clone, Debug)]
pub struct CompletionArgs {
    /// The shell; kubectl prints the script that kubectl calls.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Whom completion is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Elvish.
    Elvish,
    /// Fish.
    Fish,
    /// Powershell.
    Powershell,
    /// Zsh.
    Zsh,
    /// kubectl, which completes its plugins in every shell.
    Kubectl,
}

/// Prints the script of a shell.
#[expect(clippy::unused_async, reason = "every command has the same signature")]
pub(crate) async fn run(_app: &App, args: &CompletionArgs) -> Result<ExitCode, CommandError> {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
        Shell::Zsh => &Zsh,
        Shell::Kubectl => {
            output::print(KUBECTL)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "secret_rotation", BINARY, BINARY, &mut script)?;
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
