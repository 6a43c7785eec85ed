//! What wakes what: one function for each thing that happens, and in it the pushes to the queues that follow.
//!
//! A queue holds a key once, however often it is pushed, and a reconciler looks at the state when it runs. So a trigger
//! that fires too often costs a little, and one that does not fire delays work until the longest pause of its reconciler.
//!
//! | What happened | What is evaluated |
//! |---|---|
//! | The lease was acquired | everything |
//! | A policy was seen; its spec changed | the policy; its operations, and what waited for them |
//! | A profile was seen; its spec changed | the profile; its policies, their operations, and what waited for them |
//! | The labels of a namespace changed | its policies and operations, and what waited for them |
//! | An operation was seen | the operation |
//! | An operation appeared, began, ended or was deleted | its policy, what waited for it, and the policies for which its secret is in another state now |
//! | A step ended an operation | its policy, and the sweepers that look at its secret |
//! | A step left an operation for others | what waited for it |
//! | A step returned tokens | the next operations of the account |
//! | A policy was evaluated, and a region gate moved | the operations of the policy |
//!
//! What waited for an operation is found by its secret, its policy and its rotation function, not by a search. Sweepers
//! and policies push the rest themselves: a policy asks for the sweeps that it needs, and a sweep wakes the policies that
//! it serves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use secret_rotation_core::names::{Namespace, ObjectKey, ProfileName};
use secret_rotation_core::operation::Operation;
use tokio::time::Instant;

use crate::clock;
use crate::context::Context;
use crate::profile_region::ProfileRegion;
use crate::store::{OperationEntry, PolicyEntry, ProfileEntry};

/// Changes of operations arrive in bursts. This delay lets one evaluation of the policy cover several of them.
const GATHERING: Duration = Duration::from_millis(300);

/// This replica has acquired the lease.
pub(crate) fn lease_acquired(context: &Context) {
    let now = clock::now();
    context.store.profiles().into_iter().for_each(|name| {
        context.queues.rotation_events.push(name.clone(), now);
        context.queues.profiles.push(name, now);
    });
    for key in context.store.policies() {
        context.queues.policies.push(key, now);
    }
    queue_operations(context, context.store.snapshot().operations.unfinished());
    for key in context.store.unparsed_operations() {
        context.queues.operations.push(key, now);
    }
    // Regions whose sweeps are kept from the last term continue at their interval. Policies request all others.
    for profile_region in context.sweeps.profile_regions() {
        context.queues.sweeps.push(profile_region, now);
    }
}

/// A watch shows a policy. The echo of an own write queues nothing.
pub(crate) fn policy_seen(context: &Context, key: ObjectKey, entry: &PolicyEntry) {
    let policies = &context.queues.policies;
    policies.push_changed(key, &entry.resource_version);
}

/// A policy is new, or its spec has changed.
pub(crate) fn policy_changed(context: &Context, key: &ObjectKey) {
    operations_of_policy(context, key);
    let operations = context.store.snapshot().operations;
    waiting_for(context, operations.of_policy(key));
}

/// Something lets the unfinished operations of a policy begin, or blocks them.
pub(crate) fn operations_of_policy(context: &Context, policy: &ObjectKey) {
    let operations = context.store.snapshot().operations;
    queue_operations(context, operations.of_policy(policy));
    for key in context.store.unparsed_operations_of(policy) {
        context.queues.operations.push(key, clock::now());
    }
}

/// A watch shows a profile. The echo of an own write queues nothing.
pub(crate) fn profile_seen(context: &Context, name: &ProfileName, entry: &ProfileEntry) {
    let profiles = &context.queues.profiles;
    profiles.push_changed(name.clone(), &entry.resource_version);
}

/// A profile is new, or its spec has changed.
pub(crate) fn profile_changed(context: &Context, name: &ProfileName) {
    policies_of_profile(context, name);
    for policy in context.store.policies_of(name) {
        policy_changed(context, &policy);
    }
    let rotation_events = &context.queues.rotation_events;
    rotation_events.push(name.clone(), clock::now());
}

/// Something changes what the policies of a profile may do.
pub(crate) fn policies_of_profile(context: &Context, profile: &ProfileName) {
    for key in context.store.policies_of(profile) {
        context.queues.policies.push(key, clock::now());
    }
}

/// The labels of a namespace have changed, or it was deleted.
pub(crate) fn namespace_changed(context: &Context, name: &Namespace) {
    let soon = clock::now() + GATHERING;
    for key in context.store.policies_in(name) {
        context.queues.policies.push(key, soon);
    }
    let operations = context.store.snapshot().operations;
    queue_operations(context, operations.in_namespace(name));
    waiting_for(context, operations.in_namespace(name));
    let unparsed = context.store.unparsed_operations().into_iter();
    for key in unparsed.filter(|key| key.namespace == *name) {
        context.queues.operations.push(key, clock::now());
    }
}

