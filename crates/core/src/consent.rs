//! Decides whether an operation waits for an approval, and evaluates the decision of the approver.
//!
//! The API server decides who may approve, by its admission policies. This module only checks that those policies are
//! installed, and that no one approved a request of their own.

use crate::approval::{Answer, Approval, Decision};
use std::time::Duration;

use crate::action::Action;
use crate::operation::{Operation, Trigger};
use crate::policy::Policy;
use crate::profile::Profile;
use crate::time::ServerTime;

/// API servers need a moment before a policy that was just created refuses anything.
const ADMISSION_DELAY: Duration = Duration::from_secs(5);

/// Whether the API server enforces who may approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It enforces it for all operations that were created later than this.
    Enforced {
        /// When the last of the policies and bindings was created, or when a change of one was noticed.
        since: ServerTime,
    },
    /// It does not enforce it: anyone who may write an operation could approve it.
    Missing {
        /// What is missing.
        what: String,
    },
    /// It enforces the rules of another release.
    OtherVersion {
        /// What differs, and the version it belongs to.
        what: String,
    },
    /// The controller may not read whether it does.
    Unreadable {
        /// What the controller may not read.
        what: String,
    },
}

/// The state of the approval of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// No approval is needed.
    NotNeeded,
    /// An approval is needed and not given yet.
    Awaited {
        /// What to do, in a sentence.
        message: String,
    },
    /// The operation is approved.
    Given {
        /// The approver.
        by: String,
    },
    /// The approval is denied, or can never be given.
    Refused {
        /// Why, in a sentence.
        message: String,
    },
}

/// Returns the strictest of what the operation, the policy and the profile require.
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

/// Returns whether an operation needs a decision and has none yet.
pub fn is_undecided(operation: &Operation, policy: &Policy, profile: &Profile) -> bool {
    !operation.has_started()
        && operation.decision.is_none()
        && required(operation.approval, operation.action, policy, profile) == Approval::Required
}

/// Returns the denial of the operation, if it was denied. A denial counts regardless of policy and profile, and also
/// where they are unknown.
pub fn denied(operation: &Operation) -> Option<Consent> {
    let decision = operation.decision.as_ref()?;
    (decision.answer == Answer::Deny).then(|| Consent::Refused {
        message: with_reason(format!("denied by {}", decision.by), decision),
    })
}

/// Returns the state of the approval under the assumption that the API server enforces who may approve. It depends on
/// the operation, its policy and its profile alone.
pub fn consent_if_enforced(operation: &Operation, policy: &Policy, profile: &Profile) -> Consent {
    let always = Admission::Enforced {
        since: ServerTime::new(jiff::Timestamp::UNIX_EPOCH),
    };
    consent(operation, policy, profile, &always)
}

/// Returns the state of the approval of an operation. A denial counts wherever it comes from: to stop is always safe.
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
            message: not_enforced_because(operation, admission)
                .unwrap_or_else(|| "waiting for an approver to set spec.decision".to_owned()),
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
                "{requester} requested the operation and cannot approve it; create another operation"
            ),
        },
        (None, Trigger::Manual) => Consent::Refused {
            message: "spec.requestedBy is missing, so it is unknown whether another person approved; create another operation that sets it"
                .to_owned(),
        },
        (Some(_), _) | (None, Trigger::Policy) => Consent::Given {
            by: decision.by.clone(),
        },
    }
}

/// Returns why the API server may not have enforced who approved. `None` = it has enforced it.
fn not_enforced_because(operation: &Operation, admission: &Admission) -> Option<String> {
    match admission {
        Admission::Missing { what } => Some(format!(
            "admission policies are not installed: {what}; no approval counts"
        )),
        Admission::OtherVersion { what } => Some(format!(
            "admission policies are of another version: {what}; no approval counts"
        )),
        Admission::Unreadable { what } => Some(format!(
            "it is unknown whether admission policies are installed: the controller may not read {what}; no approval counts"
        )),
        Admission::Enforced { since } if operation.created < since.plus(ADMISSION_DELAY) => {
            Some(format!(
                "admission policies may not have been in force when this operation was created: they are known to be unchanged since \
                 {since}, so anyone may have approved it before; create another operation"
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
