//! Quorum reads. They send no resourceVersion and so never use a cache: the answer contains everything that was
//! written before.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::{ListParams, PartialObjectMeta};
use kube::core::{ApiResource, DeserializeGuard, DynamicObject};
use kube::{Api, Client, ResourceExt as _};
use secret_rotation_api::SECRET_LABEL;
use secret_rotation_api::conditions::{ConditionStatus, ConditionType};
use secret_rotation_api::operation::{SecretRotationOperation, secret_label};
use secret_rotation_api::policy::SecretRotationPolicy;
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_core::authorise::Tenant;
use secret_rotation_core::names::{Arn, Namespace, ObjectKey, ProfileName};
use secret_rotation_core::operation::Operation;
use secret_rotation_core::pin::ClusterId;
use secret_rotation_core::policy::Policy;
use secret_rotation_core::profile::Profile;

use crate::error::Error;
use crate::kubernetes::with_call_timeout;

/// Reads from the API server.
#[derive(Clone)]
pub(crate) struct Reader {
    client: Client,
    namespaces: Vec<String>,
}

/// All operations on one secret.
#[derive(Clone, Debug, Default)]
pub(crate) struct OperationsOnSecret {
    /// The operations that can be parsed.
    pub operations: Vec<Operation>,
    /// An operation that has begun, has not ended, and cannot be parsed.
    pub unsupported: Option<String>,
}

impl Reader {
    /// Creates a reader for these namespaces. An empty list means all namespaces.
    pub(crate) const fn new(client: Client, namespaces: Vec<String>) -> Self {
        Self { client, namespaces }
    }

