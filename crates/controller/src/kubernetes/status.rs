//! Writes status by server-side apply: the whole status each time, refused with a conflict if the object has changed
//! since it was read. Where apply is impossible, or once was, a merge writes the whole status instead.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Api, Resource, ResourceExt as _};
use secret_rotation_api::FIELD_MANAGER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Error;
use crate::kubernetes::with_call_timeout;

/// Applies a status. Returns the stored object, even if it cannot be decoded.
///
/// A write that timed out may have been applied. Because of the resourceVersion, a second attempt is then refused
/// with a conflict.
pub(crate) async fn apply<K, S>(
    api: &Api<DeserializeGuard<K>>,
    name: &str,
    resource_version: &str,
    status: &S,
) -> Result<DeserializeGuard<K>, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    S: Serialize + Sync,
{
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "resourceVersion": resource_version},
        "status": status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let stored =
        with_call_timeout(api.patch_status(name, &parameters, &Patch::Apply(&patch))).await?;
    let unmoved = stored.resource_version().as_deref() == Some(resource_version);
    tracing::debug!(kind = %K::kind(&()), name, unmoved, "status applied");
    Ok(stored)
}

/// How to write the status of an object so that fields that it no longer has are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteMethod {
    /// By server-side apply.
    Apply,
    /// By a merge that replaces the whole status. The status was merged once, and merged fields survive every apply,
    /// because they then have two owners.
    Replace,
    /// By a merge. The object does not match its CRD, and the API server may be unable to apply to it.
    Merge,
}

impl WriteMethod {
    /// Returns how to write to an object that a watch showed.
    pub(crate) fn of<K: Resource>(object: &DeserializeGuard<K>) -> Self {
        let mut owners = object.meta().managed_fields.iter().flatten();
        match (&object.0, owners.any(is_merged)) {
            (Err(_), _) => Self::Merge,
            (Ok(_), true) => Self::Replace,
            (Ok(_), false) => Self::Apply,
        }
    }
}

/// Returns whether the entry shows that this controller merged a status.
pub(crate) fn is_merged(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Update")
        && entry.subresource.as_deref() == Some("status")
}

/// Writes a status in the given way. `old` is the stored status.
pub(crate) async fn publish<K, S>(
    api: &Api<DeserializeGuard<K>>,
    (name, resource_version): (&str, &str),
    way: WriteMethod,
    (old, new): (Option<&S>, &S),
) -> Result<DeserializeGuard<K>, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    S: Serialize + Sync,
{
    match way {
        WriteMethod::Apply => apply(api, name, resource_version, new).await,
        WriteMethod::Merge => merge(api, name, resource_version, &json!(new)).await,
        WriteMethod::Replace => {
            merge(
                api,
                name,
                resource_version,
                &replacing(&json!(old), &json!(new)),
            )
            .await
        }
    }
}

/// Builds a merge that leaves only the new value: fields that it no longer has are removed.
fn replacing(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return new.clone();
    };
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let kept = new.iter().map(|(key, value)| {
        let old = old.get(key).unwrap_or(&Value::Null);
        (key.clone(), replacing(old, value))
    });
    Value::Object(gone.chain(kept).collect())
}

/// Merges a status into an object that does not match its CRD. The API server cannot apply to such an object, but
/// accepts a merge that leaves the rest unchanged.
pub(crate) async fn merge<K, S>(
    api: &Api<DeserializeGuard<K>>,
    name: &str,
    resource_version: &str,
    status: &S,
) -> Result<DeserializeGuard<K>, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    S: Serialize + Sync,
{
    let patch = json!({"metadata": {"resourceVersion": resource_version}, "status": status});
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    with_call_timeout(api.patch_status(name, &parameters, &Patch::Merge(&patch))).await
}

#[cfg(test)]
mod tests {
    use fixtures::{merged, resource};
    use secret_rotation_api::policy::SecretRotationPolicy;

    use super::*;

    #[test]
    fn a_status_that_was_merged_once_is_replaced_as_a_whole_afterwards() {
        let way = |spec: &Value, owners: &Value| {
            let object = resource("SecretRotationPolicy", "b", "a", spec);
            let object = merged(object, &json!({"metadata": {"managedFields": owners}}));
            let object = serde_json::from_value::<DeserializeGuard<SecretRotationPolicy>>(object);
            WriteMethod::of(&object.expect("an object"))
        };
        let good = json!({"selector": {"include": [{"namePrefix": "a"}]}});
        let owner = |operation: &str, manager: &str| json!({"manager": manager, "operation": operation, "subresource": "status"});
        let (merged, applied) = (
            owner("Update", FIELD_MANAGER),
            owner("Apply", FIELD_MANAGER),
        );
        assert_eq!(
            way(&good, &json!([applied, owner("Update", "kubectl")])),
            WriteMethod::Apply
        );
        assert_eq!(way(&good, &json!([applied, merged])), WriteMethod::Replace);
        assert_eq!(
            way(&json!({"selector": 7}), &json!([merged])),
            WriteMethod::Merge
        );
    }

    #[test]
    fn a_replacing_merge_removes_absent_fields() {
        let old = json!({"a": 1, "b": {"opens": 1, "closes": 2}, "c": [1, 2], "d": {"e": 1}});
        let new = json!({"b": {"closes": 3}, "c": [2], "f": {"g": 1}});
        let patch = json!({"a": null, "b": {"opens": null, "closes": 3}, "c": [2], "d": null, "f": {"g": 1}});
        assert_eq!(replacing(&old, &new), patch);
        assert_eq!(replacing(&Value::Null, &new), new);
    }
}
