//! The reasons that each condition may have, for reference pages and clients.
//!
//! Reasons are not chosen here. A test compares this list with the places where they are.

use secret_rotation_core::advance::Phase;
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::operation::Failure;
use secret_rotation_core::survey::State;

use crate::conditions::{ConditionStatus, ConditionType};
use crate::health::Health;
use crate::operation::ApprovedReason;
use crate::readiness::{ReadyReason, ReconcilingReason};

/// A condition of a resource, with every reason that it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The resource that has the condition.
    pub kind: &'static str,
    /// The type of the condition.
    pub name: &'static str,
    /// What the condition means while it is True.
    pub meaning: &'static str,
    /// The reasons while it is True.
    pub if_true: Vec<&'static str>,
    /// The reasons while it is False or Unknown. The list is empty if the condition exists only while True.
    pub otherwise: Vec<&'static str>,
}

/// The reasons for which a profile is not ready. All other problems concern one policy or one region.
const OF_PROFILES: [ReadyReason; 5] = [
    ReadyReason::Progressing,
    ReadyReason::WrongAccount,
    ReadyReason::InvalidSpec,
    ReadyReason::AccessDenied,
    ReadyReason::CredentialsUnavailable,
];

/// Returns what a reason of a condition, a state, or a word of `blockedBy` means, as a sentence without its full
/// stop. Returns `None` for other words. `docs/reasons.md` has a paragraph for each, with what to do.
pub fn sentence(word: &str) -> Option<&'static str> {
    // A word of several sets has one meaning for the reader. Conditions come first, because people see most words
    // there.
    ReadyReason::parse(word)
        .map(ReadyReason::sentence)
        .or_else(|| ReconcilingReason::parse(word).map(ReconcilingReason::sentence))
        .or_else(|| Health::parse(word).map(Health::sentence))
        .or_else(|| ApprovedReason::parse(word).map(ApprovedReason::sentence))
        .or_else(|| State::parse(word).map(State::sentence))
        .or_else(|| BlockReason::parse(word).map(BlockReason::sentence))
        .or_else(|| Phase::parse(word).map(Phase::sentence))
        .or_else(|| Failure::parse(word).map(Failure::sentence))
}

/// Returns every condition of every resource, in the order in which the resources are documented.
pub fn conditions() -> Vec<Condition> {
    [of_policies(), of_operations(), of_profiles()].concat()
}

fn of_policies() -> Vec<Condition> {
    let condition = |kind: ConditionType, meaning, if_true, otherwise| Condition {
        kind: "SecretRotationPolicy",
        name: kind.name(),
        meaning,
        if_true,
        otherwise,
    };
    // The account of the credentials is checked for the profile; its policies see a profile that is not ready.
    let ready = ReadyReason::ALL.into_iter();
    let ready = ready.filter(|reason| *reason != ReadyReason::WrongAccount);
    let (if_ready, if_not) = ready.partition(|reason| reason.status() == ConditionStatus::True);
    let (if_healthy, if_unhealthy) = Health::ALL
        .into_iter()
        .partition(|health| health.status() == ConditionStatus::True);
    vec![
        condition(
            ConditionType::Ready,
            "The controller can do its job for this generation.",
            names(if_ready, ReadyReason::name),
            names(if_not, ReadyReason::name),
        ),
        condition(
            ConditionType::Healthy,
            "No selected secret needs attention; rotations in progress do not count.",
            names(if_healthy, Health::name),
            names(if_unhealthy, Health::name),
        ),
        condition(
            ConditionType::Stalled,
            "Only a change of the policy or of its profile can help; exists only while True.",
            names(ReadyReason::STALLED.to_vec(), ReadyReason::name),
            Vec::new(),
        ),
        condition(
            ConditionType::Reconciling,
            "The controller is still working towards Ready; exists only while True.",
            names(ReconcilingReason::ALL.to_vec(), ReconcilingReason::name),
            Vec::new(),
        ),
    ]
}

fn names<T>(words: Vec<T>, name: fn(T) -> &'static str) -> Vec<&'static str> {
    words.into_iter().map(name).collect()
}

fn of_operations() -> Vec<Condition> {
    let failures = Failure::ALL.map(Failure::name);
    let phases = Phase::ALL.map(Phase::name);
    let condition = |kind: ConditionType, meaning, if_true: &[_], otherwise: Vec<_>| Condition {
        kind: "SecretRotationOperation",
        name: kind.name(),
        meaning,
        if_true: if_true.into(),
        otherwise,
    };
    vec![
        condition(
            ConditionType::Complete,
            "The operation has done what was requested; always exists.",
            &[ReadyReason::Succeeded.name()],
            [phases.as_slice(), &failures].concat(),
        ),
        condition(
            ConditionType::Failed,
            "The operation has ended without success; exists only while True.",
            &failures,
            Vec::new(),
        ),
        condition(
            ConditionType::Approved,
            "A person has agreed; exists once someone has decided.",
            &[ApprovedReason::Approved.name()],
            vec![ApprovedReason::Denied.name()],
        ),
    ]
}

fn of_profiles() -> Vec<Condition> {
    vec![Condition {
        kind: "AWSAccessProfile",
        name: ConditionType::Ready.name(),
        meaning: "Policies can use the profile.",
        if_true: vec![ReadyReason::Succeeded.name()],
        otherwise: names(OF_PROFILES.to_vec(), ReadyReason::name),
    }]
}
