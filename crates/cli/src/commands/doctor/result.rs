//! The result of one check, and how it is printed.

use std::fmt;

/// The grade of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// Everything is correct.
    Ok,
    /// Unknown, or worth a look.
    Warn,
    /// Something does not work.
    Failed,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckResult {
    /// The grade.
    pub grade: Grade,
    /// What was checked.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What to do.
    pub hint: Option<String>,
}

impl CheckResult {
    /// Returns a result that is correct.
    pub(crate) fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Grade::Ok, what, found)
    }

    /// Returns a result that is unknown, or worth a look.
    pub(crate) fn warn(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Grade::Warn, what, found)
    }

    /// Returns a result that something does not work.
    pub(crate) fn failed(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Grade::Failed, what, found)
    }

    /// Adds what to do.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the result of a check that the API server did not answer. A missing permission is only a warning: it
    /// does not mean that what was to be checked is wrong.
    pub(crate) fn unreadable(what: impl Into<String>, error: &kube::Error) -> Self {
        // `Display` of an API error prints the complete Status.
        let kube::Error::Api(status) = error else {
            return Self::warn(what, format!("it could not be read: {error}"));
        };
        if status.code == 403 {
            return Self::warn(what, "you do not have permission to read it").with_hint(
                "ask an admin: the roles of the chart cover only policies and operations",
            );
        }
        Self::warn(what, format!("it could not be read: {}", status.message))
    }

    fn new(grade: Grade, what: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            grade,
            what: what.into(),
            found: found.into(),
            hint: None,
        }
    }
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Ok => "ok    ",
            Grade::Warn => "warn  ",
            Grade::Failed => "FAILED",
        };
        writeln!(f, "{grade}  {}: {}", self.what, self.found)?;
        match &self.hint {
            Some(hint) => writeln!(f, "        → {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_printed_with_its_grade_and_hint() {
        let result = CheckResult::failed("lease", "it is old").with_hint("look at the log");
        assert_eq!(
            result.to_string(),
            "FAILED  lease: it is old\n        → look at the log\n"
        );
        assert_eq!(CheckResult::ok("a", "b").to_string(), "ok      a: b\n");
    }

    #[test]
    fn the_worst_grade_is_the_greatest() {
        assert!(Grade::Failed > Grade::Warn && Grade::Warn > Grade::Ok);
    }
}
