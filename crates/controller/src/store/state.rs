//! What the store holds: the objects of each watch, and the indexes that core plans with. After each change of an
//! object, its places in the indexes are updated, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::PartialObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_core::authorise::Tenant;
use secret_rotation_core::names::{Arn, FunctionArn, Namespace, ObjectKey, ProfileName, Region};
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::Policy;
use secret_rotation_core::policy_index::PolicyIndex;

use super::entry::{self, Labels, OperationEntry, PolicyEntry, ProfileEntry};
use super::kind::{Cache, Change, Observed};
use super::unparsed::Unparsed;

/// The objects, and the indexes over them.
#[derive(Debug)]
pub(super) struct State {
    pub(super) policies: Cache<ObjectKey, Arc<PolicyEntry>>,
    pub(super) operations: Cache<ObjectKey, Arc<OperationEntry>>,
    pub(super) profiles: Cache<ProfileName, Arc<ProfileEntry>>,
    namespaces: Cache<Namespace, Labels>,
    /// The policies and operations that can be parsed.
    pub(super) snapshot: Snapshot,
    /// The operations that cannot be parsed.
    pub(super) unparsed: Unparsed,
    /// The policies that name each profile, and the profile that each policy names. The profile may be missing.
    by_profile: BTreeMap<ProfileName, BTreeSet<ObjectKey>>,
    profile_of: BTreeMap<ObjectKey, ProfileName>,
}

