//! Takes in what the watches tell, and asks for the work that follows from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::Api;
use kube::api::PartialObjectMeta;
use kube::runtime::watcher::Event;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_core::identity::{Namespace, ObjectKey, ProfileName, Uid};

use crate::clock;
use crate::context::Context;
use crate::kubernetes::watches;
use crate::world::{Change, OperationEntry};

/// Changes of operations come in bursts; their policy is judged once for several.
const GATHERING: Duration = Duration::from_millis(300);

/// Listens to policies for ever.
pub(crate) async fn to_policies(context: Arc<Context>, namespaces: Vec<String>) {
    let mut stream = watches::merged(watches::namespaced::<SecretRotationPolicy>(
        &context.client,
        &namespaces,
        &context.identity,
    ));
    let mut known: BTreeMap<ObjectKey, (i64, Option<Uid>)> = BTreeMap::new();
    let mut trouble = Trouble::new("SecretRotationPolicy");
    while let Some((number, event)) = stream.next().await {
        let Some(event) = trouble.sort(&context, event) else {
            continue;
        };
        for change in context.world.hear_policy(number, event) {
            match change {
                Change::Kept(key) => policy_kept(&context, &mut known, key),
                Change::Gone(key) => policy_gone(&context, &mut known, &key),
            }
        }
    }
}

/// Listens to operations for ever.
pub(crate) async fn to_operations(context: Arc<Context>, namespaces: Vec<String>) {
    let mut stream = watches::merged(watches::namespaced::<SecretRotationOperation>(
        &context.client,
        &namespaces,
        &context.identity,
    ));
    let mut known: BTreeMap<ObjectKey, (bool, bool)> = BTreeMap::new();
    let mut trouble = Trouble::new("SecretRotationOperation");
    while let Some((number, event)) = stream.next().await {
        let Some(event) = trouble.sort(&context, event) else {
            continue;
        };
        for change in context.world.hear_operation(number, event) {
            match change {
                Change::Kept(key) => operation_kept(&context, &mut known, &key),
                Change::Gone(key) => {
                    known.remove(&key);
                    context.queues.operations.forget(&key);
                    context.doubts.cleared_up(&key);
                    freed(&context);
                    policies_in(&context, &key.namespace);
                }
            }
        }
    }
}

/// Listens to profiles for ever.
pub(crate) async fn to_profiles(context: Arc<Context>) {
    let api = Api::all(context.client.clone());
    let mut stream = watches::guarded::<AWSAccessProfile>(api, &context.identity);
    let mut known: BTreeMap<ProfileName, i64> = BTreeMap::new();
    let mut trouble = Trouble::new("AWSAccessProfile");
    while let Some(event) = stream.next().await {
        let Some(event) = trouble.sort(&context, event) else {
            continue;
        };
        for change in context.world.hear_profile(event) {
            match change {
                Change::Kept(name) => profile_kept(&context, &mut known, &name),
                Change::Gone(name) => {
                    known.remove(&name);
                    context.queues.profiles.forget(&name);
                    context.queues.hints.forget(&name);
                    policies_of(&context, &name);
                }
            }
        }
    }
}

/// Listens to the labels of namespaces for ever.
pub(crate) async fn to_namespaces(context: Arc<Context>) {
    let api: Api<PartialObjectMeta<NamespaceObject>> = Api::all(context.client.clone());
    let mut stream = watches::metadata(api, &context.identity);
    let mut trouble = Trouble::new("Namespace");
    while let Some(event) = stream.next().await {
        let Some(event) = trouble.sort(&context, event) else {
            continue;
        };
        for change in context.world.hear_namespace(event) {
            let (Change::Kept(name) | Change::Gone(name)) = change;
            policies_in(&context, &name);
            unfinished(&context, |key, _| key.namespace == name);
        }
    }
}

/// Asks for all work that there is: this replica has just got the lease.
pub(crate) fn everything(context: &Context) {
    let now = clock::now();
    context.world.profiles().into_iter().for_each(|name| {
        context.queues.hints.push(name.clone(), now);
        context.queues.profiles.push(name, now);
    });
    context
        .world
        .policies()
        .into_iter()
        .for_each(|(key, _)| context.queues.policies.push(key, now));
    unfinished(context, |_, _| true);
    // Places whose sweeps are kept from the last term go on in their rhythm; policies ask for all others.
    for (place, due) in context.sweeps.due() {
        context.queues.places.push(place, due);
    }
}

/// The echo of a status write asks for nothing; a new generation asks also for the operations of the policy.
fn policy_kept(
    context: &Context,
    known: &mut BTreeMap<ObjectKey, (i64, Option<Uid>)>,
    key: ObjectKey,
) {
    let Some(entry) = context.world.policy(&key) else {
        return;
    };
    if let Err(why) = &entry.core {
        tracing::warn!(policy = %key, why, "policy cannot be understood");
    }
    let uid = entry
        .core
        .as_ref()
        .ok()
        .map(|(policy, _)| policy.uid.clone());
    let before = known.insert(key.clone(), (entry.generation, uid.clone()));
    if before.as_ref() != Some(&(entry.generation, uid)) {
        context.metrics.expect_policy(&key);
        unfinished(context, |other, operation| is_of(other, operation, &key));
        freed(context);
    }
    context
        .queues
        .policies
        .changed(key, &entry.resource_version);
}

