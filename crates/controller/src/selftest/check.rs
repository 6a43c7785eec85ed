//! The result of one check of the self-test.

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) subject: String,
    pub(super) finding: CheckStatus,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CheckStatus {
    Fine,
    /// Something is missing or wrong: what, and what to do.
    Failed(String),
    /// It could not be checked, for a reason that is not a failure.
    Skipped(String),
}

impl Check {
    /// Builds the result of a check that passed.
    pub(super) fn passed(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            finding: CheckStatus::Fine,
        }
    }

    /// Builds the result of a check that failed.
    pub(super) fn failed(subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            finding: CheckStatus::Failed(what.into()),
        }
    }

    /// Builds the result of a check that was not made.
    pub(super) fn skipped(subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            finding: CheckStatus::Skipped(why.into()),
        }
    }

    /// Returns whether the check failed.
    pub(super) const fn has_failed(&self) -> bool {
        matches!(self.finding, CheckStatus::Failed(_))
    }
}
