//! Standard output, which may be closed at any time by whoever reads it, and standard error.

use std::io::{self, ErrorKind, Write as _};

use crate::CommandError;
use crate::ui::style::printable;

/// Writes text to standard output. A reader that has gone, as `head` does, is no failure.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    print_open(text).map(drop)
}

/// Writes lines to standard error, for people. Nobody is left to be told if it is closed. Texts of servers and of other
/// people are part of many of them, so nothing in them moves the cursor.
pub(crate) fn note(text: &str) {
    let lines: Vec<_> = text.lines().map(printable).collect();
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
}

/// Writes text to standard output; whether somebody still reads it.
pub(crate) fn print_open(text: &str) -> Result<bool, CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Says on standard error what failed, where the command goes on all the same.
pub(crate) fn complain(failure: &CommandError) {
    note(&failure.to_string());
}
