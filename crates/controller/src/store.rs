//! The last known state of Kubernetes, as the watches show it. It is good enough to plan with, but a write to AWS
//! must never rest on it.

mod entry;
mod kind;
mod state;
#[cfg(test)]
mod tests;
mod unparsed;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::PartialObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_core::authorise::Tenant;
use secret_rotation_core::names::{
    Arn, FunctionArn, Namespace, ObjectKey, ProfileName, Region, Uid,
};
use secret_rotation_core::time::ServerTime;

pub(crate) use self::entry::{Labels, OperationEntry, PolicyEntry, ProfileEntry};
pub(crate) use self::kind::Change;
pub(crate) use self::state::Snapshot;
use self::state::State;

/// The last known state of every object that is watched.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    /// The number of watches for each namespaced resource.
    streams: usize,
}

impl Store {
    /// Creates an empty store for this number of watched namespaces. With 0, one watch covers all namespaces.
    pub(crate) fn new(namespaces: usize) -> Self {
        Self {
            state: Mutex::new(State::new()),
            streams: namespaces.max(1),
        }
    }

    /// Describes what has not been listed yet. Returns `None` once everything is known.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.lock().missing(self.streams)
    }

    /// Applies an event of a watch of policies.
    pub(crate) fn apply_policy(
        &self,
        stream: usize,
        event: Event<DeserializeGuard<SecretRotationPolicy>>,
    ) -> Vec<Change<ObjectKey>> {
        self.lock().apply_policy(stream, event)
    }

    /// Applies an event of a watch of operations. `function` returns the rotation function of a secret, as the sweeps
    /// saw it.
    pub(crate) fn apply_operation(
        &self,
        stream: usize,
        event: Event<DeserializeGuard<SecretRotationOperation>>,
        function: impl Fn(&Arn) -> Option<FunctionArn>,
    ) -> Vec<Change<ObjectKey>> {
        self.lock().apply_operation(stream, event, function)
    }

    /// Applies an event of the watch of profiles.
    pub(crate) fn apply_profile(
        &self,
        event: Event<DeserializeGuard<AWSAccessProfile>>,
    ) -> Vec<Change<ProfileName>> {
        self.lock().apply_profile(event)
    }

    /// Applies an event of the watch of namespaces.
    pub(crate) fn apply_namespace(
        &self,
        event: Event<PartialObjectMeta<NamespaceObject>>,
    ) -> Vec<Change<Namespace>> {
        self.lock().apply_namespace(event)
    }

    /// Stores an operation that was just written, before its watch shows it.
    pub(crate) fn record_operation_write(
        &self,
        operation: SecretRotationOperation,
        function: impl Fn(&Arn) -> Option<FunctionArn>,
    ) {
        if let Some(observed) = OperationEntry::observed(&DeserializeGuard(Ok(operation))) {
            self.lock().insert_operation(observed, function);
        }
    }

    /// Stores a policy that was just written, before its watch shows it.
    pub(crate) fn record_policy_write(&self, policy: SecretRotationPolicy) {
        if let Some(observed) = PolicyEntry::observed(&DeserializeGuard(Ok(policy))) {
            self.lock().insert_policy(observed);
        }
    }

    /// Records the rotation functions of the secrets with unfinished operations, after a sweep of their region.
    pub(crate) fn record_functions(
        &self,
        region: &Region,
        function: impl Fn(&Arn) -> Option<FunctionArn>,
    ) {
        self.lock().record_functions(region, function);
    }

    /// Returns a policy.
    pub(crate) fn policy(&self, key: &ObjectKey) -> Option<Arc<PolicyEntry>> {
        self.lock().policies.get(key).cloned()
    }

    /// Returns an operation.
    pub(crate) fn operation(&self, key: &ObjectKey) -> Option<Arc<OperationEntry>> {
        self.lock().operations.get(key).cloned()
    }

    /// Returns a profile.
    pub(crate) fn profile(&self, name: &ProfileName) -> Option<Arc<ProfileEntry>> {
        self.lock().profiles.get(name).cloned()
    }

    /// Returns a namespace with its labels. An unknown namespace has no labels, so no profile admits it by label.
    pub(crate) fn tenant(&self, namespace: &Namespace) -> Tenant {
        self.lock().tenant(namespace)
    }

    /// Returns the keys of all policies, even of those that cannot be parsed.
    pub(crate) fn policies(&self) -> Vec<ObjectKey> {
        let state = self.lock();
        state.policies.iter().map(|(key, _)| key.clone()).collect()
    }

    /// Returns the keys of the policies of a namespace, even of those that cannot be parsed.
    pub(crate) fn policies_in(&self, namespace: &Namespace) -> Vec<ObjectKey> {
        let state = self.lock();
        let policies = state.policies.in_namespace(namespace);
        policies.map(|(key, _)| key.clone()).collect()
    }

    /// Returns the keys of the policies that name a profile, whether it exists or not.
    pub(crate) fn policies_of(&self, profile: &ProfileName) -> Vec<ObjectKey> {
        self.lock().policies_of(profile).cloned().collect()
    }

    /// Returns the names of all profiles.
    pub(crate) fn profiles(&self) -> Vec<ProfileName> {
        self.lock()
            .profiles
            .iter()
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Returns the keys of all unfinished operations that cannot be parsed. They are few.
    pub(crate) fn unparsed_operations(&self) -> Vec<ObjectKey> {
        self.lock().unparsed.unfinished().cloned().collect()
    }

    /// Returns the keys of the unfinished operations that cannot be parsed and name this policy.
    pub(crate) fn unparsed_operations_of(&self, policy: &ObjectKey) -> Vec<ObjectKey> {
        self.lock().unparsed.of_policy(policy).cloned().collect()
    }

    /// Returns the operations that ended because they cannot be parsed, and whose records have expired.
    pub(crate) fn expired_unparsed_operations(&self, now: ServerTime) -> Vec<(ObjectKey, Uid)> {
        self.lock().unparsed.expired(now)
    }

    /// Returns the facts that every plan rests on.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.lock().snapshot.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
