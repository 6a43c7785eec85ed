//! Whether an operation waits for a person, and what that person said.
//!
//! Who may decide is settled by the API server, in its admission policies. Here it is only checked that they are in
//! place, and that nobody decided about a request of their own.

use crate::approval::{Answer, Approval, Decision};
use std::time::Duration;

use crate::action::Action;
use crate::operation::{Operation, Trigger};
use crate::policy::Policy;
use crate::profile::Profile;
use crate::time::ServerTime;

/// API servers take a moment until a policy that was just created refuses anything.
const ADMISSION_DELAY: Duration = Duration::from_secs(5);

/// Whether the API server itself watches over who decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It does, over all operations that were created later than this.
    Enforced {
        /// When the last of its policies and bindings was created, or a change of one was noticed.
        since: ServerTime,
    },
    /// It does not: whoever may write an operation could approve it.
    Missing {
        /// What is missing.
        what: String,
    },
    /// It does, by other rules than those of this release.
    OtherVersion {
        /// What differs, and which version it is of.
        what: String,
    },
    /// The controller may not look whether it does.
    Unreadable {
        /// What it may not read.
        what: String,
    },
}

/// Where the agreement to one operation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// None is needed.
    NotNeeded,
    /// It is needed and not given yet.
    Awaited {
        /// What to do, in a sentence.
        message: String,
    },
    /// It is given.
    Given {
        /// By whom.
        by: String,
    },
    /// It is refused, or can never be given.
    Refused {
        /// Why, in a sentence.
        message: String,
    },
}

/// The strictest of what operation, policy and profile ask for.
pub fn required(asked: Approval, action: Action, policy: &Policy, profile: &Profile) -> Approval {
    let by_profile = action
        .permissions()
        .iter()
        .any(|permission| profile.approval_required_for.contains(permission));
    let by_profile = if by_profile {
        Approval::Required
    } else {
        Approval::NotRequired
    };
    asked.max(policy.remediation.approval).max(by_profile)
}

/// Whether a decision is still to be made about an operation that needs one.
pub fn is_undecided(operation: &Operation, policy: &Policy, profile: &Profile) -> bool {
    !operation.has_started()
        && operation.decision.is_none()
        && required(operation.approval, operation.action, policy, profile) == Approval::Required
}

/// A refusal counts whatever policy and profile say, and where they are not known.
pub fn denied(operation: &Operation) -> Option<Consent> {
    let decision = operation.decision.as_ref()?;
    (decision.answer == Answer::Deny).then(|| Consent::Refused {
        message: with_reason(format!("denied by {}", decision.by), decision),
    })
}

/// Where the agreement stands if the API server has watched over who decides: as much as the operation itself tells.
pub fn consent_if_enforced(operation: &Operation, policy: &Policy, profile: &Profile) -> Consent {
    let always = Admission::Enforced {
        since: ServerTime::new(jiff::Timestamp::UNIX_EPOCH),
    };
    consent(operation, policy, profile, &always)
}

/// Where the agreement to an operation stands. A refusal counts wherever it comes from: to stop is always safe.
pub fn consent(
    operation: &Operation,
    policy: &Policy,
    profile: &Profile,
    admission: &Admission,
) -> Consent {
    if let Some(denied) = denied(operation) {
        return denied;
    }
    let required = required(operation.approval, operation.action, policy, profile);
    match (&operation.decision, required) {
        (_, Approval::NotRequired) => Consent::NotNeeded,
        (None, Approval::Required) => Consent::Awaited {
            message: not_enforced_because(operation, admission).unwrap_or_else(|| {
                "waiting for a person who may approve to set spec.decision".to_owned()
            }),
        },
        (Some(decision), Approval::Required) => approved(operation, decision, admission),
    }
}

fn approved(operation: &Operation, decision: &Decision, admission: &Admission) -> Consent {
    if let Some(message) = not_enforced_because(operation, admission) {
        return Consent::Awaited { message };
    }
    match (&operation.requested_by, operation.trigger) {
        (Some(requester), _) if *requester == decision.by => Consent::Refused {
            message: format!(
                "{requester} asked for it and cannot approve it; create another operation"
            ),
        },
        (None, Trigger::Manual) => Consent::Refused {
            message: "spec.requestedBy is missing, so nobody knows whether another person approved; create another operation that says it"
                .to_owned(),
        },
        (Some(_), _) | (None, Trigger::Policy) => Consent::Given {
            by: decision.by.clone(),
        },
    }
}

/// Why nobody can have watched over who approved, if so.
fn not_enforced_because(operation: &Operation, admission: &Admission) -> Option<String> {
    match admission {
        Admission::Missing { what } => Some(format!(
            "admission policies not installed: {what}; nobody's approval counts"
        )),
        Admission::OtherVersion { what } => Some(format!(
            "admission policies of another version: {what}; nobody's approval counts"
        )),
        Admission::Unreadable { what } => Some(format!(
            "admission policies not known to be installed: the controller may not read {what}; nobody's approval counts"
        )),
        Admission::Enforced { since } if operation.created < since.plus(ADMISSION_DELAY) => {
            Some(format!(
                "admission policies not installed when this was created: they are known to be unchanged and in force since {since}, \
                 so that anybody may have approved it before; create another operation"
            ))
        }
        Admission::Enforced { .. } => None,
    }
}

fn with_reason(mut text: String, decision: &Decision) -> String {
    if let Some(message) = &decision.message {
        text.push_str(": ");
        text.push_str(message);
    }
    text
}
