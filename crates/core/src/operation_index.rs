//! Every operation of the cluster, found by secret, by policy, by rotation function and by the age of its record.
//!
//! | Question | Lookup | Operations in it |
//! |---|---|---|
//! | What was done to this secret? | [`OperationIndex::on_secret`] | all on the secret, ended or not |
//! | What is in progress for this policy? | [`OperationIndex::of_policy`] | unfinished ones that name the policy |
//! | What uses this rotation function? | [`OperationIndex::on_function`] | unfinished ones that rotate |
//! | Which records are old? | [`OperationIndex::expired`] | ended ones whose `ttl` has passed |
//!
//! A change of one operation changes only its own places in each lookup. A clone shares everything with the original,
//! so a plan can use one while the watches continue. No lookup returns every operation that has ended: they are many,
//! and no decision needs them all.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::groups::{Group, Groups, counted};
use crate::names::{Arn, FunctionArn, Namespace, ObjectKey};
use crate::operation::Operation;
use crate::time::ServerTime;

#[cfg(debug_assertions)]
pub use crate::groups::take_visits;

/// Every operation of the cluster. The key of an operation is unique.
#[derive(Clone, Debug, Default)]
pub struct OperationIndex {
    all: Group<Operation>,
    on_secret: Groups<Arn, Operation>,
    of_policy: Groups<ObjectKey, Operation>,
    on_function: Groups<FunctionArn, Operation>,
    expiring: RedBlackTreeMapSync<(ServerTime, ObjectKey), Arc<Operation>>,
    /// The function of each secret with an unfinished operation, as the sweeps saw it.
    functions: RedBlackTreeMapSync<Arn, FunctionArn>,
}

impl OperationIndex {
    /// Adds an operation, in place of an earlier state of it.
    pub fn insert(&mut self, operation: &Arc<Operation>) {
        let earlier = self.all.get(&operation.key).cloned();
        if earlier
            .as_ref()
            .is_some_and(|earlier| Arc::ptr_eq(earlier, operation))
        {
            return;
        }
        if let Some(earlier) = &earlier {
            self.unfile(earlier);
        }
        self.file(operation);
        for one in earlier.iter().chain([operation]) {
            self.forget_unused_function(one);
        }
    }

    /// Removes an operation.
    pub fn remove(&mut self, key: &ObjectKey) {
        if let Some(removed) = self.all.get(key).cloned() {
            self.unfile(&removed);
            self.forget_unused_function(&removed);
        }
    }

    /// Records the rotation function of a secret as a sweep saw it, or that no sweep sees one. It is kept while the
    /// secret has an unfinished operation.
    pub fn record_function(&mut self, arn: &Arn, function: Option<&FunctionArn>) {
        if self.functions.get(arn) == function {
            return;
        }
        let unfinished: Vec<_> = self.unfinished_on(arn).cloned().collect();
        if unfinished.is_empty() {
            return;
        }
        // The operations are filed by what was known before, so they are taken out before it changes.
        for one in &unfinished {
            self.unfile(one);
        }
        match function {
            Some(function) => self.functions.insert_mut(arn.clone(), function.clone()),
            None => drop(self.functions.remove_mut(arn)),
        }
        for one in &unfinished {
            self.file(one);
        }
    }

    /// Returns an operation.
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<Operation>> {
        self.all.get(key)
    }

