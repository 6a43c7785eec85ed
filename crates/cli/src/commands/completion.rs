//! `completion`: scripts that complete commands, flags and names of resources in a shell.
//!
//! Shells call the plugin back: directly with `COMPLETE=<shell>`, or through kubectl with the hidden command
//! `__complete`.

pub(crate) mod candidates;
mod names;

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::CommandError;
use crate::app::App;
use crate::ui::output;

/// The name of the program.
pub(super) const BINARY: &str = "kubectl-secret_rotation";

/// The variable with which a shell asks for completions.
const VARIABLE: &str = "COMPLETE";

/// The script that `kubectl` looks for on the `PATH`, next to the plugin.
const KUBECTL: &str =
    include_str!("../../../../deploy/completion/kubectl_complete-secret_rotation");

/// Print a script that completes commands, flags and names in a shell.
#[derive(Args, Clone, Debug)]
pub struct CompletionArgs {
    /// Shell, or kubectl for the script that kubectl calls.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// What the script is for.
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

/// Prints the script for a shell.
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
