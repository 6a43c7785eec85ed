//! Whether an operation needs an approval, and the decision of the approver.

/// Whether a person must approve an operation before it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approval {
    /// No approval is needed.
    #[default]
    NotRequired,
    /// A person other than the requester must approve.
    Required,
}

/// The decision of an approver. It is made once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer of an approver.
    pub answer: Answer,
    /// The user name of the approver, as the API server reports it.
    pub by: String,
    /// The reason.
    pub message: Option<String>,
}

/// The answer of an approver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The operation may run.
    Approve,
    /// The operation must not run.
    Deny,
}
