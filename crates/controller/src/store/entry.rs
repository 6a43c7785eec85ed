//! What is kept of each object. Objects are parsed once, when a watch shows them.

use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PartialObjectMeta;
use kube::core::DeserializeGuard;
use kube::{Resource, ResourceExt as _};
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::{SecretRotationPolicy, SecretRotationPolicyStatus};
use secret_rotation_api::profile::{AWSAccessProfile, AWSAccessProfileStatus};
use secret_rotation_core::names::{Namespace, ObjectKey, ObjectName, ProfileName, Uid};
use secret_rotation_core::operation::Operation;
use secret_rotation_core::policy::Policy;
use secret_rotation_core::profile::Profile;
use secret_rotation_core::survey::PreviousFindings;
use secret_rotation_core::time::ServerTime;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::kind::Observed;
use crate::kubernetes::status::WriteMethod;

/// The labels of a namespace.
pub(crate) type Labels = BTreeMap<String, String>;

/// A policy.
#[derive(Clone, Debug)]
pub(crate) struct PolicyEntry {
    /// A reference to the object, for events.
    pub reference: ObjectReference,
    /// The generation of the spec.
    pub generation: i64,
    /// The resourceVersion of the object.
    pub resource_version: String,
    /// The last published status.
    pub status: Option<SecretRotationPolicyStatus>,
    /// How to write the status.
    pub way: WriteMethod,
    /// The token of a requested check.
    pub requested: Option<String>,
    /// The token of a request to reset the count of attempts that was not handled yet.
    pub retry: Option<String>,
    /// The parsed policy and what its status remembers, or why it cannot be parsed.
    pub core: Result<(Policy, PreviousFindings), String>,
}

/// An operation.
#[derive(Clone, Debug)]
pub(crate) struct OperationEntry {
    /// The resourceVersion of the object.
    pub resource_version: String,
    /// The policy that it names, if that can be decoded.
    pub policy: Option<ObjectName>,
    /// The parsed operation, or why it cannot be parsed.
    pub core: Result<Arc<Operation>, String>,
    /// The UID of the operation and when its record may be deleted, if it ended because it cannot be parsed.
    pub unread: Option<(Uid, ServerTime)>,
    /// The stored object, until the operation has ended. Finished operations are many, so theirs are not kept.
    pub object: Option<SecretRotationOperation>,
}

/// A profile.
#[derive(Clone, Debug)]
pub(crate) struct ProfileEntry {
    /// The generation of the spec.
    pub generation: i64,
    /// The resourceVersion of the object.
    pub resource_version: String,
    /// The last published status.
    pub status: Option<AWSAccessProfileStatus>,
    /// How to write the status.
    pub way: WriteMethod,
    /// The parsed profile, or why it cannot be parsed.
    pub core: Result<Profile, String>,
}

impl PolicyEntry {
    pub(super) fn observed(
        object: &DeserializeGuard<SecretRotationPolicy>,
    ) -> Option<Observed<ObjectKey, Arc<Self>>> {
        let reference = object_reference(object);
        let entry = |object: &DeserializeGuard<SecretRotationPolicy>| Self {
            reference,
            generation: object.meta().generation.unwrap_or(0),
            resource_version: object.resource_version().unwrap_or_default(),
            status: object
                .0
                .as_ref()
                .ok()
                .and_then(|policy| policy.status.clone()),
            way: WriteMethod::of(object),
            requested: object
                .0
                .as_ref()
                .ok()
                .and_then(|policy| policy.requested_check().map(str::to_owned)),
            retry: object
                .0
                .as_ref()
                .ok()
                .and_then(|policy| policy.requested_retry().map(str::to_owned)),
            core: parsed(
                object,
                secret_rotation_api::policy::SecretRotationPolicy::to_core,
            ),
        };
        let (key, version) = (key(object.meta())?, version(object.meta()));
        Some(Observed {
            key,
            version,
            value: Arc::new(entry(object)),
        })
    }
}

