//! The last known state of Kubernetes, as the watches show it. It is good enough to plan with, but a write to AWS
//! must never rest on it.

mod entry;
mod kind;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::PartialObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_core::authorise::Tenant;
use secret_rotation_core::names::{Namespace, ObjectKey, ProfileName};
use secret_rotation_core::operation::Operation;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::Policy;

pub(crate) use self::entry::{Labels, OperationEntry, PolicyEntry, ProfileEntry};
use self::kind::Cache;
pub(crate) use self::kind::Change;

/// The last known state of every object that is watched.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    /// The number of watches for each namespaced resource.
    streams: usize,
}

#[derive(Debug)]
struct State {
    policies: Cache<ObjectKey, Arc<PolicyEntry>>,
    operations: Cache<ObjectKey, Arc<OperationEntry>>,
    profiles: Cache<ProfileName, Arc<ProfileEntry>>,
    namespaces: Cache<Namespace, Labels>,
    snapshot: Option<Arc<Snapshot>>,
}

/// The facts that every plan rests on besides its own survey. They are gathered once for many plans.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Every valid policy, with its profile and namespace.
    pub bound_policies: Vec<BoundPolicy>,
    /// Every operation that can be parsed.
    pub operations: Vec<Operation>,
}

impl Store {
    /// Creates an empty store for this number of watched namespaces. With 0, one watch covers all namespaces.
    pub(crate) fn new(namespaces: usize) -> Self {
        let (policies, operations, profiles, namespaces_known) =
            (Cache::new(), Cache::new(), Cache::new(), Cache::new());
        let state = State {
            policies,
            operations,
            profiles,
            namespaces: namespaces_known,
            snapshot: None,
        };
        Self {
            state: Mutex::new(state),
            streams: namespaces.max(1),
        }
    }

    /// Describes what has not been listed yet. Returns `None` once everything is known.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        let state = self.lock();
        if !state.profiles.is_complete(1) {
            return Some("AWSAccessProfiles have not been listed yet");
        }
        if !state.namespaces.is_complete(1) {
            return Some("namespaces have not been listed yet");
        }
        if !state.operations.is_complete(self.streams) {
            return Some("SecretRotationOperations have not been listed yet");
        }
        (!state.policies.is_complete(self.streams))
            .then_some("SecretRotationPolicies have not been listed yet")
    }

    /// Applies an event of a watch of policies.
    pub(crate) fn apply_policy(
        &self,
        stream: usize,
        event: Event<DeserializeGuard<SecretRotationPolicy>>,
    ) -> Vec<Change<ObjectKey>> {
        let mut state = self.lock();
        let before = state.snapshot.take();
        let changes = state.policies.apply(stream, event, PolicyEntry::observed);
        // Most events are echoes of status writes, which change no policy. The facts are kept then.
        state.snapshot = before.filter(|snapshot| {
            changes
                .iter()
                .all(|change| state.is_same_in(snapshot, change))
        });
        changes
    }

    /// Applies an event of a watch of operations.
    pub(crate) fn apply_operation(
        &self,
        stream: usize,
        event: Event<DeserializeGuard<SecretRotationOperation>>,
    ) -> Vec<Change<ObjectKey>> {
        let mut state = self.lock();
        state.snapshot = None;
        state
            .operations
            .apply(stream, event, OperationEntry::observed)
    }

    /// Applies an event of the watch of profiles.
    pub(crate) fn apply_profile(
        &self,
        event: Event<DeserializeGuard<AWSAccessProfile>>,
    ) -> Vec<Change<ProfileName>> {
        let mut state = self.lock();
        state.snapshot = None;
        state.profiles.apply(0, event, ProfileEntry::observed)
    }

    /// Applies an event of the watch of namespaces.
    pub(crate) fn apply_namespace(
        &self,
        event: Event<PartialObjectMeta<NamespaceObject>>,
    ) -> Vec<Change<Namespace>> {
        let mut state = self.lock();
        state.snapshot = None;
        state.namespaces.apply(0, event, entry::namespace)
    }

    /// Stores an operation that was just written, before its watch shows it.
    pub(crate) fn record_operation_write(&self, operation: SecretRotationOperation) {
        let mut state = self.lock();
        if let Some(observed) = OperationEntry::observed(&DeserializeGuard(Ok(operation))) {
            state.snapshot = None;
            state.operations.insert(observed);
        }
    }

    /// Stores a policy that was just written, before its watch shows it.
    pub(crate) fn record_policy_write(&self, policy: SecretRotationPolicy) {
        let mut state = self.lock();
        if let Some(observed) = PolicyEntry::observed(&DeserializeGuard(Ok(policy))) {
            state.policies.insert(observed);
        }
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
        let labels = self
            .lock()
            .namespaces
            .get(namespace)
            .cloned()
            .unwrap_or_default();
        Tenant {
            namespace: namespace.clone(),
            labels,
        }
    }

    /// Returns all policies.
    pub(crate) fn policies(&self) -> Vec<(ObjectKey, Arc<PolicyEntry>)> {
        self.lock()
            .policies
            .iter()
            .map(|(key, entry)| (key.clone(), Arc::clone(entry)))
            .collect()
    }

    /// Returns all operations.
    pub(crate) fn operations(&self) -> Vec<(ObjectKey, Arc<OperationEntry>)> {
        self.lock()
            .operations
            .iter()
            .map(|(key, entry)| (key.clone(), Arc::clone(entry)))
            .collect()
    }

    /// Returns the names of all profiles.
    pub(crate) fn profiles(&self) -> Vec<ProfileName> {
        self.lock()
            .profiles
            .iter()
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Returns the facts that every plan rests on. They are gathered again only after a change.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        let mut state = self.lock();
        if let Some(snapshot) = &state.snapshot {
            return Arc::clone(snapshot);
        }
        let snapshot = Arc::new(state.gather());
        state.snapshot = Some(Arc::clone(&snapshot));
        snapshot
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn gather(&self) -> Snapshot {
        let policies = self
            .policies
            .iter()
            .filter_map(|(_, entry)| entry.core.as_ref().ok());
        let operations = self
            .operations
            .iter()
            .filter_map(|(_, entry)| entry.core.as_ref().ok());
        Snapshot {
            bound_policies: policies
                .filter_map(|(policy, _)| self.bound_policy(policy))
                .collect(),
            operations: operations.cloned().collect(),
        }
    }

    fn bound_policy(&self, policy: &Policy) -> Option<BoundPolicy> {
        let profile = self
            .profiles
            .get(&policy.profile)?
            .core
            .as_ref()
            .ok()?
            .clone();
        let namespace = policy.key.namespace.clone();
        let labels = self.namespaces.get(&namespace).cloned().unwrap_or_default();
        Some(BoundPolicy {
            tenant: Tenant { namespace, labels },
            profile,
            policy: policy.clone(),
        })
    }

    fn is_same_in(&self, snapshot: &Snapshot, change: &Change<ObjectKey>) -> bool {
        let Change::Applied(key) = change else {
            return false;
        };
        let now = self
            .policies
            .get(key)
            .and_then(|entry| entry.core.as_ref().ok())
            .map(|(policy, _)| policy);
        let before = snapshot
            .bound_policies
            .iter()
            .find(|bound_policy| bound_policy.policy.key == *key)
            .map(|bound_policy| &bound_policy.policy);
        now.is_some() && now == before
    }
}
