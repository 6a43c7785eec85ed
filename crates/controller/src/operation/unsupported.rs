//! Operations that cannot be parsed: mistakes that no schema finds, and fields that a newer release wrote.
//!
//! An operation that never began has written nothing, so it ends. An operation that has begun may be in progress in
//! AWS: it stays as it is and reports the reason, and no other operation may act on its secret.

use std::sync::Arc;
use std::time::Duration;

use kube::core::{DeserializeGuard, DynamicObject};
use kube::{Api, ResourceExt as _};
use secret_rotation_api::conditions::{ConditionType, is_true};
use secret_rotation_api::operation::{
    SecretRotationOperation, SecretRotationOperationStatus, UnsupportedReport,
};
use secret_rotation_core::names::ObjectKey;

use crate::context::Context;
use crate::error::Error;
use crate::kubernetes::status;

/// The time between two reads of such an operation. It may take long until a newer release runs or a person deletes
/// it.
const PAUSE: Duration = Duration::from_mins(10);

/// Publishes why the operation cannot be parsed, and ends it if that is safe.
pub(super) async fn publish(
    context: &Arc<Context>,
    key: &ObjectKey,
    why: &str,
) -> Result<Option<Duration>, Error> {
    let Some(object) = context.reader.raw_operation(key).await? else {
        return Ok(None);
    };
    let old = published(&object);
    let ended = |kind| {
        old.as_ref()
            .is_some_and(|old| is_true(&old.conditions, kind))
    };
    if ended(ConditionType::Complete) || ended(ConditionType::Failed) {
        return Ok(None);
    }
    let begun = has_begun(&object);
    let ends = if begun {
        None
    } else {
        Some(context.time_without_look()?)
    };
    let unsupported = UnsupportedReport {
        generation: object.metadata.generation.unwrap_or(0),
        why,
        ends,
        now: context.server_time()?,
    };
    let new = SecretRotationOperationStatus::unsupported(old.as_ref(), &unsupported);
    if old.as_ref() != Some(&new) {
        write(context, key, object, &new).await?;
        tracing::warn!(operation = %key, why, begun, "operation cannot be parsed");
    }
    Ok(begun.then_some(PAUSE))
}

async fn write(
    context: &Arc<Context>,
    key: &ObjectKey,
    object: DynamicObject,
    new: &SecretRotationOperationStatus,
) -> Result<(), Error> {
    context.claim()?;
    let api: Api<DeserializeGuard<SecretRotationOperation>> =
        Api::namespaced(context.client.clone(), key.namespace.as_str());
    let version = object.resource_version().unwrap_or_default();
    let stored = if object.try_parse::<SecretRotationOperation>().is_ok() {
        status::apply(&api, key.name.as_str(), &version, new).await?
    } else {
        status::merge(&api, key.name.as_str(), &version, new).await?
    };
    let version = stored.resource_version().unwrap_or_default();
    context.queues.operations.record_write(key, version);
    Ok(())
}

/// Returns the status, if this release can parse it.
fn published(object: &DynamicObject) -> Option<SecretRotationOperationStatus> {
    let status = object.data.get("status")?.clone();
    serde_json::from_value(status).ok()
}

/// Returns whether the operation has a journal, whatever it holds. A status that cannot be parsed may have one.
fn has_begun(object: &DynamicObject) -> bool {
    let Some(status) = object.data.get("status") else {
        return false;
    };
    let steps = status.get("steps").and_then(|steps| steps.as_array());
    steps.is_some_and(|steps| !steps.is_empty()) || published(object).is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(status: &Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "secretrotation.dev/v1alpha1", "kind": "SecretRotationOperation",
            "metadata": {"name": "x", "namespace": "team"}, "status": status,
        });
        serde_json::from_value(object).expect("an object")
    }

    #[test]
    fn only_an_operation_that_certainly_never_began_ends() {
        assert!(!has_begun(&object(&json!({"observedGeneration": -1}))));
        assert!(!has_begun(&object(
            &json!({"steps": [], "ofANewerRelease": 1})
        )));
        for status in [
            json!({"steps": [{"name": "Leap"}]}),
            json!({"observedGeneration": "many"}),
        ] {
            assert!(has_begun(&object(&status)), "{status}");
        }
    }
}
