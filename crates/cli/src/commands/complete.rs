//! `__complete`: completions for kubectl, in the format that kubectl expects from a plugin.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use clap_complete::engine;

use super::completion::{BINARY, candidates};
use crate::CommandError;
use crate::app::App;
use crate::ui::output;

/// Makes kubectl complete no file names.
const NO_FILES: &str = ":4";

/// Complete a command line for kubectl.
#[derive(Args, Clone, Debug)]
pub struct CompleteArgs {
    /// Words after the name of the plugin; the last one is to be completed.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Prints one candidate per line, its help after a tab, then a directive to kubectl.
#[expect(clippy::unused_async, reason = "every command has the same signature")]
pub(crate) async fn run(app: &App, args: &CompleteArgs) -> Result<ExitCode, CommandError> {
    let mut words = vec![OsString::from(BINARY)];
    words.extend(args.words.iter().cloned());
    if words.len() == 1 {
        words.push(OsString::new());
    }
    let last = words.len() - 1;
    let found = engine::complete(
        &mut candidates::command(app.command_line(), &words),
        words,
        last,
        None,
    )?;
    let lines = found.iter().map(|candidate| {
        let value = candidate.get_value().to_string_lossy();
        match candidate.get_help() {
            Some(help) => format!("{value}\t{help}\n"),
            None => format!("{value}\n"),
        }
    });
    output::print(&format!("{}{NO_FILES}\n", lines.collect::<String>()))?;
    Ok(ExitCode::SUCCESS)
}