/// The facts that every plan rests on besides its own survey. A snapshot costs nothing: it shares everything with the
/// store, and later events do not change it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// Every valid policy, with its profile and namespace.
    pub bound_policies: PolicyIndex,
    /// Every operation that can be parsed.
    pub operations: OperationIndex,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            policies: Cache::new(),
            operations: Cache::new(),
            profiles: Cache::new(),
            namespaces: Cache::new(),
            snapshot: Snapshot::default(),
            unparsed: Unparsed::default(),
            by_profile: BTreeMap::new(),
            profile_of: BTreeMap::new(),
        }
    }

    /// Describes what has not been listed yet. `streams` is the number of watches of each namespaced resource.
    pub(super) fn missing(&self, streams: usize) -> Option<&'static str> {
        if !self.profiles.is_complete(1) {
            return Some("AWSAccessProfiles have not been listed yet");
        }
        if !self.namespaces.is_complete(1) {
            return Some("namespaces have not been listed yet");
        }
        if !self.operations.is_complete(streams) {
            return Some("SecretRotationOperations have not been listed yet");
        }
        (!self.policies.is_complete(streams))
            .then_some("SecretRotationPolicies have not been listed yet")
    }

    pub(super) fn apply_policy(
        &mut self,
        stream: usize,
        event: Event<DeserializeGuard<SecretRotationPolicy>>,
    ) -> Vec<Change<ObjectKey>> {
        let changes = self.policies.apply(stream, event, PolicyEntry::observed);
        for change in &changes {
            self.file_policy(change.key());
        }
        changes
    }

    pub(super) fn insert_policy(&mut self, observed: Observed<ObjectKey, Arc<PolicyEntry>>) {
        let key = observed.key.clone();
        self.policies.insert(observed);
        self.file_policy(&key);
    }

    pub(super) fn apply_operation(
        &mut self,
        stream: usize,
        event: Event<DeserializeGuard<SecretRotationOperation>>,
        function: impl Fn(&Arn) -> Option<FunctionArn>,
    ) -> Vec<Change<ObjectKey>> {
        let changes = self
            .operations
            .apply(stream, event, OperationEntry::observed);
        for change in &changes {
            self.file_operation(change.key(), &function);
        }
        changes
    }

    pub(super) fn insert_operation(
        &mut self,
        observed: Observed<ObjectKey, Arc<OperationEntry>>,
        function: impl Fn(&Arn) -> Option<FunctionArn>,
    ) {
        let key = observed.key.clone();
        self.operations.insert(observed);
        self.file_operation(&key, &function);
    }

    pub(super) fn apply_profile(
        &mut self,
        event: Event<DeserializeGuard<AWSAccessProfile>>,
    ) -> Vec<Change<ProfileName>> {
        let changes = self.profiles.apply(0, event, ProfileEntry::observed);
        for change in &changes {
            let policies: Vec<_> = self.policies_of(change.key()).cloned().collect();
            for key in &policies {
                self.file_policy(key);
            }
        }
        changes
    }

    pub(super) fn apply_namespace(
        &mut self,
        event: Event<PartialObjectMeta<NamespaceObject>>,
    ) -> Vec<Change<Namespace>> {
        let changes = self.namespaces.apply(0, event, entry::namespace);
        for change in &changes {
            let policies = self.policies.in_namespace(change.key());
            let policies: Vec<_> = policies.map(|(key, _)| key.clone()).collect();
            for key in &policies {
                self.file_policy(key);
            }
        }
        changes
    }

    pub(super) fn record_functions(
        &mut self,
        region: &Region,
        function: impl Fn(&Arn) -> Option<FunctionArn>,
    ) {
        let operations = &mut self.snapshot.operations;
        let secrets = operations.unfinished().filter_map(|one| one.arn.as_ref());
        let secrets: BTreeSet<_> = secrets
            .filter(|arn| arn.region() == region)
            .cloned()
            .collect();
        for arn in &secrets {
            operations.record_function(arn, function(arn).as_ref());
        }
    }

    pub(super) fn policies_of(&self, profile: &ProfileName) -> impl Iterator<Item = &ObjectKey> {
        self.by_profile.get(profile).into_iter().flatten()
    }

    pub(super) fn tenant(&self, namespace: &Namespace) -> Tenant {
        let labels = self.namespaces.get(namespace).cloned();
        Tenant {
            namespace: namespace.clone(),
            labels: labels.unwrap_or_default(),
        }
    }

    /// Updates the places of an operation.
    fn file_operation(&mut self, key: &ObjectKey, function: &impl Fn(&Arn) -> Option<FunctionArn>) {
        let entry = self.operations.get(key);
        self.unparsed.file(key, entry);
        let operations = &mut self.snapshot.operations;
        let Some(operation) = entry.and_then(|entry| entry.core.as_ref().ok()) else {
            operations.remove(key);
            return;
        };
        operations.insert(operation);
        if let Some(arn) = operation.arn.as_ref().filter(|_| !operation.is_finished()) {
            operations.record_function(arn, function(arn).as_ref());
        }
    }

    /// Updates the places of a policy. Most events are echoes of status writes, which change nothing here.
    fn file_policy(&mut self, key: &ObjectKey) {
        let entry = self.policies.get(key).cloned();
        let parsed = entry.as_ref().and_then(|entry| entry.core.as_ref().ok());
        let policy = parsed.map(|(policy, _)| policy);
        self.file_by_profile(key, policy.map(|policy| &policy.profile));
        let bound = policy.and_then(|policy| self.bound_policy(policy));
        let policies = &mut self.snapshot.bound_policies;
        match bound {
            Some(bound) if policies.get(key) == Some(&bound) => {}
            Some(bound) => policies.insert(&Arc::new(bound)),
            None => policies.remove(key),
        }
    }

    fn file_by_profile(&mut self, key: &ObjectKey, profile: Option<&ProfileName>) {
        let before = self.profile_of.get(key);
        if before == profile {
            return;
        }
        if let Some(before) = before
            && let Some(policies) = self.by_profile.get_mut(before)
        {
            policies.remove(key);
            if policies.is_empty() {
                self.by_profile.remove(before);
            }
        }
        match profile {
            Some(profile) => {
                let policies = self.by_profile.entry(profile.clone()).or_default();
                policies.insert(key.clone());
                self.profile_of.insert(key.clone(), profile.clone());
            }
            None => drop(self.profile_of.remove(key)),
        }
    }

    fn bound_policy(&self, policy: &Policy) -> Option<BoundPolicy> {
        let profile = self.profiles.get(&policy.profile)?;
        Some(BoundPolicy {
            tenant: self.tenant(&policy.key.namespace),
            profile: profile.core.as_ref().ok()?.clone(),
            policy: policy.clone(),
        })
    }
}
