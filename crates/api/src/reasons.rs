//! Which reasons each condition may have: the vocabulary that reference pages and clients list.
//!
//! Not where reasons are chosen; a test compares this with the places where they are.

use secret_rotation_core::advance::Phase;
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::operation::Failure;
use secret_rotation_core::survey::State;

/// A condition of a kind, with every reason that it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The kind that has it.
    pub kind: &'static str,
    /// Its type.
    pub name: &'static str,
    /// What it says while it is True.
    pub meaning: &'static str,
    /// The reasons while it is True.
    pub if_true: Vec<&'static str>,
    /// The reasons while it is False or Unknown; none if it is only there while True.
    pub otherwise: Vec<&'static str>,
}

const NOT_READY: [&str; 14] = [
    "Progressing",
    "ProfileNotFound",
    "ProfileNotReady",
    "NamespaceNotAllowed",
    "RegionNotAllowed",
    "SecretNotAllowed",
    "ActionNotAllowed",
    "AccessDenied",
    "CredentialsUnavailable",
    "Throttled",
    "AWSUnavailable",
    "SweepIncomplete",
    "InvalidSchedule",
    "InvalidSpec",
];

const NOT_HEALTHY: [&str; 9] = [
    "SecretBroken",
    "RotationStuck",
    "SecretExpiring",
    "RotationOverdue",
    "SecretTooOld",
    "ScheduledForDeletion",
    "SecretNotFound",
    "RotationDisabled",
    "Unknown",
];

/// What a reason of a condition, a state, or a word of `blockedBy` means, in a sentence without its full stop; `None` for
/// other words. `docs/reasons.md` has a paragraph for each, with what to do.
pub fn sentence(word: &str) -> Option<&'static str> {
    of_policy(word)
        .or_else(|| found(word, State::ALL, State::name, State::sentence))
        .or_else(|| {
            found(
                word,
                BlockReason::ALL,
                BlockReason::name,
                BlockReason::sentence,
            )
        })
        .or_else(|| found(word, Phase::ALL, Phase::name, Phase::sentence))
        .or_else(|| found(word, Failure::ALL, Failure::name, Failure::sentence))
}

fn found<T: Copy, const N: usize>(
    word: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
    sentence: fn(T) -> &'static str,
) -> Option<&'static str> {
    let one = all.into_iter().find(|one| name(*one) == word)?;
    Some(sentence(one))
}

/// Words that no enum of core holds.
fn of_policy(word: &str) -> Option<&'static str> {
    Some(match word {
        "Succeeded" => "everything that was asked for can be done, or was",
        "Progressing" => "the controller has not seen everything yet",
        "ProfileNotFound" => "there is no AWSAccessProfile of this name",
        "ProfileNotReady" => "the AWSAccessProfile cannot be used",
        "NamespaceNotAllowed" => "the profile does not admit the namespace",
        "RegionNotAllowed" => "the profile does not have the region",
        "SecretNotAllowed" => "a name or prefix lies outside of the profile",
        "WrongAccount" => "the credentials belong to another AWS account",
        "CredentialsUnavailable" => "AWS credentials are missing or not valid",
        "Throttled" => "AWS asks for fewer requests",
        "SweepIncomplete" => "the last check did not see everything",
        "InvalidSchedule" => "a maintenance window can never open",
        "InvalidSpec" => "the spec contradicts itself",
        "ProgressingWithRetry" => "something failed and is tried again",
        "AllRotationsHealthy" => "no selected secret needs attention",
        "NothingSelected" => "no secret matches the selector",
        "SecretBroken" => "a secret has no current version",
        "RotationStuck" => "a rotation has stopped half-way",
        "SecretExpiring" => "the value of a secret expires soon",
        "RotationOverdue" => "the date of a rotation has passed",
        "SecretTooOld" => "a current version is older than the policy allows",
        "SecretNotFound" => "a secret that is named exactly does not exist",
        "Approved" => "a person has agreed",
        "Denied" => "a person has not agreed",
        _ => return None,
    })
}

/// Every condition of every kind, in the order in which the kinds are documented.
pub fn conditions() -> Vec<Condition> {
    [of_policies(), of_operations(), of_profiles()].concat()
}

fn of_policies() -> Vec<Condition> {
    let condition = |name, meaning, if_true: &[_], otherwise: &[_]| Condition {
        kind: "SecretRotationPolicy",
        name,
        meaning,
        if_true: if_true.into(),
        otherwise: otherwise.into(),
    };
    vec![
        condition(
            "Ready",
            "The controller can do its job for this generation.",
            &["Succeeded", "Suspended"],
            &NOT_READY,
        ),
        condition(
            "Healthy",
            "No selected secret needs attention; rotations under way do not count.",
            &["AllRotationsHealthy", "NothingSelected"],
            &NOT_HEALTHY,
        ),
        condition(
            "Stalled",
            "Nothing but a change of the policy or of its profile can help; only there while True.",
            &[
                "InvalidSpec",
                "InvalidSchedule",
                "NamespaceNotAllowed",
                "RegionNotAllowed",
            ],
            &[],
        ),
        condition(
            "Reconciling",
            "The controller works towards Ready; only there while True.",
            &["Progressing", "ProgressingWithRetry"],
            &[],
        ),
    ]
}

fn of_operations() -> Vec<Condition> {
    let failures = Failure::ALL.map(Failure::name);
    let phases = Phase::ALL.map(Phase::name);
    let condition = |name, meaning, if_true: &[_], otherwise: Vec<_>| Condition {
        kind: "SecretRotationOperation",
        name,
        meaning,
        if_true: if_true.into(),
        otherwise,
    };
    vec![
        condition(
            "Complete",
            "The operation has done what it was asked for; always there.",
            &["Succeeded"],
            [phases.as_slice(), &failures].concat(),
        ),
        condition(
            "Failed",
            "The operation has ended otherwise; only there while True.",
            &failures,
            Vec::new(),
        ),
        condition(
            "Approved",
            "A person has agreed; there once somebody has decided.",
            &["Approved"],
            vec!["Denied"],
        ),
    ]
}

fn of_profiles() -> Vec<Condition> {
    vec![Condition {
        kind: "AWSAccessProfile",
        name: "Ready",
        meaning: "Policies can use the profile.",
        if_true: vec!["Succeeded"],
        otherwise: vec![
            "Progressing",
            "WrongAccount",
            "InvalidSpec",
            "AccessDenied",
            "CredentialsUnavailable",
        ],
    }]
}
