//! The custom resources that commands name.

use std::fmt::Debug;

use kube::Resource;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A custom resource that commands name.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The noun for one of them in messages.
    const NOUN: &'static str;
}

impl Kind for SecretRotationPolicy {
    const NOUN: &'static str = "policy";
}

impl Kind for SecretRotationOperation {
    const NOUN: &'static str = "operation";
}

/// Returns the name of an object as kubectl prints it, such as `secretrotationpolicy.secretrotation.dev/payments`.
pub(crate) fn type_and_name<K: Kind>(name: &str) -> String {
    format!(
        "{}.{}/{name}",
        K::kind(&()).to_ascii_lowercase(),
        K::group(&())
    )
}
