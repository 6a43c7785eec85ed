//! One line of the doctor.

use std::fmt;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// As it should be.
    Ok,
    /// Not known, or worth a look.
    Warn,
    /// Something will not work.
    Failed,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// How it went.
    pub grade: Grade,
    /// What was checked.
    pub what: String,
    /// What was seen.
    pub seen: String,
    /// What to do.
    pub advice: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(crate) fn ok(what: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::new(Grade::Ok, what, seen)
    }

    /// Not known, or worth a look.
    pub(crate) fn warn(what: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::new(Grade::Warn, what, seen)
    }

    /// Something will not work.
    pub(crate) fn failed(what: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::new(Grade::Failed, what, seen)
    }

    /// The same, with what to do.
    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// A check that the API server did not answer: not allowed to look is no failure of what was to be looked at.
    pub(crate) fn unseen(what: impl Into<String>, error: &kube::Error) -> Self {
        // `Display` of an API error prints the whole Status.
        let kube::Error::Api(status) = error else {
            return Self::warn(what, format!("it could not be read: {error}"));
        };
        if status.code == 403 {
            return Self::warn(what, "you may not look at it").advice(
                "ask an administrator: the roles of the chart are for policies and operations only",
            );
        }
        Self::warn(what, format!("it could not be read: {}", status.message))
    }

    fn new(grade: Grade, what: impl Into<String>, seen: impl Into<String>) -> Self {
        Self {
            grade,
            what: what.into(),
            seen: seen.into(),
            advice: None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Ok => "ok    ",
            Grade::Warn => "warn  ",
            Grade::Failed => "FAILED",
        };
        writeln!(f, "{grade}  {}: {}", self.what, self.seen)?;
        match &self.advice {
            Some(advice) => writeln!(f, "        → {advice}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_it_went_and_what_to_do() {
        let finding = Finding::failed("lease", "it is old").advice("look at the log");
        assert_eq!(
            finding.to_string(),
            "FAILED  lease: it is old\n        → look at the log\n"
        );
        assert_eq!(Finding::ok("a", "b").to_string(), "ok      a: b\n");
    }

    #[test]
    fn the_worst_grade_is_the_greatest() {
        assert!(Grade::Failed > Grade::Warn && Grade::Warn > Grade::Ok);
    }
}
