//! Standard output, which may be closed at any time by whoever reads it.

use std::io::{self, ErrorKind, Write as _};

use crate::Failure;

/// Writes text to standard output. A reader that has gone, as `head` does, is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Says on standard error what failed, where the command goes on all the same.
pub(crate) fn complain(failure: &Failure) {
    // Nobody is left to be told if standard error is closed.
    let _ = writeln!(io::stderr(), "{failure}");
}
