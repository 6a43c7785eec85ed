//! `version`: the release of the plugin.

use std::process::ExitCode;

use clap::Args;

use crate::CommandError;
use crate::app::App;
use crate::ui::output;

/// Print the version of this plugin.
#[derive(Args, Clone, Copy, Debug)]
pub struct VersionArgs {}

/// Prints the release.
#[expect(clippy::unused_async, reason = "every command has the same signature")]
pub(crate) async fn run(_app: &App, _args: &VersionArgs) -> Result<ExitCode, CommandError> {
    output::print(concat!(
        "kubectl secret-rotation ",
        env!("CARGO_PKG_VERSION"),
        "\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}
