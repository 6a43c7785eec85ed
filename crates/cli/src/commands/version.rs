//! `version`.

use std::process::ExitCode;

use crate::CommandError;
use crate::ui::output;

/// Prints the version of the plugin.
pub(crate) fn run() -> Result<ExitCode, CommandError> {
    output::print(concat!(
        "kubectl secret-rotation ",
        env!("CARGO_PKG_VERSION"),
        "\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}
