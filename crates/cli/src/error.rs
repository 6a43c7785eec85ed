//! What went wrong, and what the user can do about it.

use std::fmt;
use std::process::ExitCode;

/// A failure that ends the command: a sentence, and where possible one that says what to do.
///
/// Printed on standard error as `error: …` and `hint: …`. The exit status is 1; mistakes in the command line
/// itself end with 2, as clap does it. Where 1 has another meaning, [`with_exit_code`](Self::with_exit_code) sets the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl CommandError {
    /// A failure of which nothing more is known than this sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            code: 1,
        }
    }

    /// What was typed, or a file that it names, cannot be meant so.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::new(message)
        }
    }

    /// The same, with what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with another exit status.
    #[must_use]
    pub fn with_exit_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// With what the process ends.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What went wrong, in a sentence without the hint.
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
        Self::new(format!("output cannot be written: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_to_do() {
        let failure = CommandError::new("no context is named prod")
            .with_hint("see kubectl config get-contexts");
        assert_eq!(
            failure.to_string(),
            "error: no context is named prod\nhint: see kubectl config get-contexts"
        );
    }
}
