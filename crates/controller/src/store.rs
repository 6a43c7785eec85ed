//! The last known state of Kubernetes, as the watches show it. It is good enough to plan with, but a write to AWS
//! must never rest on it.

mod entry;
mod kind;

use std::collections::BTreeMap;
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

pub(crate) use self::entry::{OperationEntry, PolicyEntry, ProfileEntry};
use self::kind::Cache;
pub(crate) use self::kind::Change;

/// The labels of a namespace.
pub(crate) type Labels = BTreeMap<String, String>;

/// The last known state of every object that is watched.
#[derive(Debug)]
pub(crate) struct World {
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
    facts: Option<Arc<Facts>>,
}

/// The facts that every plan rests on besides its own survey. They are gathered once for many plans.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Every valid policy, with its profile and namespace.
    pub claimants: Vec<BoundPolicy>,
    /// Every operation that can be parsed.
    pub operations: Vec<Operation>,
}

impl World {
    /// Creates an empty store for this number of watched namespaces. With 0, one watch covers all namespaces.
    pub(crate) fn new(namespaces: usize) -> Self {
        let (policies, operations, profiles, namespaces_known) =
            (Cache::new(), Cache::new(), Cache::new(), Cache::new());
        let state = State {
            policies,
            operations,
            profiles,
            namespaces: namespaces_known,
            facts: None,
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
    pub(crate) fn hear_policy(
        &self,
        stream: usize,
        event: Event<DeserializeGuard<SecretRotationPolicy>>,
    ) -> Vec<Change<ObjectKey>> {
        let mut state = self.lock();
        let before = state.facts.take();
        let changes = state.policies.apply(stream, event, PolicyEntry::told);
        // Most events are echoes of status writes, which change no policy. The facts are kept then.
        state.facts = before.filter(|facts| {
            changes
                .iter()
                .all(|change| state.says_the_same(facts, change))
        });
        changes
    }

    /// Applies an event of a watch of operations.
    pub(crate) fn hear_operation(
        &self,
        stream: usize,
        event: Event<DeserializeGuard<SecretRotationOperation>>,
    ) -> Vec<Change<ObjectKey>> {
        let mut state = self.lock();
        state.facts = None;
        state.operations.apply(stream, event, OperationEntry::told)
    }

    /// Applies an event of the watch of profiles.
    pub(crate) fn hear_profile(
        &self,
        event: Event<DeserializeGuard<AWSAccessProfile>>,
    ) -> Vec<Change<ProfileName>> {
        let mut state = self.lock();
        state.facts = None;
        state.profiles.apply(0, event, ProfileEntry::told)
    }

    /// Applies an event of the watch of namespaces.
    pub(crate) fn hear_namespace(
        &self,
        event: Event<PartialObjectMeta<NamespaceObject>>,
    ) -> Vec<Change<Namespace>> {
        let mut state = self.lock();
        state.facts = None;
        state.namespaces.apply(0, event, entry::namespace)
    }

    /// Stores an operation that was just written, before its watch shows it.
    pub(crate) fn wrote_operation(&self, operation: SecretRotationOperation) {
        let mut state = self.lock();
        if let Some(told) = OperationEntry::told(&DeserializeGuard(Ok(operation))) {
            state.facts = None;
            state.operations.advance(told);
        }
    }

    /// Stores a policy that was just written, before its watch shows it.
    pub(crate) fn wrote_policy(&self, policy: SecretRotationPolicy) {
        let mut state = self.lock();
        if let Some(told) = PolicyEntry::told(&DeserializeGuard(Ok(policy))) {
            state.policies.advance(told);
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
    pub(crate) fn facts(&self) -> Arc<Facts> {
        let mut state = self.lock();
        if let Some(facts) = &state.facts {
            return Arc::clone(facts);
        }
        let facts = Arc::new(state.gather());
        state.facts = Some(Arc::clone(&facts));
        facts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn gather(&self) -> Facts {
        let policies = self
            .policies
            .iter()
            .filter_map(|(_, entry)| entry.core.as_ref().ok());
        let operations = self
            .operations
            .iter()
            .filter_map(|(_, entry)| entry.core.as_ref().ok());
        Facts {
            claimants: policies
                .filter_map(|(policy, _)| self.claimant(policy))
                .collect(),
            operations: operations.cloned().collect(),
        }
    }

    fn claimant(&self, policy: &Policy) -> Option<BoundPolicy> {
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

    fn says_the_same(&self, facts: &Facts, change: &Change<ObjectKey>) -> bool {
        let Change::Kept(key) = change else {
            return false;
        };
        let now = self
            .policies
            .get(key)
            .and_then(|entry| entry.core.as_ref().ok())
            .map(|(policy, _)| policy);
        let before = facts
            .claimants
            .iter()
            .find(|claimant| claimant.policy.key == *key)
            .map(|claimant| &claimant.policy);
        now.is_some() && now == before
    }
}
