//! Status by server-side apply: the whole status each time, refused when the object has changed since it was read.

use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Api, Resource, ResourceExt as _};
use secret_rotation_api::FIELD_MANAGER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

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
