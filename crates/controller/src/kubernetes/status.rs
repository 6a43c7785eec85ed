//! Status by server-side apply: the whole status each time, refused when the object has changed since it was read. Where
//! that cannot be, and where it once could not be, by a merge that says the whole status, too.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Api, Resource, ResourceExt as _};
use secret_rotation_api::FIELD_MANAGER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Error;
use crate::kubernetes::bounded;

/// Publishes a status. Answers the object as stored, also where it cannot be decoded.
///
/// A write that timed out may have been applied: with a resourceVersion, doing it again then is a conflict.
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
    let stored = bounded(api.patch_status(name, &parameters, &Patch::Apply(&patch))).await?;
    let unmoved = stored.resource_version().as_deref() == Some(resource_version);
    tracing::debug!(kind = %K::kind(&()), name, unmoved, "status applied");
    Ok(stored)
}

/// How the status of an object is to be written, so that what it does not say any more is gone afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By server-side apply.
    Apply,
    /// As a whole: it was merged once, and what was merged outlives every apply, for it has two owners.
    Replace,
    /// By a merge: the object does not have the shape of its kind, and the API server may not be able to apply to it.
    Merge,
}

impl Way {
    /// How an object as its watch tells of it is written to.
    pub(crate) fn of<K: Resource>(object: &DeserializeGuard<K>) -> Self {
        let mut owners = object.meta().managed_fields.iter().flatten();
        match (&object.0, owners.any(is_merged)) {
            (Err(_), _) => Self::Merge,
            (Ok(_), true) => Self::Replace,
            (Ok(_), false) => Self::Apply,
        }
    }
}

/// Whether this tells that a status of ours was merged.
pub(crate) fn is_merged(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Update")
        && entry.subresource.as_deref() == Some("status")
}

/// Publishes a status in its way; `old` is the status as stored.
pub(crate) async fn publish<K, S>(
    api: &Api<DeserializeGuard<K>>,
    (name, resource_version): (&str, &str),
    way: Way,
    (old, new): (Option<&S>, &S),
) -> Result<DeserializeGuard<K>, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    S: Serialize + Sync,
{
    match way {
        Way::Apply => apply(api, name, resource_version, new).await,
        Way::Merge => merge(api, name, resource_version, &json!(new)).await,
        Way::Replace => {
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

/// A merge that leaves nothing but the new value: what it does not say any more it takes away.
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

/// Publishes a status on an object that its own schema no longer admits: the API server cannot apply to such a one,
/// but it takes a merge that leaves the rest alone.
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
    bounded(api.patch_status(name, &parameters, &Patch::Merge(&patch))).await
}

#[cfg(test)]
mod tests {
    use secret_rotation_api::policy::SecretRotationPolicy;

    use super::*;

    #[test]
    fn what_was_merged_once_is_replaced_as_a_whole_from_then_on() {
        let way = |spec: &Value, owners: &Value| {
            let object = json!({
                "apiVersion": "secretrotation.dev/v1alpha1",
                "kind": "SecretRotationPolicy",
                "metadata": {"name": "a", "namespace": "b", "managedFields": owners},
                "spec": spec,
            });
            let object = serde_json::from_value::<DeserializeGuard<SecretRotationPolicy>>(object);
            Way::of(&object.expect("an object"))
        };
        let good = json!({"selector": {"include": [{"namePrefix": "a"}]}});
        let owner = |operation: &str, manager: &str| json!({"manager": manager, "operation": operation, "subresource": "status"});
        let (merged, applied) = (
            owner("Update", FIELD_MANAGER),
            owner("Apply", FIELD_MANAGER),
        );
        assert_eq!(
            way(&good, &json!([applied, owner("Update", "kubectl")])),
            Way::Apply
        );
        assert_eq!(way(&good, &json!([applied, merged])), Way::Replace);
        assert_eq!(way(&json!({"selector": 7}), &json!([merged])), Way::Merge);
    }

    #[test]
    fn a_replacing_merge_takes_away_what_it_does_not_say() {
        let old = json!({"a": 1, "b": {"opens": 1, "closes": 2}, "c": [1, 2], "d": {"e": 1}});
        let new = json!({"b": {"closes": 3}, "c": [2], "f": {"g": 1}});
        let patch = json!({"a": null, "b": {"opens": null, "closes": 3}, "c": [2], "d": null, "f": {"g": 1}});
        assert_eq!(replacing(&old, &new), patch);
        assert_eq!(replacing(&Value::Null, &new), new);
    }
}