    /// Returns the operations on a secret, finished or not.
    pub fn on_secret(&self, arn: &Arn) -> impl Iterator<Item = &Operation> + use<'_> {
        self.on_secret.members(arn).map(AsRef::as_ref)
    }

    /// Returns the unfinished operations that name a policy. Their UIDs may be those of an earlier policy of this name.
    pub fn of_policy(&self, policy: &ObjectKey) -> impl Iterator<Item = &Operation> + use<'_> {
        self.of_policy.members(policy).map(AsRef::as_ref)
    }

    /// Returns the unfinished operations that rotate with this function.
    pub fn on_function(&self, on: &FunctionArn) -> impl Iterator<Item = &Operation> + use<'_> {
        self.on_function.members(on).map(AsRef::as_ref)
    }

    /// Returns the unfinished operations of a namespace.
    pub fn in_namespace(&self, namespace: &Namespace) -> impl Iterator<Item = &Operation> {
        let first = ObjectKey::before_all_in(namespace);
        let from = self.of_policy.from(&first).map(|(_, one)| one.as_ref());
        let own: Vec<_> = from
            .take_while(|one| one.key.namespace == *namespace)
            .collect();
        own.into_iter()
    }

    /// Returns all unfinished operations, for the rare events that concern them all.
    pub fn unfinished(&self) -> impl Iterator<Item = &Operation> {
        self.of_policy.all().map(AsRef::as_ref)
    }

    /// Returns the operations whose `ttl` has passed, the oldest first.
    pub fn expired(&self, now: ServerTime) -> impl Iterator<Item = &Operation> + use<'_> {
        let by_age = self.expiring.iter();
        let expired = by_age.take_while(move |((at, _), _)| *at <= now);
        counted(expired.map(|(_, operation)| operation.as_ref()))
    }

    /// Returns the rotation function of a secret with an unfinished operation, as a sweep saw it.
    pub fn seen_function(&self, arn: &Arn) -> Option<&FunctionArn> {
        self.functions.get(arn)
    }

    /// Returns the rotation function of an operation: as a sweep saw it, otherwise as it was when the operation
    /// started.
    pub fn function<'a>(&'a self, operation: &'a Operation) -> Option<&'a FunctionArn> {
        let seen = self.seen_function(operation.arn.as_ref()?);
        let began = operation.baseline.as_ref();
        seen.or_else(|| began.and_then(|baseline| baseline.function.as_ref()))
    }

    fn unfinished_on(&self, arn: &Arn) -> impl Iterator<Item = &Arc<Operation>> + use<'_> {
        let members = self.on_secret.members(arn);
        members.filter(|one| !one.is_finished())
    }

    fn forget_unused_function(&mut self, operation: &Operation) {
        if let Some(arn) = &operation.arn
            && self.unfinished_on(arn).next().is_none()
        {
            self.functions.remove_mut(arn);
        }
    }

    fn file(&mut self, operation: &Arc<Operation>) {
        let key = &operation.key;
        self.all.insert_mut(key.clone(), Arc::clone(operation));
        if let Some(arn) = &operation.arn {
            self.on_secret.add(arn, key, operation);
        }
        if !operation.is_finished() {
            self.of_policy.add(&operation.policy_key(), key, operation);
        }
        if let Some(function) = self.rotates_with(operation) {
            self.on_function.add(&function, key, operation);
        }
        if let Some(place) = expiry(operation) {
            self.expiring.insert_mut(place, Arc::clone(operation));
        }
    }

    fn unfile(&mut self, operation: &Operation) {
        let key = &operation.key;
        self.all.remove_mut(key);
        if let Some(arn) = &operation.arn {
            self.on_secret.take(arn, key);
        }
        self.of_policy.take(&operation.policy_key(), key);
        if let Some(function) = self.rotates_with(operation) {
            self.on_function.take(&function, key);
        }
        if let Some(place) = expiry(operation) {
            self.expiring.remove_mut(&place);
        }
    }

    /// Returns the function whose concurrency limit counts the operation.
    fn rotates_with(&self, operation: &Operation) -> Option<FunctionArn> {
        let counts = operation.action.rotates() && !operation.is_finished();
        self.function(operation).filter(|_| counts).cloned()
    }
}

impl FromIterator<Operation> for OperationIndex {
    fn from_iter<T: IntoIterator<Item = Operation>>(operations: T) -> Self {
        let mut index = Self::default();
        for operation in operations {
            index.insert(&Arc::new(operation));
        }
        index
    }
}

/// Returns when the record of an ended operation expires, with its key.
fn expiry(operation: &Operation) -> Option<(ServerTime, ObjectKey)> {
    let ended = operation.ended.filter(|_| operation.is_finished())?;
    Some((ended.plus(operation.ttl), operation.key.clone()))
}