impl OperationEntry {
    /// Returns the operation, if it can be parsed.
    pub(crate) fn parsed(&self) -> Option<&Operation> {
        self.core.as_deref().ok()
    }

    /// Returns whether the operation has started, and whether it has ended.
    pub(crate) fn stage(&self) -> (bool, bool) {
        let parsed = self.parsed();
        parsed.map_or((false, false), |one| (one.has_started(), one.is_finished()))
    }

    pub(super) fn observed(
        object: &DeserializeGuard<SecretRotationOperation>,
    ) -> Option<Observed<ObjectKey, Arc<Self>>> {
        let decoded = object.0.as_ref().ok();
        let core = parsed(
            object,
            secret_rotation_api::operation::SecretRotationOperation::to_core,
        )
        .map(Arc::new);
        let unread = decoded
            .filter(|_| core.is_err())
            .and_then(|operation| Some((Uid::parse(object.uid()?).ok()?, operation.expires()?)));
        let is_finished = core.as_ref().is_ok_and(|operation| operation.is_finished());
        let entry = Self {
            resource_version: object.resource_version().unwrap_or_default(),
            policy: decoded.and_then(|operation| {
                ObjectName::parse(operation.spec.policy_ref.name.as_str()).ok()
            }),
            object: decoded.filter(|_| !is_finished).cloned(),
            core,
            unread,
        };
        Some(Observed {
            key: key(object.meta())?,
            version: version(object.meta()),
            value: Arc::new(entry),
        })
    }
}

impl ProfileEntry {
    pub(super) fn observed(
        object: &DeserializeGuard<AWSAccessProfile>,
    ) -> Option<Observed<ProfileName, Arc<Self>>> {
        let entry = Self {
            generation: object.meta().generation.unwrap_or(0),
            resource_version: object.resource_version().unwrap_or_default(),
            status: object
                .0
                .as_ref()
                .ok()
                .and_then(|profile| profile.status.clone()),
            way: WriteMethod::of(object),
            core: parsed(
                object,
                secret_rotation_api::profile::AWSAccessProfile::to_core,
            ),
        };
        let name = ProfileName::parse(object.name_any()).ok()?;
        Some(Observed {
            key: name,
            version: version(object.meta()),
            value: Arc::new(entry),
        })
    }
}

/// Returns the labels of a namespace from its metadata.
pub(super) fn namespace(
    object: &PartialObjectMeta<NamespaceObject>,
) -> Option<Observed<Namespace, Labels>> {
    let key = Namespace::parse(object.name_any()).ok()?;
    Some(Observed {
        key,
        version: version(&object.metadata),
        value: object.labels().clone(),
    })
}

fn parsed<K, T, E: ToString>(
    object: &DeserializeGuard<K>,
    parse: impl Fn(&K) -> Result<T, E>,
) -> Result<T, String> {
    let decoded = object.0.as_ref().map_err(|invalid| {
        let error = short(&invalid.error);
        format!("the object does not match its CRD; compare it with `kubectl explain --recursive`: {error}")
    })?;
    parse(decoded).map_err(|error| short(&error.to_string()))
}

/// Cuts and strips a text from outside the controller before it reaches a status or a log.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}

fn key(meta: &ObjectMeta) -> Option<ObjectKey> {
    let namespace = Namespace::parse(meta.namespace.clone()?).ok()?;
    Some(ObjectKey {
        namespace,
        name: ObjectName::parse(meta.name.clone()?).ok()?,
    })
}

/// Parses a resourceVersion. API servers count versions upwards. A text that is not a number counts as the oldest
/// version.
fn version(meta: &ObjectMeta) -> u64 {
    meta.resource_version
        .as_ref()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

fn object_reference<K: Resource<DynamicType = ()>>(
    object: &DeserializeGuard<K>,
) -> ObjectReference {
    object.object_ref(&())
}
