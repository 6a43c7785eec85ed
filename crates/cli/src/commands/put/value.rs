//! A secret value: read once, never printed, wiped when it is dropped.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use zeroize::{Zeroize as _, Zeroizing};

use crate::CommandError;

/// The largest value that AWS stores, in bytes (API reference, `PutSecretValue`).
const LARGEST: usize = 65_536;

/// The bytes of a value.
pub(super) struct Value(Zeroizing<Vec<u8>>);

/// How AWS stores a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `SecretString`.
    Text,
    /// `SecretBinary`.
    Binary,
}

impl Value {
    /// Reads a file or standard input; prompts if that is a terminal.
    pub(super) fn read(file: Option<&Path>, strip_newline: bool) -> Result<Self, CommandError> {
        let value = match file {
            Some(path) if path != Path::new("-") => {
                let unreadable =
                    |error| CommandError::usage(format!("cannot read {}: {error}", path.display()));
                Self::drain(File::open(path).map_err(unreadable)?)
            }
            Some(_) | None if io::stdin().is_terminal() => Self::ask(),
            Some(_) | None => Self::drain(io::stdin().lock()),
        }?;
        let value = if strip_newline {
            value.stripped()
        } else {
            value
        };
        if value.0.is_empty() {
            return Err(CommandError::usage("the value is empty"));
        }
        Ok(value)
    }

    /// Returns `Text` for UTF-8, `Binary` for anything else.
    pub(super) fn shape(&self) -> Shape {
        match std::str::from_utf8(&self.0) {
            Ok(_) => Shape::Text,
            Err(_) => Shape::Binary,
        }
    }

    /// Returns whether it is text that ends with a line break, as `echo` writes it.
    pub(super) fn ends_with_line_break(&self) -> bool {
        self.shape() == Shape::Text && self.0.ends_with(b"\n")
    }

    /// Returns the bytes to send.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads all of it. The buffer has room for the largest value: a vector that grows leaves copies behind.
    fn drain(source: impl Read) -> Result<Self, CommandError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST + 64));
        let limit = u64::try_from(LARGEST + 1).unwrap_or(u64::MAX);
        source
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|error| CommandError::usage(format!("cannot read the value: {error}")))?;
        if bytes.len() > LARGEST {
            return Err(
                CommandError::usage(format!("the value is larger than {LARGEST} bytes"))
                    .with_hint("AWS does not store larger values"),
            );
        }
        Ok(Self(bytes))
    }

    fn ask() -> Result<Self, CommandError> {
        let prompt = |text| {
            rpassword::prompt_password(text)
                .map(Zeroizing::new)
                .map_err(|error| CommandError::new(format!("cannot prompt for the value: {error}")))
        };
        let first = prompt("New value: ")?;
        let second = prompt("Repeat the value: ")?;
        if *first != *second {
            return Err(CommandError::new("the two values do not match"));
        }
        Self::drain(first.as_bytes())
    }

    fn stripped(mut self) -> Self {
        for end in [&b"\r\n"[..], b"\n"] {
            if self.0.ends_with(end) {
                let length = self.0.len() - end.len();
                self.0[length..].zeroize();
                self.0.truncate(length);
                break;
            }
        }
        self
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &[u8]) -> Result<Value, CommandError> {
        Value::drain(bytes)
    }

    #[test]
    fn debug_output_hides_the_value() {
        let value = value(b"CANARY-7f3a").expect("a value");
        assert_eq!(format!("{value:?}"), "Value(hidden)");
    }

    #[test]
    fn a_value_that_is_not_utf8_is_binary() {
        let shape = |bytes: &[u8]| value(bytes).expect("a value").shape();
        assert_eq!(
            [shape(b"caf\xc3\xa9"), shape(b"\xff\x00")],
            [Shape::Text, Shape::Binary]
        );
    }

    #[test]
    fn a_line_break_at_the_end_of_text_is_detected() {
        let ends = |bytes: &[u8]| value(bytes).expect("a value").ends_with_line_break();
        assert!(ends(b"secret\n") && ends(b"secret\r\n"));
        assert!(!ends(b"secret") && !ends(b"\xff\n"));
    }

    #[test]
    fn exactly_one_line_break_is_removed() {
        let stripped = |bytes: &[u8]| value(bytes).expect("a value").stripped().bytes().to_vec();
        assert_eq!(stripped(b"a\n\n"), b"a\n");
        assert_eq!(stripped(b"a\r\n"), b"a");
        assert_eq!(stripped(b"a"), b"a");
    }

    #[test]
    fn the_largest_value_is_accepted_and_one_byte_more_is_not() {
        assert!(value(&vec![b'x'; LARGEST]).is_ok());
        let refused = value(&vec![b'x'; LARGEST + 1]).expect_err("too large");
        assert_eq!(
            refused.to_string(),
            "error: the value is larger than 65536 bytes\nhint: AWS does not store larger values"
        );
    }
}
