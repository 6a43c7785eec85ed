//! What an operation will do and what it expects, in sentences, and which other command may be meant.

use kube::ResourceExt as _;
use secret_rotation_api::operation::{Action, Expectation, SecretRotationOperationSpec};
use secret_rotation_api::policy::FindingStatus;
use secret_rotation_core::survey::State;

use super::target::Target;
use crate::CommandError;

/// Rejects an action that does not fit the state of the secret, with a hint at the one that does.
pub(super) fn reject_mismatch(action: Action, target: &Target) -> Result<(), CommandError> {
    let finding = target.finding.as_ref();
    let state = finding.and_then(FindingStatus::known_state);
    let reported = finding.map_or("", |finding| finding.state.as_str());
    let secret = &target.secret;
    let flags = flags(target);
    match (action, state) {
        (Action::Rotate, Some(State::Stuck)) => Err(CommandError::new(format!(
            "{secret} is stuck: AWS refuses to start another rotation of it"
        ))
        .with_hint(format!(
            "`kubectl secret-rotation rotate {secret} --retry {flags}` retries the pending version; `kubectl secret-rotation clear {secret} --rotate {flags}` abandons it and rotates; `kubectl secret-rotation promote {secret} {flags}` makes it current if the target accepts its value"
        ))),
        (Action::Rotate, Some(State::Rotating)) => Err(CommandError::new(format!(
            "{secret} is already being rotated"
        ))
        .with_hint(format!(
            "`kubectl secret-rotation status -w -n {}` shows its progress",
            namespace(target)
        ))),
        (Action::RestoreSecret, state)
            if finding.is_some() && state != Some(State::ScheduledForDeletion) => {
            Err(CommandError::new(format!(
                "{secret} is {reported}, not scheduled for deletion"
            ))
            .with_hint(format!(
                "`kubectl secret-rotation undo {secret} {flags}` undoes a clear; `restore` cancels a deletion"
            )))
        }
        _ => Ok(()),
    }
}

fn namespace(target: &Target) -> String {
    target.policy.namespace().unwrap_or_default()
}

/// Returns the flags that select the same secret.
fn flags(target: &Target) -> String {
    format!("-n {} --region {}", namespace(target), target.region)
}

/// Describes what the operation will do, and what it expects.
pub(super) fn describe(target: &Target, spec: &SecretRotationOperationSpec) -> String {
    let mut lines = vec![
        format!(
            "{} of {} in {}, for policy {}:",
            spec.action.name(),
            target.secret,
            target.region,
            spec.policy_ref.name
        ),
        format!("  {}", effect(spec)),
    ];
    let expected = spec.expect.as_ref().map(expectations).unwrap_or_default();
    let expected = if expected.is_empty() {
        // Only ReleasePins may expect nothing (docs/actions.md).
        "the secret has been healthy and unchanged for a complete attemptWindow since a rotation succeeded"
            .to_owned()
    } else {
        expected.join(", and ")
    };
    lines.push(format!(
        "  This happens only if {expected}; otherwise the operation fails and changes nothing."
    ));
    lines.extend(undo(spec.action, target).map(|undo| format!("  {undo}")));
    lines.join("\n")
}

/// Describes the requests to AWS.
fn effect(spec: &SecretRotationOperationSpec) -> String {
    let pause = &spec.confirm_after;
    match spec.action {
        Action::RetryRotation => "AWS runs the rotation function again for the pending version. The controller moves no label.".to_owned(),
        Action::Rotate => "AWS starts a rotation.".to_owned(),
        Action::ClearPending => format!("The pending version is pinned, so that AWS keeps it; after {pause} AWSPENDING is removed from it."),
        Action::ClearAndRotate => format!("The pending version is pinned, so that AWS keeps it; after {pause} AWSPENDING is removed from it; then AWS starts a rotation, and after its success the pin is removed."),
        Action::PromotePending => "AWSCURRENT moves to the pending version. You confirm that the target accepts its value.".to_owned(),
        Action::RestorePending => "AWSPENDING moves back onto the pinned version.".to_owned(),
        Action::RevertToPrevious => "AWSCURRENT moves back to the previous version. The password at the target does not move with it.".to_owned(),
        Action::RestoreSecret => "The scheduled deletion is canceled.".to_owned(),
        Action::ReleasePins => match spec.expect.as_ref().and_then(|expect| expect.pinned_version_id.as_ref()) {
            Some(version) => format!("The controller's own labels are removed from version {version}, but never the newest on the secret. AWS may then delete the version: this cannot be undone."),
            None => "The controller's own labels are removed from all versions. AWS may then delete those versions: this cannot be undone.".to_owned(),
        },
    }
}

fn expectations(expect: &Expectation) -> Vec<String> {
    let labels = [
        ("AWSCURRENT", &expect.current_version_id),
        ("AWSPENDING", &expect.pending_version_id),
        ("AWSPREVIOUS", &expect.previous_version_id),
        ("a pin", &expect.pinned_version_id),
    ];
    let versions = labels
        .into_iter()
        .filter_map(|(label, version)| Some(format!("{label} is on {}", version.as_ref()?)));
    let deleted = expect.deleted_time.as_ref();
    let deleted = deleted.map(|time| format!("the deletion was scheduled on {time}"));
    versions.chain(deleted).collect()
}

/// Describes how to undo the action (docs/actions.md).
fn undo(action: Action, target: &Target) -> Option<String> {
    let (command, what) = match action {
        Action::ClearPending => ("undo", "undoes it."),
        Action::ClearAndRotate => ("undo", "undoes the clear until the rotation has succeeded."),
        Action::Rotate | Action::PromotePending | Action::RevertToPrevious => (
            "revert",
            "moves the label back, but does not change the target.",
        ),
        Action::RestorePending => ("clear", "undoes it."),
        Action::RetryRotation | Action::RestoreSecret | Action::ReleasePins => return None,
    };
    let (secret, flags) = (&target.secret, flags(target));
    Some(format!(
        "`kubectl secret-rotation {command} {secret} {flags}` {what}"
    ))
}
