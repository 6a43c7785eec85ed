//! The error of a command: what failed, and what the user can do.

use std::fmt;
use std::process::ExitCode;

/// An error that ends the command: a message, and a hint if there is one.
///
/// It is printed on standard error as `error: …` and `hint: …`. The exit status is 1, and 2 for an invalid command
/// line, as for clap. Where 1 has another meaning, [`with_exit_code`](Self::with_exit_code) sets the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl CommandError {
    /// Returns an error with this message and exit status 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            code: 1,
        }
    }

    /// Returns an error for an invalid command line or a file that it names, with exit status 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::new(message)
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the exit status.
    #[must_use]
    pub fn with_exit_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Returns the exit status.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// Returns the hint.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns the message without the hint.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.hint
            .iter()
            .try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for CommandError {}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        Self::new(format!("cannot write output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_printed_with_its_hint() {
        let failure = CommandError::new("no context is named prod")
            .with_hint("see kubectl config get-contexts");
        assert_eq!(
            failure.to_string(),
            "error: no context is named prod\nhint: see kubectl config get-contexts"
        );
    }
}