    /// Reads an operation. Returns `None` if it does not exist.
    pub(crate) async fn operation(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<SecretRotationOperation>, Error> {
        let api: Api<DeserializeGuard<SecretRotationOperation>> =
            Api::namespaced(self.client.clone(), key.namespace.as_str());
        let object = with_call_timeout(api.get_opt(key.name.as_str()))
            .await
            .map_err(|error| error.while_reading(|| format!("SecretRotationOperation {key}")))?;
        object
            .map(|object| object.0.map_err(|invalid| Error::Invalid(invalid.error)))
            .transpose()
    }

    /// Reads an operation as it is stored, even if it cannot be parsed. Returns `None` if it does not exist.
    pub(crate) async fn raw_operation(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<DynamicObject>, Error> {
        let kind = ApiResource::erase::<SecretRotationOperation>(&());
        let namespace = key.namespace.as_str();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        with_call_timeout(api.get_opt(key.name.as_str())).await
    }

    /// Reads a policy. Returns `None` if it does not exist.
    pub(crate) async fn policy(&self, key: &ObjectKey) -> Result<Option<Policy>, Error> {
        let api: Api<SecretRotationPolicy> =
            Api::namespaced(self.client.clone(), key.namespace.as_str());
        let object = with_call_timeout(api.get_opt(key.name.as_str()))
            .await
            .map_err(|error| error.while_reading(|| format!("SecretRotationPolicy {key}")))?;
        let parsed = object.map(|object| object.to_core()).transpose();
        Ok(parsed
            .map_err(|error| Error::Invalid(error.to_string()))?
            .map(|(policy, _)| policy))
    }

    /// Reads a profile. Returns `None` if it does not exist.
    pub(crate) async fn profile(&self, name: &ProfileName) -> Result<Option<Profile>, Error> {
        let api: Api<AWSAccessProfile> = Api::all(self.client.clone());
        let object = with_call_timeout(api.get_opt(name.as_str()))
            .await
            .map_err(|error| error.while_reading(|| format!("AWSAccessProfile {name}")))?;
        object
            .map(|object| object.to_core())
            .transpose()
            .map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Reads a namespace with its labels.
    pub(crate) async fn tenant(&self, namespace: &Namespace) -> Result<Tenant, Error> {
        let labels = self.namespace(namespace.as_str()).await?.labels().clone();
        Ok(Tenant {
            namespace: namespace.clone(),
            labels,
        })
    }

    /// Reads the id of the cluster, which marks the pins of this controller.
    pub(crate) async fn cluster(&self) -> Result<ClusterId, Error> {
        let uid = self
            .namespace("kube-system")
            .await?
            .uid()
            .unwrap_or_default();
        ClusterId::from_uid(&uid)
            .ok_or_else(|| Error::Invalid("namespace kube-system has no UID".to_owned()))
    }

    /// Reads every operation on a secret in all watched namespaces.
    pub(crate) async fn on_secret(&self, arn: &Arn) -> Result<OperationsOnSecret, Error> {
        let selector =
            ListParams::default().labels(&format!("{SECRET_LABEL}={}", secret_label(arn)));
        let mut found = OperationsOnSecret::default();
        for api in self.operations() {
            let listed = with_call_timeout(api.list(&selector))
                .await
                .map_err(|error| {
                    error.while_reading(|| "the SecretRotationOperations on this secret".to_owned())
                })?;
            for object in listed {
                found.add(object);
            }
        }
        Ok(found)
    }

    async fn namespace(&self, name: &str) -> Result<PartialObjectMeta<NamespaceObject>, Error> {
        let api: Api<NamespaceObject> = Api::all(self.client.clone());
        with_call_timeout(api.get_metadata(name))
            .await
            .map_err(|error| error.while_reading(|| format!("Namespace {name}")))
    }

    fn operations(&self) -> Vec<Api<DynamicObject>> {
        let kind = ApiResource::erase::<SecretRotationOperation>(&());
        if self.namespaces.is_empty() {
            return vec![Api::all_with(self.client.clone(), &kind)];
        }
        let each = |namespace: &String| Api::namespaced_with(self.client.clone(), namespace, &kind);
        self.namespaces.iter().map(each).collect()
    }
}

impl OperationsOnSecret {
    fn add(&mut self, object: DynamicObject) {
        let (key, at_work) = (object.name_any(), is_in_progress(&object));
        let parsed = object
            .try_parse::<SecretRotationOperation>()
            .ok()
            .and_then(|operation| operation.to_core().ok());
        match parsed {
            Some(operation) => self.operations.push(operation),
            None if at_work => self.unsupported = Some(key),
            // It never began, so it has written nothing. Its own reconciler reports what is wrong with it.
            None => {}
        }
    }
}

/// Returns whether an object that may be of a newer release has a journal and has not ended.
fn is_in_progress(object: &DynamicObject) -> bool {
    let Some(status) = object.data.get("status") else {
        return false;
    };
    let begun = status
        .get("steps")
        .and_then(|steps| steps.as_array())
        .is_some_and(|steps| !steps.is_empty());
    let conditions = status
        .get("conditions")
        .and_then(|conditions| conditions.as_array());
    let conditions: BTreeMap<_, _> = conditions
        .into_iter()
        .flatten()
        .filter_map(|one| Some((one.get("type")?.as_str()?, one.get("status")?.as_str()?)))
        .collect();
    let ended = [ConditionType::Complete, ConditionType::Failed]
        .iter()
        .any(|kind| conditions.get(kind.name()) == Some(&ConditionStatus::True.name()));
    begun && !ended
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_in_progress_that_cannot_be_parsed_is_noticed() {
        let mut found = OperationsOnSecret::default();
        found.add(object(
            json!({"spec": {"action": "FromTheFuture"}, "status": {"steps": [{"name": "Leap"}]}}),
        ));
        assert_eq!(found.unsupported.as_deref(), Some("x"));
    }

    #[test]
    fn an_operation_that_has_ended_or_never_began_blocks_no_other() {
        let ended = json!({"status": {"steps": [{"name": "Leap"}], "conditions": [{"type": "Failed", "status": "True"}]}});
        for content in [
            ended,
            json!({"spec": {"action": "FromTheFuture"}}),
            json!({"status": {"steps": []}}),
        ] {
            let mut found = OperationsOnSecret::default();
            found.add(object(content));
            assert_eq!((found.operations.len(), found.unsupported), (0, None));
        }
    }

    fn object(mut content: serde_json::Value) -> DynamicObject {
        content["metadata"] = json!({"name": "x", "namespace": "team"});
        content["apiVersion"] = json!("secretrotation.dev/v1alpha1");
        content["kind"] = json!("SecretRotationOperation");
        serde_json::from_value(content).expect("an object")
    }
}
