//! `version`.

use std::process::ExitCode;

use crate::Failure;
use crate::ui::output;

/// Prints the version of the plugin.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    output::print(concat!(
        "kubectl secret-rotation ",
        env!("CARGO_PKG_VERSION"),
        "\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}