/// A watch shows an operation. The echo of an own write queues nothing, and one that has ended needs no step.
pub(crate) fn operation_seen(context: &Context, key: &ObjectKey, entry: &OperationEntry) {
    let (_, is_finished) = entry.stage();
    if !is_finished {
        let operations = &context.queues.operations;
        operations.push_changed(key.clone(), &entry.resource_version);
    }
}

/// An operation has appeared, begun or ended. Its policy is not evaluated at each step.
pub(crate) fn operation_moved(context: &Context, key: &ObjectKey, entry: &OperationEntry) {
    secret_judged_again(context, entry);
    if entry.stage() != (false, false) {
        waiting_for(context, entry.parsed());
    }
    policy_of(context, key, entry);
}

/// An operation was deleted. `entry` is its last known state.
pub(crate) fn operation_deleted(context: &Context, key: &ObjectKey, entry: &OperationEntry) {
    secret_judged_again(context, entry);
    waiting_for(context, entry.parsed());
    policy_of(context, key, entry);
}

/// Judges the secret of an operation again: what the controller itself has changed counts differently. Queues the
/// policies for which that makes a difference.
fn secret_judged_again(context: &Context, entry: &OperationEntry) {
    let Some(arn) = entry.parsed().and_then(|operation| operation.arn.as_ref()) else {
        return;
    };
    let snapshot = context.store.snapshot();
    let known = (&snapshot.operations, &context.stability);
    for policy in context.sweeps.operation_moved(arn, known) {
        context.queues.policies.push(policy, clock::now());
    }
}

fn policy_of(context: &Context, key: &ObjectKey, entry: &OperationEntry) {
    if let Some(name) = &entry.policy {
        let policy = ObjectKey {
            namespace: key.namespace.clone(),
            name: name.clone(),
        };
        let soon = clock::now() + GATHERING;
        context.queues.policies.push(policy, soon);
    }
}

/// A step has ended an operation. `looks` are the regions whose sweepers look at its secret, and when.
pub(crate) fn operation_ended(
    context: &Context,
    operation: &Operation,
    looks: Vec<(ProfileRegion, Instant)>,
) {
    for (profile_region, at) in looks {
        context.queues.sweeps.push(profile_region, at);
    }
    let policies = &context.queues.policies;
    policies.push(operation.policy_key(), clock::now());
}

/// A step has returned tokens, which may be enough for these operations. Each comes with the time until then.
pub(crate) fn tokens_returned(context: &Context, next: Vec<(ObjectKey, Duration)>) {
    let now = clock::now();
    for (key, wait) in next {
        context.queues.operations.push(key, now + wait);
    }
}

/// These operations now act, wait, or have ended. What may have waited for them is evaluated: the operations on the same
/// secrets, and those that waited longest for a concurrency slot of the same policies and rotation functions.
pub(crate) fn waiting_for<'a>(context: &Context, changed: impl IntoIterator<Item = &'a Operation>) {
    let all = context.store.snapshot().operations;
    let (mut secrets, mut policies, mut functions) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for operation in changed {
        secrets.extend(operation.arn.as_ref());
        policies.insert(operation.policy_key());
        let seen = operation.arn.as_ref();
        let seen = seen.and_then(|arn| context.sweeps.function(arn));
        functions.extend(seen.or_else(|| all.function(operation).cloned()));
    }
    for arn in secrets {
        let unfinished = all.on_secret(arn).filter(|one| !one.is_finished());
        queue_operations(context, unfinished);
    }
    for policy in &policies {
        queue_operations(context, first_in_line(all.of_policy(policy)));
    }
    for function in &functions {
        queue_operations(context, first_in_line(all.on_function(function)));
    }
}

fn queue_operations<'a>(context: &Context, operations: impl IntoIterator<Item = &'a Operation>) {
    for operation in operations {
        let key = operation.key.clone();
        context.queues.operations.push(key, clock::now());
    }
}

/// Returns the operations that have waited longest for a concurrency slot, some of each policy.
fn first_in_line<'a>(some: impl Iterator<Item = &'a Operation>) -> Vec<&'a Operation> {
    const FIRST: usize = 8;
    let mut waiting: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for operation in some.filter(|one| !one.has_acted()) {
        let line = waiting.entry(operation.policy_key()).or_default();
        line.push(operation);
    }
    let turn = |one: &&Operation| (!one.has_started(), one.created, one.key.clone());
    let each = waiting.into_values().flat_map(|mut line| {
        line.sort_by_key(turn);
        line.into_iter().take(FIRST)
    });
    each.collect()
}
