//! `version`.

use crate::Failure;
use crate::output;

/// Prints the version of the plugin.
pub(crate) fn print() -> Result<(), Failure> {
    output::print(concat!(
        "kubectl secret-rotation ",
        env!("CARGO_PKG_VERSION"),
        "\n"
    ))
}
