//! Whether someone must approve an operation, and what that person decided.

/// Whether a person must agree first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approval {
    /// Nobody need agree.
    #[default]
    NotRequired,
    /// Somebody other than the requester must.
    Required,
}

/// What a person decided, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub answer: Answer,
    /// Who decided, as the API server knows them.
    pub by: String,
    /// Why.
    pub message: Option<String>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may go on.
    Approve,
    /// It must not.
    Deny,
}
