//! Standard output, whose reader can close it at any time, and standard error.

use std::io::{self, ErrorKind, Write as _};

use crate::CommandError;
use crate::ui::style::printable;

/// Writes text to standard output. A closed reader, such as `head`, is no error.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    try_print(text).map(drop)
}

/// Writes lines to standard error. They contain text from servers and other people, so control characters are replaced.
/// An error is ignored: there is no place left to report it.
pub(crate) fn note(text: &str) {
    let lines: Vec<_> = text.lines().map(printable).collect();
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
}

/// Writes text to standard output. Returns whether its reader is still there.
pub(crate) fn try_print(text: &str) -> Result<bool, CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Prints an error on standard error where the command continues.
pub(crate) fn print_error(failure: &CommandError) {
    note(&failure.to_string());
}