fn policy_gone(
    context: &Context,
    known: &mut BTreeMap<ObjectKey, (i64, Option<Uid>)>,
    key: &ObjectKey,
) {
    if let Some((_, Some(uid))) = known.remove(key) {
        context.judgements.forget(&uid);
        context.told.forget(&uid);
        context.sweeps.forget(&uid);
    }
    context.queues.policies.forget(key);
    context.metrics.forget_policy(key);
    unfinished(context, |other, operation| is_of(other, operation, key));
}

/// A policy is judged anew when one of its operations appears, begins or ends, not at each step.
fn operation_kept(
    context: &Context,
    known: &mut BTreeMap<ObjectKey, (bool, bool)>,
    key: &ObjectKey,
) {
    let Some(entry) = context.world.operation(key) else {
        return;
    };
    let stage = match &entry.core {
        Ok(operation) => (operation.has_started(), operation.is_finished()),
        Err(why) => {
            tracing::warn!(operation = %key, why, "operation cannot be understood");
            (false, false)
        }
    };
    if !stage.1 {
        context
            .queues
            .operations
            .changed(key.clone(), &entry.resource_version);
    }
    let moved = known.insert(key.clone(), stage) != Some(stage);
    if moved && (stage.0 || stage.1) {
        on_the_same(context, &entry);
        freed(context);
    }
    if let (true, Some(name)) = (moved, &entry.policy) {
        let policy = ObjectKey {
            namespace: key.namespace.clone(),
            name: name.clone(),
        };
        context
            .queues
            .policies
            .push(policy, clock::now() + GATHERING);
    }
}

fn profile_kept(context: &Context, known: &mut BTreeMap<ProfileName, i64>, name: &ProfileName) {
    let Some(entry) = context.world.profile(name) else {
        return;
    };
    if known.insert(name.clone(), entry.generation) != Some(entry.generation) {
        policies_of(context, name);
        unfinished(context, |_, _| true);
        context.queues.hints.push(name.clone(), clock::now());
    }
    context
        .queues
        .profiles
        .changed(name.clone(), &entry.resource_version);
}

fn policies_of(context: &Context, profile: &ProfileName) {
    for (key, entry) in context.world.policies() {
        if entry
            .core
            .as_ref()
            .is_ok_and(|(policy, _)| policy.profile == *profile)
        {
            context.queues.policies.push(key, clock::now());
        }
    }
}

fn policies_in(context: &Context, namespace: &Namespace) {
    for (key, _) in context.world.policies() {
        if key.namespace == *namespace {
            context.queues.policies.push(key, clock::now() + GATHERING);
        }
    }
}

fn unfinished(context: &Context, wanted: impl Fn(&ObjectKey, &OperationEntry) -> bool) {
    for (key, entry) in context.world.operations() {
        let finished = entry
            .core
            .as_ref()
            .is_ok_and(secret_rotation_core::operation::Operation::is_finished);
        if !finished && wanted(&key, &entry) {
            context.queues.operations.push(key, clock::now());
        }
    }
}

/// A concurrency slot may be free: those who have waited longest are judged again, some of each policy.
pub(crate) fn freed(context: &Context) {
    const CALLED: usize = 8;
    let mut waiting: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (key, entry) in context.world.operations() {
        let Ok(operation) = &entry.core else { continue };
        if !operation.is_finished() && !operation.has_acted() {
            let policy = (key.namespace.clone(), operation.policy.name.clone());
            let turn = (!operation.has_started(), operation.created, key);
            waiting.entry(policy).or_default().push(turn);
        }
    }
    for mut turns in waiting.into_values() {
        turns.sort();
        for (_, _, key) in turns.into_iter().take(CALLED) {
            context.queues.operations.push(key, clock::now());
        }
    }
}

/// Whoever waits for an operation on the same secret is judged again.
fn on_the_same(context: &Context, changed: &OperationEntry) {
    let arn = changed.core.as_ref().ok().and_then(|one| one.arn.clone());
    let is_same = |entry: &OperationEntry| {
        let other = entry.core.as_ref().ok().and_then(|one| one.arn.as_ref());
        other.is_some() && other == arn.as_ref()
    };
    unfinished(context, |_, entry| is_same(entry));
}

/// What was judged of a policy lets its operations begin, or keeps them from it.
pub(crate) fn judged(context: &Context, policy: &ObjectKey) {
    unfinished(context, |key, entry| is_of(key, entry, policy));
}

fn is_of(key: &ObjectKey, operation: &OperationEntry, policy: &ObjectKey) -> bool {
    key.namespace == policy.namespace && operation.policy.as_ref() == Some(&policy.name)
}

/// Counts the trouble of a watch, and logs it when it begins and when it is over.
struct Trouble {
    kind: &'static str,
    lasting: bool,
}

impl Trouble {
    const fn new(kind: &'static str) -> Self {
        Self {
            kind,
            lasting: false,
        }
    }

    fn sort<K>(
        &mut self,
        context: &Context,
        event: Result<Event<K>, watches::Error>,
    ) -> Option<Event<K>> {
        match event {
            Ok(event) => {
                // A list that begins proves nothing; one that has told something does.
                if self.lasting && !matches!(event, Event::Init) {
                    self.lasting = false;
                    tracing::info!(kind = self.kind, "watch recovered");
                }
                Some(event)
            }
            Err(error) => {
                context
                    .metrics
                    .watch_errors
                    .with_label_values(&[self.kind])
                    .inc();
                if !self.lasting {
                    self.lasting = true;
                    tracing::warn!(kind = self.kind, error = short(&error), "watch interrupted");
                }
                None
            }
        }
    }
}

/// The first words: `Display` of an API error prints a whole Status.
fn short(error: &watches::Error) -> String {
    error
        .to_string()
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect()
}
