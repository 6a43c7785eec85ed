//! AWS's sample rotation function with its steps, for a secret and its target.

use jiff::Timestamp;

use crate::labels::{CURRENT, PENDING, PREVIOUS};
use crate::model::{Secret, SecretValue, Strategy};

/// The result of a step.
pub(crate) enum StepEnd {
    Done,
    NothingToDo,
    Failed,
    Hung,
}

/// Runs one step of AWS's sample function, with its checks.
pub(crate) fn lambda(secret: &mut Secret, token: &str, step: &str, at: Timestamp) -> StepEnd {
    if secret.holder(CURRENT) == Some(token) {
        return StepEnd::Done;
    }
    if secret.holder(PENDING) != Some(token) || secret.holder(CURRENT).is_none() {
        return StepEnd::Failed;
    }
    let well = match step {
        "createSecret" => create(secret, token, at),
        "setSecret" => set(secret, token),
        "testSecret" => secret
            .value_of(Some(token))
            .is_some_and(|value| secret.target.accepts.contains(value)),
        _ => finish(secret, token, at),
    };
    if well { StepEnd::Done } else { StepEnd::Failed }
}

fn create(secret: &mut Secret, token: &str, at: Timestamp) -> bool {
    let version = secret.versions.entry(token);
    if version.value.is_none() {
        version.value = Some(SecretValue::Of(token.into()));
        version.created = Some(at);
        secret.last_changed = at;
    }
    true
}

/// Logs in to the target with the pending, current or previous value, in this order, and sets the pending value.
fn set(secret: &mut Secret, token: &str) -> bool {
    let Some(pending) = secret.value_of(Some(token)).cloned() else {
        return false;
    };
    let current = secret.value_of(secret.holder(CURRENT)).cloned();
    let previous = secret.value_of(secret.holder(PREVIOUS)).cloned();
    let accepts = |value: &Option<SecretValue>| {
        value
            .as_ref()
            .is_some_and(|value| secret.target.accepts.contains(value))
    };
    if accepts(&Some(pending.clone())) {
        return true;
    }
    if !accepts(&current) && !accepts(&previous) {
        return false;
    }
    if secret.target.strategy == Strategy::SingleUser {
        secret.target.accepts.clear();
    } else {
        secret
            .target
            .accepts
            .retain(|value| Some(value) == current.as_ref());
    }
    secret.target.accepts.push(pending);
    true
}

fn finish(secret: &mut Secret, token: &str, at: Timestamp) -> bool {
    secret.promote(token);
    secret.last_changed = at;
    true
}
