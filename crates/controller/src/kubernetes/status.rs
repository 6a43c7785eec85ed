//! Status by server-side apply: the whole status each time, refused when the object has changed since it was read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
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
    let stored = applied(api, name, resource_version, status).await?;
    let Some(entries) = adopted(stored.managed_fields()) else {
        return Ok(stored);
    };
    // What an apply leaves out goes only if no other entry owns it.
    let patch = json!({"metadata": {
        "resourceVersion": stored.resource_version(), "managedFields": entries,
    }});
    let alone = patched(api, name, &patch).await?;
    let version = alone.resource_version().unwrap_or_default();
    applied(api, name, &version, status).await
}

/// Publishes a status on an object that its own schema no longer admits: the API server cannot apply to such a one,
/// but it takes a merge that leaves the rest alone. The next [`apply`] makes the fields its own.
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
    patched(api, name, &patch).await
}

async fn applied<K, S>(
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

async fn patched<K>(
    api: &Api<DeserializeGuard<K>>,
    name: &str,
    patch: &Value,
) -> Result<DeserializeGuard<K>, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    bounded(api.patch_status(name, &parameters, &Patch::Merge(patch))).await
}

/// The owners of an object's fields, with what a merge of ours left as a part of what we apply; `None` = it is so.
///
/// The same as `csaupgrade` of client-go does for objects that were once updated and are now applied.
fn adopted(entries: &[ManagedFieldsEntry]) -> Option<Vec<ManagedFieldsEntry>> {
    let ours = |entry: &&ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.subresource.as_deref() == Some("status")
    };
    let is = |entry: &ManagedFieldsEntry, operation| entry.operation.as_deref() == Some(operation);
    entries
        .iter()
        .filter(ours)
        .find(|entry| is(entry, "Update"))?;
    let (ours, mut others): (Vec<_>, Vec<_>) = entries.iter().partition(ours);
    let mut fields = Value::Null;
    for entry in &ours {
        if let Some(FieldsV1(more)) = &entry.fields_v1 {
            unite(&mut fields, more);
        }
    }
    let newest = ours.into_iter().max_by_key(|entry| entry.time.clone())?;
    let one = ManagedFieldsEntry {
        operation: Some("Apply".to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        ..newest.clone()
    };
    others.push(&one);
    Some(others.into_iter().cloned().collect())
}

/// Sets of fields are nested maps.
fn unite(all: &mut Value, more: &Value) {
    match (all, more) {
        (Value::Object(all), Value::Object(more)) => {
            for (field, more) in more {
                unite(all.entry(field).or_insert(Value::Null), more);
            }
        }
        (all, more) => *all = more.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(operation: &str, manager: &str, fields: &Value) -> ManagedFieldsEntry {
        let entry = json!({
            "manager": manager, "operation": operation, "subresource": "status", "fieldsType": "FieldsV1",
            "apiVersion": "secretrotation.dev/v1alpha1", "fieldsV1": fields,
        });
        serde_json::from_value(entry).expect("an entry")
    }

    #[test]
    fn what_a_merge_left_becomes_a_part_of_what_is_applied() {
        let applied = json!({"f:status": {"f:conditions": {"k:Ready": {}}}});
        let merged =
            json!({"f:status": {"f:conditions": {"k:Stalled": {".": {}}}, "f:summary": {}}});
        let foreign = entry(
            "Update",
            "kubectl",
            &json!({"f:status": {"f:findings": {}}}),
        );
        let entries = [
            entry("Apply", FIELD_MANAGER, &applied),
            foreign.clone(),
            entry("Update", FIELD_MANAGER, &merged),
        ];
        let united = json!({"f:status": {"f:conditions": {"k:Ready": {}, "k:Stalled": {".": {}}}, "f:summary": {}}});
        let expected = vec![foreign.clone(), entry("Apply", FIELD_MANAGER, &united)];
        assert_eq!(adopted(&entries), Some(expected));
        assert_eq!(adopted(&entries[..2]), None);
        assert_eq!(
            adopted(&entries[2..]),
            Some(vec![entry("Apply", FIELD_MANAGER, &merged)])
        );
    }
}
